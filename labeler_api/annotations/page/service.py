"""The annotations of a project or of an image. The frontend reads a thousand of them again after every change.

A page that the caller already has is not read again (see `page/etag.py`). Otherwise a page of a project is made from
the rows as they were encoded for the last caller: only rows written since are read and encoded again. This cache needs
no invalidation. The project's revision says whether anything was written, and each row's transaction number (xmin) says
which rows. One statement reads all of that, with the access to the project.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from labeler_api.annotations.editing import store as editing_store
from labeler_api.annotations.editing.schemas import AnnotationResponse, annotation_response, user_ids
from labeler_api.annotations.editing.store import PageOfImage
from labeler_api.annotations.page import store
from labeler_api.annotations.page.etag import PageTag
from labeler_api.annotations.page.schemas import PAGE_LIMIT, PageQuery
from labeler_api.annotations.page.store import KnownPage, PagePosition, Read
from labeler_api.context import Call
from labeler_api.db import page_bytes
from labeler_api.db.page_bytes import PAGE_BYTES
from labeler_api.db.pool import Row
from labeler_api.http.endpoint import Encoded, matches
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.authorization.service import access_of, not_found
from labeler_api.members.policy import Role
from labeler_api.user_directory.directory import UserProfile

_PART_BYTES = 150  # what Python needs for a kept row beside its JSON
_PAGE_OF_IMAGE_BYTES = 1500  # what Python needs for a page of an image beside its JSON

Body = Encoded[list[AnnotationResponse]]
Users = Mapping[int, UserProfile]


@dataclass(frozen=True, slots=True)
class AnnotationPage:
    """A page, its ETag, and the cursor of the next one. No page when the caller has the one of this tag."""

    encoded: Body | None
    etag: str
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class _CachedAnnotationPage:
    """A page as it was encoded last, and the JSON of each row by its id."""

    known: KnownPage
    names: Mapping[int, str | None]  # that the rows show
    parts: Mapping[int, bytes]
    encoded: Body
    etag: str
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _KeptOfImage:
    """The page of an image as it was encoded last, and the project and the revision that it is true of."""

    known: tuple[str, int]
    names: Mapping[int, str | None]  # that the rows show
    page: AnnotationPage


async def page(call: Call, project: str, query: PageQuery) -> AnnotationPage:
    """List annotations of a project, or of one of its images, by id."""
    limit = min(query.limit, PAGE_LIMIT)
    after_id = decode_cursor(query.cursor, int) if query.cursor else 0
    if query.image_id:
        return await _page_of_image(call, PageOfImage(project, query.image_id, after_id, limit, query.skip))
    place = PagePosition(project, after_id, limit, query.skip)
    kept = await _kept(call, place)
    if kept is None and call.if_none_match:
        # The caller's page may still be right, and checking its tag costs less than making the page.
        async with call.db.read() as connection:
            found = await store.view(connection, project, call.user_id)
        if known := await _tag(call, place, found).still_valid():
            return AnnotationPage(None, known)
    kept = await _brought_up(call, place, kept)
    if matches(call.if_none_match, kept.etag):
        return AnnotationPage(None, kept.etag)
    return AnnotationPage(kept.encoded, kept.etag, kept.next_cursor)


def _tag(call: Call, place: PagePosition, found: Row | None) -> PageTag:
    """Judge the access, and make the tag of a page of this revision."""
    project_id = access_of(found, call, Role.VIEWER).require_project_id()
    revision: int = found["revision"] if found is not None else 0
    return PageTag(call, project_id, revision, ("", place.skip, place.limit, place.after_id))


async def _page_of_image(call: Call, place: PageOfImage) -> AnnotationPage:
    """List the few annotations of an image: one statement reads them with the access to them.

    They are not read again until something is written in the project, or one of their users gets another name.
    """
    kept: _KeptOfImage | None = call.services.caches.pages.get(place)
    if kept is not None:
        users = await call.directory.get_many(kept.names, timeout=call.remaining_seconds)
        kept = kept if _names(kept.names, users) == kept.names else None
    async with call.db.read() as connection:
        known = kept.known if kept is not None else None
        found = await editing_store.page_of_image(connection, place, call.user_id, known)
    access = access_of(found[0] if found else None, call, Role.VIEWER)
    known = access.require_project_id(), found[0]["revision"]
    if kept is not None and kept.known == known:
        return kept.page
    rows, is_cut = page_bytes.taken([row for row in found if row["id"] is not None])
    shown = set[int]().union(*map(user_ids, rows))
    users = await call.directory.get_many(shown, timeout=call.remaining_seconds)
    tag = PageTag(call, *known, (place.image_id, place.skip, place.limit, place.after_id))
    encoded: Body = Encoded(msgspec.json.encode([annotation_response(row, users) for row in rows]))
    page = AnnotationPage(encoded, tag.of(shown, users), _next([row["id"] for row in rows], place.limit, is_cut))
    kept = _KeptOfImage(known, _names(shown, users), page)
    call.services.caches.pages.put(place, kept, len(encoded.body) + _PAGE_OF_IMAGE_BYTES)
    return page


async def _kept(call: Call, place: PagePosition) -> _CachedAnnotationPage | None:
    """Return the kept page, unless one of its users has another name now."""
    kept: _CachedAnnotationPage | None = call.services.caches.pages.get(place)
    if kept is None:
        return None
    users = await call.directory.get_many(kept.names, timeout=call.remaining_seconds)
    return kept if _names(kept.names, users) == kept.names else None


async def _brought_up(call: Call, place: PagePosition, kept: _CachedAnnotationPage | None) -> _CachedAnnotationPage:
    """Bring the page up to date, and keep it."""
    read = await _read(call, place, kept)
    found = read.found
    if found is None:
        raise not_found()
    project_id = access_of(found, call, Role.VIEWER).require_project_id()
    if project_id != place.reference:  # it was the dataset's id: the frontend sends the project's
        return await _brought_up(call, replace(place, reference=project_id), None)
    if kept is not None and (project_id, found["revision"]) == (kept.known.project_id, kept.known.revision):
        return kept
    parts = _still_true(kept, read)
    if not parts:
        kept = None
    if parts is None:
        parts = {}
        read = await _read(call, place, None)
    shown = {*(kept.names if kept is not None else ()), *set[int]().union(*map(user_ids, read.rows))}
    users = await call.directory.get_many(shown, timeout=call.remaining_seconds)
    names = _names(shown, users)
    if kept is not None and any(names[user_id] != name for user_id, name in kept.names.items()):
        return await _brought_up(call, place, None)  # somebody got another name meanwhile
    parts, body = _joined(read, parts, users)
    horizon = None if read.is_cut else found["horizon"]
    etag, cursor = _tag(call, place, found).of(shown, users), _next(list(parts), place.limit, read.is_cut)
    kept = _CachedAnnotationPage(KnownPage(project_id, found["revision"], horizon), names, parts, body, etag, cursor)
    size = sum(len(part) + _PART_BYTES for part in parts.values()) + len(body.body)
    call.services.caches.pages.put(place, kept, size)
    return kept


async def _read(call: Call, place: PagePosition, kept: _CachedAnnotationPage | None) -> Read:
    async with call.db.read() as connection:
        return await store.page(connection, place, call.user_id, kept.known if kept is not None else None)


def _still_true(kept: _CachedAnnotationPage | None, read: Read) -> Mapping[int, bytes] | None:
    """Return what is kept of the rows that were not read; None where not all of it is, or it is too much for a page."""
    fresh = {row["id"] for row in read.rows}
    if kept is None or kept.known.horizon is None:
        return {}
    old = [annotation_id for annotation_id in read.ids if annotation_id not in fresh]
    # A row may have been behind the end of the page: one before it is gone.
    if read.is_cut or not all(annotation_id in kept.parts for annotation_id in old):
        return None
    parts = {annotation_id: kept.parts[annotation_id] for annotation_id in old}
    return parts if sum(map(len, parts.values())) + _bytes(read.rows) <= PAGE_BYTES else None


def _bytes(rows: Iterable[Row]) -> int:
    """Say how much of a page rows take: in characters, of which a byte has one at most."""
    return sum(len(row["geometry"]) + len(row["attributes"]) + len(row["notes"] or "") for row in rows)


def _joined(read: Read, known: Mapping[int, bytes], users: Users) -> tuple[dict[int, bytes], Body]:
    encode = msgspec.json.Encoder().encode
    fresh = {row["id"]: encode(annotation_response(row, users)) for row in read.rows}
    ids = list(fresh) if read.is_cut else read.ids
    parts = {annotation_id: fresh.get(annotation_id) or known[annotation_id] for annotation_id in ids}
    return parts, Encoded(b"[" + b",".join(parts.values()) + b"]")


def _names(ids: Iterable[int], users: Users) -> dict[int, str | None]:
    return {user_id: users[user_id].full_name if user_id in users else None for user_id in ids}


def _next(ids: list[int], limit: int, is_cut: bool) -> str | None:
    return encode_cursor(ids[-1]) if is_cut or (limit and len(ids) == limit) else None
