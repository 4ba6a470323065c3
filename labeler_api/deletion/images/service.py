"""Use cases of deleting images: one or many, bringing them back, and the list of those that can come back.

One transaction decides over all images of a call: all of them go, or none. What is drawn on them goes with them, each
annotation by a revision of its own, and comes back with them. Published versions have copies of what they need.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.deletion.datasets import store as datasets_store
from labeler_api.deletion.images import store
from labeler_api.deletion.images.schemas import (
    DeletedImage,
    DeletedImagePage,
    DeletedImages,
    DeletedQuery,
    DeleteImages,
    RestoredImages,
    RestoreImages,
)
from labeler_api.errors import BadRequest, Conflict, NotFound, RetryTransaction, Unavailable
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.images.media.links import ImageLinks, full_name, links_to_deleted
from labeler_api.locks.deletion_locks.service import take_images
from labeler_api.locks.image_locks.service import image_not_found, naming_the_holder
from labeler_api.members.authorization.service import Access, authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.text.names import quoted
from labeler_api.user_directory.directory import UserProfile

RESTORABLE = timedelta(days=30)  # somebody who misses an image does so with the next version, and those are monthly
# So many are moved within the seconds of a request, and wait for no place among exports and imports: with a hundred
# annotations each they take two. More may take longer than a request's limits, and queue for long work.
_QUICK = 100
_SECONDS = 600.0  # as the deletion of a dataset
_RETRY_SECONDS = 60
_AFTER_ALL = 2**63 - 1


async def delete(call: Call, reference: str, image_id: str) -> DeletedImages:
    """Delete one image. Raises NotFound, Locked while somebody else holds it or an import is at work on it."""
    async with naming_the_holder(call), call.db.begin() as tx:
        tx.queue_for_project(reference)
        access = await authorize(tx, call, reference, Role.ADMIN, ProjectLock.ROLE)
        row = await _delete(tx, call, access, [image_id])
    return _deleted(call, row)


async def delete_many(call: Call, reference: str, body: DeleteImages) -> DeletedImages:
    """Delete images, all or none. Raises Locked as `delete` does, NotFound when the dataset has none of them."""
    long = len(body.image_ids) > _QUICK
    async with _bounded("Deleting"), naming_the_holder(call), call.db.begin(long=long) as tx:
        tx.queue_for_project(reference)
        access = await authorize(tx, call, reference, Role.ADMIN, ProjectLock.ROLE)
        row = await idempotency.once(tx, call, lambda: _delete(tx, call, access, body.image_ids))
    return _deleted(call, row)


async def restore(call: Call, reference: str, body: RestoreImages) -> RestoredImages:
    """Bring deleted images back, all or none, with what was drawn on them.

    Raises NotFound when none of the deletions can be undone (any more), Conflict when another image has an id or path.
    """
    long = len(body.deletion_ids) > _QUICK
    async with _bounded("Restoring"), call.db.begin(long=long) as tx:
        tx.queue_for_project(reference)
        access = await authorize(tx, call, reference, Role.ADMIN, ProjectLock.ROLE)
        row = await idempotency.once(tx, call, lambda: _restore(tx, call, access, body.deletion_ids))
    return msgspec.convert(row, RestoredImages)


async def page(call: Call, reference: str, query: DeletedQuery) -> tuple[DeletedImagePage, str | None]:
    """List the deleted images of a dataset, the latest deletion first; and the cursor of the next page."""
    before = decode_cursor(query.cursor, int) if query.cursor else _AFTER_ALL
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
        # One row more than a page has tells whether there is a next one.
        found = await store.page(connection, access.dataset_id, before, query.limit + 1)
    rows = found[: query.limit]
    users = await call.directory.get_many({row["deleted_by"] for row in rows}, timeout=call.remaining_seconds)
    links = await links_to_deleted(call, rows)
    images = [_entry(row, link, users) for row, link in zip(rows, links, strict=True)]
    following = encode_cursor(rows[-1]["deletion_id"]) if len(found) > query.limit else None
    return DeletedImagePage(dataset_id=access.dataset_id, images=images), following


async def _delete(tx: WriteTransaction, call: Call, access: Access, image_ids: Sequence[str]) -> Row:
    taken = await take_images(tx, call, access, image_ids)
    if not taken:
        raise image_not_found(image_ids[0])
    if access.project_id is None and await datasets_store.project_of(tx, access.dataset_id) is not None:
        raise RetryTransaction("The dataset got its project at this moment. Try again.", retry_after=1)
    moved = await store.move(tx, access.dataset_id, access.project_id, taken, call.user_id, RESTORABLE)
    annotations = sum(row["annotations"] for row in moved)
    drawn = sum(row["annotations"] > 0 for row in moved)
    await _change(tx, call, access, -annotations, -drawn)
    there = set(taken)
    return {
        "dataset_id": access.dataset_id,
        "deleted": len(moved),
        "annotations": annotations,
        "restorable_until": moved[0]["restorable_until"],
        "images": [{name: row[name] for name in ("deletion_id", "image_id", "annotations")} for row in moved],
        "missing": [image_id for image_id in dict.fromkeys(image_ids) if image_id not in there],
    }


async def _restore(tx: WriteTransaction, call: Call, access: Access, deletion_ids: Sequence[int]) -> Row:
    found = await store.take_deleted(tx, access.dataset_id, deletion_ids)
    if not found:
        raise NotFound(
            "None of these deletions can be undone: they were undone already, or their time is over. "
            "GET /datasets/{id}/images/deleted lists those that can.",
            code="deletion_not_found",
        )
    ids, names = [row["id"] for row in found], [row["image_id"] for row in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"Two of these deletions are of the image {quoted(twice)}. Choose one.", code="image_twice")
    await _require_room(tx, ids)  # before the work, and once more when uploads have to wait
    annotations, drawn = await store.put_back_rows(tx, ids, access.project_id, call.user_id)
    await _change(tx, call, access, annotations, drawn, restored=ids)
    return {
        "dataset_id": access.dataset_id,
        "restored": len(ids),
        "annotations": annotations,
        "image_ids": sorted(names),
        "missing": [deletion for deletion in dict.fromkeys(deletion_ids) if deletion not in set(ids)],
    }


async def _change(
    tx: WriteTransaction, call: Call, access: Access, annotations: int, drawn: int, restored: Sequence[int] = ()
) -> None:
    """Do what uploads have to wait for, at the end: it takes milliseconds."""
    if not await store.change_dataset(tx, access.dataset_id):
        raise not_found()
    if restored:
        await _require_room(tx, restored)
        await store.put_back_images(tx, restored)
    await store.count(tx, access.dataset_id, access.project_id, annotations, drawn, call.user_id)


async def _require_room(tx: WriteTransaction, deletion_ids: Sequence[int]) -> None:
    taken = await store.taken_place(tx, deletion_ids)
    if taken is not None:
        raise Conflict(
            f"The image {quoted(taken)} has been uploaded again since it was deleted. Delete the new one first, or "
            "leave this one out. Nothing was restored.",
            code="image_exists",
            image_id=taken,
        )


def _deleted(call: Call, row: Row) -> DeletedImages:
    answer = msgspec.convert(row, DeletedImages)
    for image in answer.images:  # other processes forget it within seconds
        call.services.caches.images.forget((answer.dataset_id, image.image_id))
    return answer


def _entry(row: Row, links: ImageLinks, users: Mapping[int, UserProfile]) -> DeletedImage:
    user = users.get(row["deleted_by"])
    return DeletedImage(
        deletion_id=row["deletion_id"],
        image_id=row["id"],
        file_name=full_name(row),
        folder_path=row["folder_path"],
        size=row["size"],
        width=row["width"],
        height=row["height"],
        annotations=row["annotation_count"],
        deleted_at=row["deleted_at"],
        deleted_by=row["deleted_by"],
        deleted_by_name=user.full_name if user else None,
        restorable_until=row["restorable_until"],
        is_restorable=row["is_restorable"],
        url=links.url,
        thumbnail_url=links.thumbnail_url,
    )


@asynccontextmanager
async def _bounded(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_SECONDS):
            yield
    except TimeoutError:
        raise Unavailable(
            f"{what} took longer than ten minutes and was given up; nothing has changed. Choose fewer images, or try "
            "again when the system is less busy.",
            code="deletion_timeout",
            retry_after=_RETRY_SECONDS,
        ) from None
