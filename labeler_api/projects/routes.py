"""Projects (calls 23 to 26 and 29, contract#projects)."""

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Conflict, Forbidden, NotFound
from labeler_api.http.endpoint import Reply, endpoint, links_to
from labeler_api.projects import service
from labeler_api.projects.schemas import AddTaskType, CreateProject, ProjectResponse, ProjectsQuery, UpdateProject


async def create_project(call: Call, body: CreateProject) -> ProjectResponse:
    """Make the project of a dataset that has none

    A dataset is created with its project; this is for one whose project was deleted.
    """
    return await service.create(call, body)


async def list_projects(call: Call, query: ProjectsQuery) -> Reply[list[ProjectResponse]]:
    """List the projects that the caller is a member of

    The newest first. The header X-Next-Cursor is there when more follow; give it back as `cursor`.
    """
    projects, cursor = await service.page(call, query)
    return Reply(projects, headers={"X-Next-Cursor": cursor} if cursor else {})


async def get_project(call: Call, project_id: str) -> ProjectResponse:
    """Return a project

    Its counters are the stored ones; the counts of its classes are computed.
    """
    return await service.get(call, project_id)


async def update_project(call: Call, project_id: str, body: UpdateProject) -> ProjectResponse:
    """Change a project

    Only what is sent is changed. Classes and tasks are changed by their own calls, the owner by a transfer.
    """
    return await service.update(call, project_id, body)


async def add_task_type(call: Call, project_id: str, body: AddTaskType) -> ProjectResponse:
    """Add a task to a project"""
    return await service.add_task_type(call, project_id, body)


_AFTER_CREATE_PROJECT = [
    *links_to({"project_id": "$response.body#/id"}, "projects_get_project"),
]

routes = [
    endpoint(
        "POST",
        "/projects",
        create_project,
        links=_AFTER_CREATE_PROJECT,
        status=201,
        idempotent=True,
        errors=(Forbidden, NotFound, Conflict),
    ),
    endpoint("GET", "/projects", list_projects, large=True),
    endpoint("GET", "/projects/{project_id}", get_project, errors=(NotFound,), large=True),
    endpoint("PATCH", "/projects/{project_id}", update_project, errors=(Forbidden, NotFound)),
    endpoint(
        "POST",
        "/projects/{project_id}/task-types",
        add_task_type,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound),
    ),
]
