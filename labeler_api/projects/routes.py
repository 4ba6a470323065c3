"""Projects (contract 25, 29)."""

from labeler_api.context import Call
from labeler_api.http.endpoint import endpoint
from labeler_api.projects import service
from labeler_api.projects.schemas import AddTaskType, ProjectResponse


async def get_project(call: Call, project_id: str) -> ProjectResponse:
    """Return a project

    Its counters are the stored ones; the counts of its classes are computed.
    """
    return await service.get(call, project_id)


async def add_task_type(call: Call, project_id: str, body: AddTaskType) -> ProjectResponse:
    """Add a task to a project"""
    return await service.add_task_type(call, project_id, body)


routes = [
    endpoint("GET", "/projects/{project_id}", get_project, errors=(404,)),
    endpoint("POST", "/projects/{project_id}/task-types", add_task_type, errors=(400, 403, 404)),
]
