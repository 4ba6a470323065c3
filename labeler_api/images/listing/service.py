"""Use cases of images: preview, page, summary. Uploading is in `upload`, the bytes are in `media`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.errors import BadRequest, invalid
from labeler_api.http.endpoint import Encoded, Reply
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.images.listing import store
from labeler_api.images.listing.schemas import (
    DatasetSummary,
    ImageMetadata,
    ImagePage,
    PageQuery,
    PreviewImage,
    PreviewQuery,
    SummaryImage,
    TaskProgress,
)
from labeler_api.images.listing.store import KnownImages
from labeler_api.images.media.links import ImageLinks, full_name, image_links, note_shown, stay_good
from labeler_api.members.authorization import service as members
from labeler_api.members.policy import Role

_PREVIEW_CAP = 200  # as the other lists of images; the preview had no bound
_PAGE_CAP = 200  # contract#paging
_SUMMARY_IMAGES = 12  # contract#datasets
_ROW_BYTES = 1000  # what Python needs for a kept row beside its JSON


class Position(msgspec.Struct, array_like=True):
    """Where a page of images ended."""

    uploaded_at: datetime
    image_id: str


class _ImagePageKey(NamedTuple):
    """Which page, and for whom: links name their user, and when they expire."""

    reference: str
    limit: int
    offset: int
    cursor: str | None
    user_id: int
    expires: int


@dataclass(frozen=True, slots=True)
class _CachedPage:
    """A page as it was encoded last, and the rows of its images."""

    known: KnownImages
    encoded: Encoded[ImagePage]
    headers: dict[str, str]
    rows: list[Row]


async def preview(call: Call, reference: str, query: PreviewQuery) -> list[PreviewImage]:
    """Show some images of a dataset, at random or the first ones."""
    limit = min(query.limit, _PREVIEW_CAP)
    async with call.db.read() as connection:
        if query.random:
            found = await store.sample(connection, reference, call.user_id, limit)
        else:
            found = await store.preview(connection, reference, call.user_id, limit)
    _, rows = _judged(call, found)
    return [
        PreviewImage(
            id=row["id"],
            file_name=row["id"],
            width=row["width"],
            height=row["height"],
            url=links.url,
            thumbnail_url=links.thumbnail_url,
        )
        for row, links in zip(rows, await image_links(call, rows), strict=True)
    ]


async def page(call: Call, reference: str, query: PageQuery) -> Reply[ImagePage]:
    """List the images of a project by the time of their upload. `X-Next-Cursor` leads to the next page.

    A page is kept as it was encoded, until the revision of the images shows that one of them has changed.
    """
    if query.limit < 0:
        raise invalid("has to be 0 or more", "query", "limit")
    if not 1 <= query.limit <= _PAGE_CAP:
        raise BadRequest(f"The limit has to be a number from 1 to {_PAGE_CAP}.", code="limit_out_of_range")
    position = decode_cursor(query.cursor, Position) if query.cursor else None
    place = _ImagePageKey(reference, query.limit, query.offset, query.cursor, call.user_id, call.links.image_expiry())
    kept: _CachedPage | None = call.services.caches.pages.get(place)
    async with call.db.read() as connection:
        found = await _found(connection, place, position, kept.known if kept is not None else None)
    access, rows = _judged(call, found)
    known = KnownImages(access.require_project_id(), found[0]["images_revision"], found[0]["total"])
    if kept is not None and kept.known == known:
        note_shown(call, kept.rows)
    else:
        kept = await _made(call, access, known, rows, query.limit)
        if stay_good(call, rows):
            call.services.caches.pages.put(place, kept, len(kept.encoded.body) + len(rows) * _ROW_BYTES)
    return Reply(kept.encoded, headers=kept.headers)


async def _found(
    connection: ReadConnection, place: _ImagePageKey, position: Position | None, known: KnownImages | None
) -> list[Row]:
    reference, limit, offset, _, user_id, _ = place
    if position is None:
        return await store.page(connection, reference, user_id, limit, offset, known)
    after = position.uploaded_at, position.image_id
    return await store.page_after(connection, reference, user_id, limit, after, known)


async def _made(call: Call, access: members.Access, known: KnownImages, rows: list[Row], limit: int) -> _CachedPage:
    links = await image_links(call, rows)
    images = [_metadata(row, link) for row, link in zip(rows, links, strict=True)]
    value = ImagePage(
        images=images, total=known.total, dataset_id=access.dataset_id, project_id=access.require_project_id()
    )
    headers = {}
    if len(rows) >= limit:
        headers["X-Next-Cursor"] = encode_cursor(Position(rows[-1]["uploaded_at"], rows[-1]["id"]))
    return _CachedPage(known, Encoded(msgspec.json.encode(value)), headers, rows)


def _metadata(row: Row, links: ImageLinks) -> ImageMetadata:
    name = full_name(row)
    return ImageMetadata(
        id=row["id"],
        key=row["s3_key"],
        filename=name,
        file_name=name,
        folder_path=row["folder_path"],
        size=row["size"],
        last_modified=row["last_modified"],
        url=links.url,
        thumbnail_url=links.thumbnail_url,
        width=row["width"],
        height=row["height"],
    )


async def summary(call: Call, reference: str) -> DatasetSummary:
    """Count what a dataset holds, and link to its first images."""
    async with call.db.read() as connection:
        found = await store.summary(connection, reference, call.user_id, _SUMMARY_IMAGES)
    access, first = _judged(call, found)
    row = found[0]
    return DatasetSummary(
        dataset_id=access.dataset_id,
        name=row["name"],
        total_images=row["total_images"],
        total_bytes=row["total_bytes"],
        annotated_images=row["annotated_images"],
        total_annotations=row["total_annotations"],
        tasks=_tasks(row),
        thumbnails=[
            SummaryImage(
                image_id=image["id"], file_name=full_name(image), url=links.url, thumbnail_url=links.thumbnail_url
            )
            for image, links in zip(first, await image_links(call, first), strict=True)
        ],
        updated_at=row["updated_at"],
    )


def _judged(call: Call, found: Sequence[Row]) -> tuple[members.Access, list[Row]]:
    """Judge the access to what was found; return it, and those rows that are images."""
    access = members.access_of(found[0] if found else None, call, Role.VIEWER)
    return access, [row for row in found if row["id"] is not None]


def _tasks(row: Row) -> list[TaskProgress]:
    """One entry per task of the project, in its order; an image without a state has not been started."""
    begun = zip(row["begun_tasks"] or (), row["in_progress"] or (), row["completed"] or (), strict=True)
    states = {task: (in_progress, completed) for task, in_progress, completed in begun}
    found = [(task, *states.get(task, (0, 0))) for task in row["task_types"] or ()]
    total = row["total_images"]
    return [
        TaskProgress(
            task_type=task,
            not_started=max(0, total - in_progress - completed),
            in_progress=in_progress,
            completed=completed,
        )
        for task, in_progress, completed in found
    ]
