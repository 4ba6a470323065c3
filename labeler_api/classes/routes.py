"""Classes of a project's tasks (contract 39, 42)."""

from labeler_api.classes import service
from labeler_api.classes.schemas import AddClass, ClassResponse, ReorderClasses, TaskQuery
from labeler_api.context import Call
from labeler_api.http.endpoint import endpoint


async def add_class(call: Call, project_id: str, query: TaskQuery, body: AddClass) -> ClassResponse:
    """Add a class to a task"""
    return await service.add(call, project_id, query.task_type, body)


async def reorder_classes(call: Call, project_id: str, query: TaskQuery, body: ReorderClasses) -> list[ClassResponse]:
    """Put the classes of a task in order"""
    return await service.reorder(call, project_id, query.task_type, body)


routes = [
    endpoint("POST", "/projects/{project_id}/classes", add_class, status=201, errors=(400, 403, 404, 409)),
    endpoint("PUT", "/projects/{project_id}/classes/reorder", reorder_classes, errors=(403, 404)),
]
