"""How far the work is: the status of each image, and the statistics of each task."""

from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice

import msgspec

from labeler_api.annotations import store_status
from labeler_api.annotations.schemas_status import (
    ImageStatus,
    ImageStatusList,
    ProjectStats,
    StatusQuery,
    image_status,
    image_statuses,
    task_stats,
)
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.errors import BadRequest, invalid
from labeler_api.http.endpoint import matches
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.policy import Role
from labeler_api.members.service import Access, access_of, not_found

_FORM = (
    1  # counted up when the list gains or loses a field or changes its content, so that no browser keeps the old one
)
_BEFORE_ALL = (datetime.min.replace(tzinfo=UTC), "")


async def page(call: Call, project: str, query: StatusQuery) -> tuple[ImageStatusList | None, str]:
    """List the statuses of a project's images in the order of the list of images, and say the tag of this list.

    Behind the page stand the other images that somebody began: clients show what is missing as not started. Without a
    task the tasks of an image are taken together: confirmed when each task that has annotations on the image is, in
    progress when any has, and the counts are sums. None, and nothing is read, for whoever has the list of this tag.
    """
    position = _position(query)
    async with call.db.read() as connection:
        found = await store_status.view(connection, project, call.user_id)
        access = access_of(found, call, Role.VIEWER)
        # Read before the rows: a tag may then be older than its list, which costs a request, but never newer.
        tag = _tag(access.project, found, query)
        if matches(call.if_none_match, tag):
            return None, tag
        statuses, total, last = await _statuses(connection, access, query, position)
    return ImageStatusList(statuses, total, access.project, encode_cursor(last) if last else None), tag


def _position(query: StatusQuery) -> tuple[datetime, str]:
    """Return behind which image the page begins. Raises for a page that is refused."""
    if query.limit < 0:
        raise invalid("has to be a number from 1 to 200", "query", "limit")
    if not 1 <= query.limit <= store_status.MOST_ON_A_PAGE:
        text = f"The limit has to be a number from 1 to {store_status.MOST_ON_A_PAGE}."
        raise BadRequest(text, code="limit_out_of_range")
    after = decode_cursor(query.cursor, tuple[datetime, str]) if query.cursor else _BEFORE_ALL
    if after[0].tzinfo is None:
        raise invalid("is not a cursor that this list gave out", "query", "cursor", code="bad_cursor")
    return after


def _tag(project_id: str, found: Row | None, query: StatusQuery) -> str:
    """Make the ETag: of what numbers each change of a status or of the images, and of the request."""
    revisions = (found["revision"], found["images_revision"]) if found is not None else ()
    parts = msgspec.json.encode((_FORM, project_id, revisions, query))
    return f'W/"{blake2b(parts, digest_size=16).hexdigest()}"'


async def _statuses(
    connection: ReadConnection, access: Access, query: StatusQuery, after: tuple[datetime, str]
) -> tuple[list[ImageStatus], int, tuple[datetime, str] | None]:
    """Read the page, and what stands behind it; return the entries, the number of images, and the page's end."""
    project_id, task_type = access.project, query.task_type or None
    rows = await store_status.page(
        connection, project_id, access.dataset_id, task_type, limit=query.limit, offset=query.offset, after=after
    )
    statuses = [image_status(row, project_id, task_type) for row in rows]
    last = (rows[-1]["uploaded_at"], rows[-1]["image_id"]) if len(rows) == query.limit else None
    if query.cursor:
        return statuses, await store_status.count_images(connection, access.dataset_id), last
    if not query.offset and len(rows) < query.limit:
        return statuses, len(rows), last  # every image there is
    columns = await store_status.begun(connection, project_id, access.dataset_id, task_type)
    behind = image_statuses(columns, project_id, task_type)
    for status in statuses:
        behind.pop(status.image_id, None)
    in_order = (behind[image_id] for image_id in columns["in_order"] or [] if image_id in behind)
    statuses.extend(islice(in_order, store_status.MOST_BEHIND))
    return statuses, columns["total_images"], last


async def stats(call: Call, project: str) -> ProjectStats:
    """Count the images of each of the project's tasks by progress; without tasks one line stands for all work."""
    async with call.db.read() as connection:
        found, counts = await store_status.stats(connection, project, call.user_id)
    if found is None:
        raise not_found()
    project_id, total = access_of(found, call, Role.VIEWER).project, found["total_images"]
    if found["task_types"]:
        lines = [task_stats(task, total, counts.get(task)) for task in dict.fromkeys(found["task_types"])]
    else:
        lines = [task_stats("default", total, counts[None])]
    return ProjectStats(project_id=project_id, total_images=total, task_stats=lines)
