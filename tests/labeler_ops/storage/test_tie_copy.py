"""A move of the objects takes the tie along, and so does the way back; and never to buckets of another database."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from labeler_api.object_store.bucket_ownership import KEY, TieObject
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.s3 import ObjectGone
from labeler_ops.storage.store_sync import StoreSync
from tests.fixtures.stored_objects import Objects, fill

ROLES = ("datasets", "annotations")


async def tied_to(side: Objects, database: UUID, *roles: str) -> None:
    """Write a tie, each time with a time of its own."""
    content = msgspec.json.encode(TieObject(database, "labeler", datetime.now(UTC)))
    for role in roles or ROLES:
        await side.put(KEY, content, {"content-type": "application/json"}, role)


async def names(side: Objects) -> list[UUID | None]:
    found: list[UUID | None] = []
    for bucket in side.store.access.buckets:
        try:
            found.append(msgspec.json.decode((await side.store.fetch(bucket, KEY)).body, type=TieObject).id)
        except ObjectGone:
            found.append(None)
    return found


async def remove_tie(side: Objects) -> None:
    await side.delete(KEY)


async def test_a_copy_ties_the_target(source: Objects, target: Objects, move: StoreSync) -> None:
    await fill(source, 12)
    database = uuid4()
    await tied_to(source, database)
    copies, report = await move.copy()
    assert copies.copied == 12
    assert report.same is True
    assert await names(target) == [database, database]
    verified = await move.verify()
    assert verified.same is True
    assert verified.source_objects == 12
    assert verified.target_objects == 12


async def test_a_target_that_init_has_tied_already_is_no_conflict(
    source: Objects, target: Objects, move: StoreSync
) -> None:
    await fill(source, 12)
    database = uuid4()
    await tied_to(source, database)
    await asyncio.sleep(0.01)
    await tied_to(target, database)
    assert (await move.copy())[1].same
    assert (await move.verify()).same
    assert await names(target) == [database, database]


@pytest.mark.parametrize("role", ROLES)
async def test_nothing_is_copied_to_buckets_of_another_database(
    source: Objects, target: Objects, move: StoreSync, role: str
) -> None:
    await fill(source, 12)
    await tied_to(source, uuid4())
    other = uuid4()
    await tied_to(target, other, role)
    await target.put("datasets/of_others/images/1.jpg", b"theirs", role=role)
    before = await target.listing()
    with pytest.raises(StorageError, match=f"belongs to {other}"):
        await move.copy()
    assert await target.listing() == before
    assert sorted(map(str, await names(target))) == sorted([str(other), "None"])


async def test_empty_buckets_that_a_first_start_has_tied_are_taken(
    source: Objects, target: Objects, move: StoreSync
) -> None:
    await fill(source, 12)
    database = uuid4()
    await tied_to(source, database)
    await tied_to(target, uuid4())
    assert (await move.copy())[1].same
    assert await names(target) == [database, database]


async def test_a_source_without_a_tie_gives_none(source: Objects, target: Objects, move: StoreSync) -> None:
    await fill(source, 12)
    assert (await move.copy())[1].same
    assert (await move.verify()).same
    assert await names(target) == [None, None]


async def test_a_tie_that_is_missing_or_another_is_a_difference(
    source: Objects, target: Objects, move: StoreSync
) -> None:
    await fill(source, 12)
    await tied_to(source, uuid4())
    await move.copy()
    await remove_tie(target)
    assert (await move.verify()).counts == {"tie": 1}
    await tied_to(target, uuid4())
    report = await move.verify()
    assert report.counts == {"tie": 2}


async def test_the_way_back_restores_it(
    source: Objects, target: Objects, move: StoreSync, sides: tuple[StorageAccess, StorageAccess]
) -> None:
    await fill(source, 12)
    database = uuid4()
    await tied_to(source, database)
    await move.copy()
    await remove_tie(source)
    await move.copy_back()
    report = await move.verify_back()
    assert report.same is True
    assert await names(source) == [database] * 2
    assert await names(target) == [database] * 2
    assert sides
