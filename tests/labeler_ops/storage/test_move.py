"""The objects are moved, proven to be equal, and brought back."""

from pathlib import Path

import asyncpg

from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.listing import pages
from labeler_ops.storage.store_sync import StoreSync
from tests.fixtures.sql import execute
from tests.fixtures.stored_objects import ODD_KEYS, Objects, fill, passes

KOREAN = "창고 카메라 3번, 2026년 겨울에 찍은 사진들 가운데 하나"
Sides = tuple[StorageAccess, StorageAccess]


async def test_a_second_pass_copies_what_changed_and_the_way_back_brings_what_is_new(
    move: StoreSync, source: Objects, target: Objects
) -> None:
    await fill(source, 20)
    await source.put("datasets/ds_1/images/one.tif", b"one", {"content-type": "image/tiff", "x-amz-meta-n": KOREAN})
    assert (await move.copy())[0].copied == 21
    await source.put("datasets/ds_1/images/new.jpg", b"new")
    await source.put(ODD_KEYS[1], b"changed")
    copies, _ = await move.copy()
    assert copies.copied == 2
    assert copies.known == 20
    assert (await move.verify()).same
    before = await source.listing()
    await target.put("datasets/ds_1/images/later.jpg", b"written after the switch")
    await target.put(ODD_KEYS[2], b"written anew after the switch")
    await target.delete(ODD_KEYS[3])
    copies, _ = await move.copy_back()
    report = await move.verify_back()
    assert copies.copied == 2
    assert report.same is True
    assert report.counts == {"kept": 1}
    assert (await source.get("datasets/ds_1/images/later.jpg")).body == b"written after the switch"
    assert (await source.get(ODD_KEYS[2])).body == b"written anew after the switch"
    changed = {"datasets/ds_1/images/later.jpg", ODD_KEYS[2]}
    assert {entry for entry in await source.listing() if entry[0] not in changed} == {
        entry for entry in before if entry[0] not in changed
    }
    assert (await target.store.head(move.target.datasets_bucket, "datasets/ds_1/images/one.tif")).description[
        "x-amz-meta-n"
    ] == KOREAN


async def test_what_somebody_else_wrote_is_compared_and_not_written_over(
    move: StoreSync, source: Objects, target: Objects
) -> None:
    for side in (source, target):
        await side.put("equal", b"the same")
    await source.put("other", b"ours")
    await target.put("other", b"theirs")
    copies, report = await move.copy()
    assert copies.copied == 0
    assert copies.equal == 1
    assert [(one.kind, one.key) for one in report.findings] == [("conflict", "other")]
    assert (await target.get("other")).body == b"theirs"
    copies, report = await move.copy(overwrite=True)
    assert copies.copied == 1
    assert report.same is True
    assert (await target.get("other")).body == b"ours"


async def test_the_database_says_what_there_must_be(
    sides: Sides, source: Objects, tmp_path: Path, labeler_dsn: str
) -> None:
    connection = await asyncpg.connect(labeler_dsn)
    await connection.execute(
        "INSERT INTO datasets (id, name, owner_id, visibility, storage_path, annotation_path) "
        "VALUES ('ds_1', 'one', 1, 'private', 'datasets/ds_1/', 'datasets/ds_1/annotations_detection.json')"
    )
    await connection.execute(
        "INSERT INTO image_metadata (dataset_id, id, file_name, size, s3_key, thumbnail_key) "
        "VALUES ('ds_1', 'a', 'a.jpg', 1, 'datasets/ds_1/images/a.jpg', 'datasets/ds_1/thumbnails/a.jpg')"
    )
    await connection.close()
    await source.put("datasets/ds_1/images/a.jpg", b"a")
    await source.put("backups//odd", b"b")
    move = passes(tmp_path, *sides, labeler_dsn)
    report = await move.compare()
    assert report.referenced == 3
    assert {(one.kind, one.key) for one in report.findings if one.kind != "key"} == {
        ("lost", "datasets/ds_1/annotations_detection.json"),
        ("lost", "datasets/ds_1/thumbnails/a.jpg"),
        ("missing", "datasets/ds_1/images/a.jpg"),
        ("missing", "backups/odd"),  # this store drops the empty name
        ("orphan", "backups/odd"),
    }
    assert not (await move.copy())[1].same  # what is lost cannot be copied, and is said again


async def test_thumbnails_of_the_schema_of_before_are_the_database_s(
    sides: Sides, source: Objects, tmp_path: Path, production_dsn: str
) -> None:
    """Its rows do not name them. One that is missing is not lost: not every image of before has one."""
    await execute(production_dsn, "DELETE FROM image_metadata WHERE right(id, 4)::int > 2")
    for n in (1, 2):
        await source.put(f"datasets/ds_00000000000000a1/images/images/zipper/good/000{n}.png", b"image")
    await source.put("datasets/ds_00000000000000a1/thumbnails/images/zipper/good/0001.jpg", b"thumbnail")
    await source.put("exports/old.json", b"{}")
    report = await passes(tmp_path, *sides, production_dsn).compare()
    assert report.referenced == 2
    assert [one.key for one in report.findings if one.kind == "orphan"] == ["exports/old.json"]
    assert "lost" not in report.counts


async def test_a_listing_of_many_pages_is_whole(source: Objects) -> None:
    await fill(source, 20)
    listed = [page async for page in pages(source.store, source.store.access.datasets_bucket, at_once=6)]
    assert [len(page) for page in listed] == [6, 6, 6, 2]
    assert set(ODD_KEYS) < {entry[0] for page in listed for entry in page}
