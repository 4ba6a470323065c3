"""How far the work is: the status of each image, and the statistics of each task."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from labeler_api.annotations.progress import store
from labeler_api.annotations.progress.schemas import (
    ImageStatus,
    ImageStatusList,
    ProjectStats,
    StatusQuery,
    image_statuses,
    task_stats,
)
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.errors import BadRequest, invalid
from labeler_api.http.endpoint import Encoded, matches
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.authorization.service import access_of, not_found
from labeler_api.members.policy import Role

_FORM = (
    1  # counted up when the list gains or loses a field or changes its content, so that no browser keeps the old one
)
_REVISIONS = re.compile(r'"([0-9]{1,18})\.([0-9]{1,18})-[0-9a-f]{32}"')
_ENTRY_BYTES = 200  # of an encoded entry that is kept, beside its own: its object, and its place by the image's id
_encode_lines = msgspec.json.Encoder().encode_lines
_BEFORE_ALL = (datetime.min.replace(tzinfo=UTC), "")


Body = Encoded[ImageStatusList]
Revisions = tuple[int, int]


class _StatusPageKey(NamedTuple):
    """Which list."""

    reference: str
    task_type: str
    limit: int
    offset: int
    cursor: str


@dataclass(frozen=True, slots=True)
class _CachedStatuses:
    """A list as it was encoded last, and what it is true of: the project, its revision and that of its images."""

    project_id: str
    revisions: Revisions
    tag: str
    encoded: Body


class _PlaceBehind(NamedTuple):
    """Which entries behind a page: those of a task, whatever the page."""

    reference: str
    task_type: str


@dataclass(frozen=True, slots=True)
class _Behind:
    """The entries of all images that somebody began, as they were encoded, in the order of the list.

    They are the same behind every page, but for those that stand on the page itself.
    """

    state: str
    entries: Mapping[str, msgspec.Raw]


async def page(call: Call, project: str, query: StatusQuery) -> tuple[Body | None, str]:
    """List the statuses of a project's images in the order of the list of images, and say the tag of this list.

    Behind the page stand the other images that somebody began: clients show what is missing as not started. Without a
    task the tasks of an image are taken together: confirmed when each task that has annotations on the image is, in
    progress when any has, and the counts are sums. Returns None, and reads
    nothing, if the caller's tag is still right. A list that is kept here is not read again until a revision changes.
    """
    position = _position(query)
    place = _StatusPageKey(project, query.task_type, query.limit, query.offset, query.cursor)
    kept: _CachedStatuses | None = call.services.caches.pages.get(place)
    # A caller who has a later list than the one that is kept read it from another process.
    had = kept.revisions if kept is not None else None, _known(call)
    known = max((revisions for revisions in had if revisions is not None), default=None)
    behind: _Behind | None = call.services.caches.pages.get(_PlaceBehind(project, query.task_type))
    async with call.db.read() as connection:
        found = await _found(connection, call, project, query, position, known, behind)
        access = access_of(found, call, Role.VIEWER)
        project_id, revisions = access.require_project_id(), _revisions(found)
        if kept is None or (kept.project_id, kept.revisions) != (project_id, revisions):
            kept = None
        tag = kept.tag if kept is not None else _tag(project_id, revisions, query)
        if matches(call.if_none_match, tag):
            return None, tag
        if kept is not None:
            return kept.encoded, tag
        if found is not None and known is not None and found["is_known"]:  # the revisions, but of another request
            found = await _found(connection, call, project, query, position, None, behind)
        if found is None:
            raise not_found()
    revisions = _revisions(found)
    encoded: Body = Encoded(
        _encoded(project_id, query, found, _behind(call, project, project_id, query, found, behind))
    )
    kept = _CachedStatuses(project_id, revisions, _tag(project_id, revisions, query), encoded)
    call.services.caches.pages.put(place, kept, len(encoded.body))
    return encoded, kept.tag


async def _found(
    connection: ReadConnection,
    call: Call,
    project: str,
    query: StatusQuery,
    after: tuple[datetime, str],
    known: Revisions | None,
    behind: _Behind | None,
) -> Row | None:
    return await store.page(
        connection,
        project,
        call.user_id,
        query.task_type or None,
        limit=query.limit,
        offset=query.offset,
        after=after,
        known=known,
        known_behind=behind.state if behind is not None else None,
    )


def _known(call: Call) -> Revisions | None:
    """Return the revisions that the caller's tag is of. Anybody may have written it: `matches` has the last word."""
    match = _REVISIONS.search(call.if_none_match or "")
    return (int(match[1]), int(match[2])) if match else None


def _position(query: StatusQuery) -> tuple[datetime, str]:
    """Return behind which image the page begins. Raises for a page that is refused."""
    if query.limit < 0:
        raise invalid("has to be a number from 1 to 200", "query", "limit")
    if not 1 <= query.limit <= store.MOST_ON_A_PAGE:
        text = f"The limit has to be a number from 1 to {store.MOST_ON_A_PAGE}."
        raise BadRequest(text, code="limit_out_of_range")
    after = decode_cursor(query.cursor, tuple[datetime, str]) if query.cursor else _BEFORE_ALL
    if after[0].tzinfo is None:
        raise invalid("is not a cursor that this list gave out", "query", "cursor", code="bad_cursor")
    return after


def _revisions(found: Row | None) -> Revisions:
    return (found["revision"], found["images_revision"]) if found is not None else (0, 0)


def _tag(project_id: str, revisions: Revisions, query: StatusQuery) -> str:
    """Make the ETag: of what numbers each change of a status or of the images, and of the request."""
    parts = msgspec.json.encode((_FORM, project_id, revisions, query))
    return f'W/"{revisions[0]}.{revisions[1]}-{blake2b(parts, digest_size=16).hexdigest()}"'


def _behind(call: Call, project: str, project_id: str, query: StatusQuery, found: Row, kept: _Behind | None) -> _Behind:
    """Return the entries behind the page: those that are kept, or those that were read in their place."""
    state = store.state(project_id, _revisions(found))
    if query.cursor or (query.offset == 0 and found["num_images"] <= query.limit):
        return _Behind(state, {})
    if kept is not None and kept.state == state:
        return kept
    columns, in_order = store.columns_behind(found)
    encoded = _each_encoded(image_statuses(columns, project_id, query.task_type or None))
    by_image = dict(zip(columns["image_id"], encoded, strict=True))
    made = _Behind(state, {image_id: by_image[image_id] for image_id in in_order})
    size = sum(map(len, made.entries.values())) + len(made.entries) * _ENTRY_BYTES
    call.services.caches.pages.put(_PlaceBehind(project, query.task_type), made, size)
    return made


def _encoded(project_id: str, query: StatusQuery, found: Row, behind: _Behind) -> bytes:
    """Encode the entries of the page and of what stands behind it."""
    columns = store.columns_of_page(found)
    shown = _each_encoded(image_statuses(columns, project_id, query.task_type or None))
    on_page = set(columns["image_id"])
    others = (entry for image_id, entry in behind.entries.items() if image_id not in on_page)
    last = (columns["uploaded_at"][-1], columns["image_id"][-1]) if len(shown) == query.limit else None
    # Entries that are JSON already stand in the place of those that the type names.
    statuses: list[Any] = [*shown, *islice(others, store.MOST_BEHIND)]
    return msgspec.json.encode(
        ImageStatusList(statuses, found["num_images"], project_id, encode_cursor(last) if last else None)
    )


def _each_encoded(statuses: list[ImageStatus]) -> list[msgspec.Raw]:
    """Encode each entry. All of them at once take half the time, and JSON has no line break of its own."""
    return list(map(msgspec.Raw, _encode_lines(statuses).splitlines()))


async def stats(call: Call, project: str) -> ProjectStats:
    """Count the images of each of the project's tasks by progress; without tasks one line stands for all work."""
    async with call.db.read() as connection:
        found, counts = await store.stats(connection, project, call.user_id)
    if found is None:
        raise not_found()
    project_id, total = access_of(found, call, Role.VIEWER).require_project_id(), found["total_images"]
    if found["task_types"]:
        lines = [task_stats(task, total, counts.get(task)) for task in dict.fromkeys(found["task_types"])]
    else:
        lines = [task_stats("default", total, counts[None])]
    return ProjectStats(project_id=project_id, total_images=total, task_stats=lines)
