"""The objects alone: moved while users read only, proved, switched, and brought back; killed wherever it is."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move.lock import exclusive_copy
from labeler_ops.runs import Run, RunError
from labeler_ops.storage.access import StorageAccess, StorageError
from tests.fixtures.move_variables import variables
from tests.fixtures.store_proxies import road as way
from tests.fixtures.stored_objects import Objects, fill
from tests.labeler_ops.move.moving import again, begun, objects
from tests.labeler_ops.move.operator import Order, done

COUNT = 60
KILLED = -9
Stores = tuple[StorageAccess, StorageAccess]


@pytest.mark.destructive
async def test_killed_in_any_phase_it_goes_on_and_comes_out_the_same(
    stores: Stores, source_objects: Objects, target_objects: Objects, tmp_path: Path
) -> None:
    """In the middle of a pass, of a comparison, between two files; the source is only read until the way back."""
    await fill(source_objects, COUNT)
    async with way(stores[0]) as watched:
        ends = objects(watched.access, stores[1])
        move = begun(tmp_path, ends)
        directory = move.run.directory
        assert await done(Order(directory, ends, die_in=("copied", 30))) == KILLED
        await again(directory, ends).run_forward(until="objects, first pass")
        copies = _facts(directory, "objects, first pass")
        # What was put and not yet written down is found equal, and not put again.
        assert copies["known"] == 29
        assert copies["known"] + copies["equal"] + copies["copied"] == COUNT
        assert await done(Order(directory, ends, die_in=("digested", 30))) == KILLED
        assert await done(Order(directory, ends, die_in=("written", 1))) == KILLED
        assert not _has(directory, "environment.new")
        moved = again(directory, ends)
        await moved.run_forward()
        whole = _facts(directory, "verify objects")["digest"]
        new = directory / "environment.new"
        assert variables(new)["S3_ENDPOINT"] == stores[1].endpoint
        assert _mode(new) == 0o600
        assert set(watched.methods) == {"GET"}

        await moved.open()
        await asyncio.gather(*(target_objects.put(f"datasets/ds_1/images/later-{n}.jpg", b"later") for n in range(20)))
        assert await done(Order(directory, ends, "rollback", die_in=("copied", 10))) == KILLED
        await again(directory, ends).rollback()
        assert _facts(directory, "back: verify objects")["digest"] != whole
        assert variables(directory / "environment.rollback")["S3_ENDPOINT"] == watched.access.endpoint
        assert set(watched.methods) == {"GET", "HEAD", "PUT"}  # nothing is ever removed from the source
    assert {entry[:2] for entry in await source_objects.listing()} == {
        entry[:2] for entry in await target_objects.listing()
    }


async def test_users_read_only_while_the_last_objects_are_copied(
    stores: Stores, source_objects: Objects, labeler_dsn: str, tmp_path: Path
) -> None:
    """The database that names the objects stays where it is: it is closed for the last pass, and opened again."""
    await fill(source_objects, 20)
    move = begun(tmp_path, objects(*stores, labeler_dsn))
    await move.run_forward()
    assert (await fence.status(labeler_dsn)).stands
    await move.open()
    assert not (await fence.status(labeler_dsn)).fenced
    await move.rollback()
    assert not (await fence.status(labeler_dsn)).fenced
    assert len(move.run.path("report.txt").read_text().split("nobody could write for")) == 3  # there and back


async def test_before_the_opening_a_way_back_opens_the_database_and_changes_no_store(
    stores: Stores, source_objects: Objects, labeler_dsn: str, tmp_path: Path
) -> None:
    await fill(source_objects, 20)
    move = begun(tmp_path, objects(*stores, labeler_dsn))
    before = await source_objects.listing()
    with pytest.raises(DatabaseError, match="after the switch, which has not been made yet"):
        await move.open()
    await move.run_forward()
    await move.rollback()
    assert not (await fence.status(labeler_dsn)).fenced
    assert await source_objects.listing() == before


async def test_an_object_that_comes_late_is_copied_before_both_are_compared_again(
    stores: Stores, source_objects: Objects, target_objects: Objects, tmp_path: Path
) -> None:
    """An upload that the stop cut off may put its object in the next second."""
    await fill(source_objects, 20)
    move = begun(tmp_path, objects(*stores))
    await move.run_forward(until="objects, last pass")
    await source_objects.put("datasets/ds_1/images/late.jpg", b"late")
    await move.run_forward()
    assert (await target_objects.get("datasets/ds_1/images/late.jpg")).body == b"late"


async def test_a_difference_that_is_nobody_s_late_upload_stops_the_move(
    stores: Stores, source_objects: Objects, target_objects: Objects, tmp_path: Path
) -> None:
    await fill(source_objects, 20)
    move = begun(tmp_path, objects(*stores))
    await move.run_forward(until="objects, last pass")
    await target_objects.put("datasets/of_others/1.jpg", b"theirs")
    with pytest.raises(StorageError, match=r"not the same: extra: datasets/datasets/of_others/1\.jpg"):
        await move.run_forward()
    assert move.run.ended("switch") is None


async def test_two_copies_at_once_and_a_wrong_store_are_refused(stores: Stores, tmp_path: Path) -> None:
    move = begun(tmp_path, objects(*stores))
    with exclusive_copy(tmp_path, stores[1]), pytest.raises(StorageError, match="another copy"):
        await move.run_forward()
    with pytest.raises(RunError, match="give its URLs"):
        again(move.run.directory, objects(stores[1], stores[0]))


def _facts(directory: Path, phase: str) -> dict[str, Any]:
    return dict(Run.read(directory).ended(phase) or {})


def _has(directory: Path, name: str) -> bool:
    return (directory / name).exists()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
