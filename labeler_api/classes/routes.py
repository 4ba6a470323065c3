"""Classes of a project's tasks (calls 39 to 42, contract#classes)."""

from labeler_api.classes import service
from labeler_api.classes.schemas import AddClass, ClassRef, ClassResponse, ReorderClasses, TaskQuery, UpdateClass
from labeler_api.context import Call
from labeler_api.errors import BadRequest, Conflict, Forbidden, NotFound
from labeler_api.http.endpoint import endpoint, links_to


async def add_class(call: Call, project_id: str, query: TaskQuery, body: AddClass) -> ClassResponse:
    """Add a class to a task"""
    return await service.add(call, project_id, query.task_type, body)


async def update_class(
    call: Call, project_id: str, class_id: ClassRef, query: TaskQuery, body: UpdateClass
) -> ClassResponse:
    """Change a class of a task"""
    return await service.update(call, project_id, query.task_type, class_id, body)


async def delete_class(call: Call, project_id: str, class_id: ClassRef, query: TaskQuery) -> None:
    """Remove a class that no annotation has"""
    await service.delete(call, project_id, query.task_type, class_id)


async def reorder_classes(call: Call, project_id: str, query: TaskQuery, body: ReorderClasses) -> list[ClassResponse]:
    """Put the classes of a task in order"""
    return await service.reorder(call, project_id, query.task_type, body)


_CLASS = "/projects/{project_id}/classes/{class_id:path}"  # a class id that a caller chose may hold a slash

_AFTER_ADD_CLASS = [
    *links_to(
        {
            "project_id": "$request.path.project_id",
            "class_id": "$response.body#/class_id",
            "task_type": "$request.query.task_type",
        },
        "classes_update_class",
        "classes_delete_class",
    ),
]

routes = [
    endpoint(
        "POST",
        "/projects/{project_id}/classes",
        add_class,
        links=_AFTER_ADD_CLASS,
        status=201,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, Conflict),
    ),
    endpoint("PATCH", _CLASS, update_class, errors=(Forbidden, NotFound)),
    endpoint("DELETE", _CLASS, delete_class, status=204, errors=(Forbidden, NotFound, Conflict)),
    endpoint("PUT", "/projects/{project_id}/classes/reorder", reorder_classes, errors=(Forbidden, NotFound)),
]
