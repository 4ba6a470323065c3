"""The annotations of a project or of an image. The frontend reads a thousand of them again after every change.

Nothing is read that the caller has (see page_tag). Otherwise a page of a project is put together from its rows as they
were encoded for whoever asked last: only the rows that were written since are read and encoded again. What is kept
needs no care when something is written: the project's revision tells whether anything was, and the `xmin` that
PostgreSQL gives to each version of a row, which ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from labeler_api.annotations import store
from labeler_api.annotations.page_tag import PageTag
from labeler_api.annotations.schemas import PAGE_LIMIT, AnnotationResponse, PageQuery, annotation_response, user_ids
from labeler_api.context import Call
from labeler_api.db import page_bytes
from labeler_api.db.page_bytes import PAGE_BYTES
from labeler_api.db.pool import Row
from labeler_api.directory import UserProfile
from labeler_api.http.endpoint import Encoded
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.policy import Role
from labeler_api.members.service import access_of

_PART_BYTES = 150  # what Python needs for a kept row beside its JSON

Body = Encoded[list[AnnotationResponse]]
Users = Mapping[int, UserProfile]


@dataclass(frozen=True, slots=True)
class AnnotationPage:
    """A page, its ETag, and the cursor of the next one. No page when the caller has the one of this tag."""

    encoded: Body | None
    etag: str
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Which page of a project."""

    project_id: str
    after_id: int
    limit: int
    skip: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """A page as it was encoded last: each row's version and JSON by its id, and the names that the rows show."""

    revision: int
    names: Mapping[int, str | None]
    parts: Mapping[int, tuple[int, bytes]]
    encoded: Body
    is_cut: bool  # more rows belong to the page, but it has as many bytes as a page may have


async def page(call: Call, project: str, query: PageQuery) -> AnnotationPage:
    """List annotations of a project, or of one of its images, by id."""
    limit = min(query.limit, PAGE_LIMIT)
    after_id = decode_cursor(query.cursor, int) if query.cursor else 0
    if query.image_id:
        return await _page_of_image(call, project, query, after_id, limit)
    async with call.db.read() as connection:
        found = await store.view(connection, project, call.user_id)
    access = access_of(found, call, Role.VIEWER)
    place = _Place(access.project, after_id, limit, query.skip)
    # Read before the rows: a tag may then be older than its list, which costs a request, but never newer.
    revision: int = found["revision"] if found is not None else 0
    tag = PageTag(call, access.project, revision, ("", query.skip, limit, after_id))
    if known := await tag.still_valid():
        return AnnotationPage(None, known)
    kept, users = await _kept(call, place, revision)
    return AnnotationPage(kept.encoded, tag.of(kept.names, users), _next(list(kept.parts), limit, kept.is_cut))


async def _page_of_image(call: Call, project: str, query: PageQuery, after_id: int, limit: int) -> AnnotationPage:
    """List the few annotations of an image: one statement reads them with the access to them."""
    async with call.db.read() as connection:
        found = await store.page_of_image(
            connection, project, call.user_id, query.image_id, after_id=after_id, limit=limit, skip=query.skip
        )
    access = access_of(found[0] if found else None, call, Role.VIEWER)
    rows, is_cut = page_bytes.taken([row for row in found if row["id"] is not None])
    users = await _users(call, rows)
    tag = PageTag(call, access.project, found[0]["revision"], (query.image_id, query.skip, limit, after_id))
    shown = set[int]().union(*map(user_ids, rows))
    encoded: Body = Encoded(msgspec.json.encode([annotation_response(row, users) for row in rows]))
    return AnnotationPage(encoded, tag.of(shown, users), _next([row["id"] for row in rows], limit, is_cut))


async def _kept(call: Call, place: _Place, revision: int) -> tuple[_Kept, Users]:
    """Return the page as it is kept, brought up to date; and the users whose names it shows."""
    pages = call.services.caches.pages
    kept: _Kept | None = pages.get(place)
    if kept is not None:
        users = await call.directory.get_many(kept.names, timeout=call.remaining_seconds)
        if _names(kept.names, users) != kept.names:  # somebody has another name now, or one again
            kept = None
        elif kept.revision == revision:
            return kept, users
    rows, present, is_cut = await _read(call, place, kept)
    shown = {*(kept.names if kept is not None else ()), *set[int]().union(*map(user_ids, rows))}
    users = await call.directory.get_many(shown, timeout=call.remaining_seconds)
    names = _names(shown, users)
    if kept is not None and any(names[user_id] != name for user_id, name in kept.names.items()):
        return await _kept(call, place, revision)  # somebody got another name meanwhile
    kept = _Kept(revision, names, *_joined(rows, present, users), is_cut)
    pages.put(place, kept, sum(len(part) + _PART_BYTES for _, part in kept.parts.values()) + len(kept.encoded.body))
    return kept, users


async def _read(
    call: Call, place: _Place, kept: _Kept | None
) -> tuple[list[Row], Mapping[int, tuple[int, bytes] | None], bool]:
    """Read the rows that are not kept as they are now; say of each row of the page what is kept, and if it is cut."""
    where = (place.project_id, place.after_id, place.limit, place.skip)
    async with call.db.read() as connection:
        if kept is not None and not kept.is_cut:
            present = _present(kept, await store.row_versions(connection, *where))
            wanted = [annotation_id for annotation_id, part in present.items() if part is None]
            rows, is_cut = await store.by_ids(connection, place.project_id, wanted) if wanted else ([], False)
            if not is_cut and sum(len(part[1]) for part in present.values() if part) + _bytes(rows) <= PAGE_BYTES:
                return rows, present, False
        rows, is_cut = await store.page(connection, *where)
    return rows, {row["id"]: None for row in rows}, is_cut


def _present(kept: _Kept, row_versions: Mapping[int, int]) -> dict[int, tuple[int, bytes] | None]:
    present: dict[int, tuple[int, bytes] | None] = {}
    for annotation_id, row_version in row_versions.items():
        part = kept.parts.get(annotation_id)
        present[annotation_id] = part if part is not None and part[0] == row_version else None
    return present


def _bytes(rows: Iterable[Row]) -> int:
    """Say how much of a page rows take: in characters, of which a byte has one at most."""
    return sum(len(row["geometry"]) + len(row["attributes"]) + len(row["notes"] or "") for row in rows)


def _joined(
    rows: Iterable[Row], present: Mapping[int, tuple[int, bytes] | None], users: Users
) -> tuple[dict[int, tuple[int, bytes]], Body]:
    encode = msgspec.json.Encoder().encode
    fresh = {row["id"]: (row["row_version"], encode(annotation_response(row, users))) for row in rows}
    parts = {}
    for annotation_id, part in present.items():
        if (part := part or fresh.get(annotation_id)) is not None:  # None: deleted since the page was looked through
            parts[annotation_id] = part
    return parts, Encoded(b"[" + b",".join([part for _, part in parts.values()]) + b"]")


def _names(ids: Iterable[int], users: Users) -> dict[int, str | None]:
    return {user_id: users[user_id].full_name if user_id in users else None for user_id in ids}


async def _users(call: Call, rows: Iterable[Row]) -> Users:
    shown = set[int]().union(*map(user_ids, rows))
    return await call.directory.get_many(shown, timeout=call.remaining_seconds)


def _next(ids: list[int], limit: int, is_cut: bool) -> str | None:
    return encode_cursor(ids[-1]) if is_cut or (limit and len(ids) == limit) else None
