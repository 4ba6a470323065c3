"""How far the work is: the status of each image, and the statistics of each task."""

from datetime import UTC, datetime

from labeler_api.annotations import store_status
from labeler_api.annotations.schemas_status import (
    ImageStatusList,
    ProjectStats,
    StatusQuery,
    image_status,
    task_stats,
)
from labeler_api.context import Call
from labeler_api.errors import BadRequest, invalid
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.policy import Role
from labeler_api.members.service import not_found, require_role

_MAX_LIMIT = 200  # contract, 30: beyond it the call is refused
_BEFORE_ALL = (datetime.min.replace(tzinfo=UTC), "")


async def page(call: Call, project: str, query: StatusQuery) -> ImageStatusList:
    """List the statuses of a project's images in the order of the list of images.

    Without a task the tasks of an image are taken together: confirmed when each task that has annotations on the
    image is, in progress when any has, and the counts are sums.
    """
    if query.limit < 0:
        raise invalid("expected a number from 1 to 200", "query", "limit")
    if not 1 <= query.limit <= _MAX_LIMIT:
        raise BadRequest(f"limit: expected a number from 1 to {_MAX_LIMIT}.", code="limit_out_of_range")
    task_type = query.task_type or None
    after = decode_cursor(query.cursor, tuple[datetime, str]) if query.cursor else _BEFORE_ALL
    if after[0].tzinfo is None:
        raise invalid("is not a cursor that this list gave out", "query", "cursor", code="bad_cursor")
    async with call.db.read() as connection:
        access = await require_role(connection, call, project, Role.VIEWER)
        total = await store_status.count_images(connection, access.dataset_id)
        rows = await store_status.page(
            connection,
            access.project,
            access.dataset_id,
            task_type,
            limit=query.limit,
            offset=query.offset,
            after=after,
        )
    last = rows[-1] if len(rows) == query.limit else None
    return ImageStatusList(
        statuses=[image_status(row, access.project, task_type) for row in rows],
        total=total,
        project_id=access.project,
        next_cursor=encode_cursor((last["uploaded_at"], last["image_id"])) if last else None,
    )


async def stats(call: Call, project: str) -> ProjectStats:
    """Count the images of each of the project's tasks by progress; without tasks one line stands for all work."""
    async with call.db.read() as connection:
        access = await require_role(connection, call, project, Role.VIEWER)
        found = await store_status.tasks(connection, access.project, access.dataset_id)
        if found is None:
            raise not_found()
        total = found["total_images"]
        if found["task_types"]:
            counts = await store_status.stats(connection, access.project)
            lines = [task_stats(task, total, counts.get(task)) for task in dict.fromkeys(found["task_types"])]
        else:
            lines = [task_stats("default", total, await store_status.stats_of_all(connection, access.project))]
    return ProjectStats(project_id=access.project, total_images=total, task_stats=lines)
