"""The backup before a deletion: complete, proven by putting the rows back, and a condition for the deletion."""

import hashlib
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from labeler_api.context import Call
from labeler_api.deletion.backup import service as backup_service
from labeler_api.deletion.datasets.schemas import BackupFile
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import (
    delete,
    done,
    due,
    full_dataset,
    left,
    objects_of,
    read_lines,
    tables_of,
    workers,
)
from tests.fixtures.versions import BOX, CLASSES, stored_keys

Verify = Callable[[Call, BackupFile], Awaitable[None]]


async def read(api: Api, key: str) -> bytes:
    async with api.services.objects.open("datasets", key) as stream:
        return await stream.read()


async def test_a_backup_holds_everything_and_outlives_the_purge(api: Api) -> None:
    dataset = await full_dataset(api)
    before = await left(api, dataset)
    answer = await delete(await api.login("owner"), dataset, create_backup=True)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["backup_created"] is True
    key = body["backup_files"][dataset.project_id]
    assert key.startswith(f"backups/{dataset.id}/{dataset.project_id}/backup_2")
    assert key.endswith(".json")
    async with workers(api):
        await done(api)
    assert await objects_of(api, dataset) == []
    for file in body["backup"]:
        content = await read(api, file["key"])
        assert len(content) == file["size_bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    lines = await read_lines(api, body["backup"][1]["key"])
    assert lines[0]["dataset_id"] == dataset.id
    counts = tables_of(lines)
    assert counts == {table: number for table, number in lines[0]["rows"].items() if number}
    del before["image_locks"]  # nobody holds them afterwards
    assert counts == before | {"annotation_snapshots": 3}
    await put_back(api, lines)
    assert await left(api, dataset) == before


async def put_back(api: Api, lines: list[dict[str, object]]) -> None:
    """Insert the rows of a backup as docs/deletion.md says."""
    async with api.db.begin() as tx:
        for line in lines[1:]:
            await tx.execute(
                f"INSERT INTO {line['table']} SELECT * FROM jsonb_populate_record(NULL::{line['table']}, $1::jsonb)",
                msgspec.json.encode(line["row"]).decode(),
            )


async def test_the_dice_file_tells_every_task_and_every_draft(api: Api) -> None:
    classes = CLASSES | {"classification": {"c_cat": {"name": "an image of cats", "color": "#0000ff", "order": 0}}}
    dataset = await full_dataset(api, images=2)
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_projects SET task_classes = $2 WHERE id = $1",
            dataset.project_id,
            msgspec.json.encode(classes).decode(),
        )
    body = (await delete(await api.login("owner"), dataset, create_backup=True)).json()
    dice = msgspec.json.decode(await read(api, body["backup_files"][dataset.project_id]))
    assert dice["dataset_id"] == dataset.id
    assert dice["task_type"] == "object_detection"
    assert [entry["name"] for entry in dice["classes"]] == ["cat", "dog", "an image of cats"]
    told = [(image["file_name"], entry["class_name"]) for image in dice["images"] for entry in image["annotations"]]
    assert told == [
        ("train/good/0000.jpg", "cat"),
        ("train/good/0000.jpg", "cat"),
        ("train/good/0001.jpg", "an image of cats"),
    ]
    assert dice["images"][0]["metadata"]["labeled_by"] == "annotator@example.com"
    assert dice["statistics"]["total_annotations"] == 3


async def must_keep_everything(api: Api, dataset: Dataset, before: dict[str, int]) -> None:
    assert await left(api, dataset) == before
    assert await due(api) == 0
    assert len(await objects_of(api, dataset)) == 8


@pytest.mark.parametrize("damage", ["other bytes", "a truncated file", "no file"])
async def test_a_backup_that_does_not_read_back_stops_the_deletion(
    api: Api, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    dataset = await full_dataset(api)
    before, verify = await left(api, dataset), backup_service._verify

    async def damaged(call: Call, file: BackupFile) -> None:
        if file.key.endswith(".gz"):
            content = await read(api, file.key)
            if damage == "no file":
                await call.objects.delete_many("datasets", [file.key])
            else:
                other = b"x" + content[1:] if damage == "other bytes" else content[:-20]
                await call.objects.put("datasets", file.key, other, "application/gzip")
        await verify(call, file)

    monkeypatch.setattr(backup_service, "_verify", damaged)
    answer = await delete(await api.login("owner"), dataset, create_backup=True)
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "backup_failed", answer.text
    assert "nothing was deleted" in answer.json()["detail"]
    await must_keep_everything(api, dataset, before)


async def test_a_change_after_the_backup_is_in_the_next_one(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = await full_dataset(api)
    _write_while_it_is_verified(api, dataset, monkeypatch, times=1)
    body = (await delete(await api.login("owner"), dataset, create_backup=True)).json()
    assert body["labeler_deletions"]["annotations"] == 4
    assert [file["rows"]["annotations"] for file in body["backup"]] == [4, 4]
    assert len(await stored_keys(api, "datasets", f"backups/{dataset.id}/")) == 2, "it took the first one's place"


async def test_a_dataset_that_keeps_changing_is_not_deleted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = await full_dataset(api)
    before = await left(api, dataset)
    _write_while_it_is_verified(api, dataset, monkeypatch, times=100)
    answer = await delete(await api.login("owner"), dataset, create_backup=True)
    assert answer.status_code == 409
    assert answer.json()["code"] == "changed_during_backup"
    now = await left(api, dataset)
    assert now["annotations"] == before["annotations"] + 3
    assert await due(api) == 0


def _write_while_it_is_verified(api: Api, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    verify, done_so_far = backup_service._verify, 0

    async def busy(call: Call, file: BackupFile) -> None:
        nonlocal done_so_far
        if file.key.endswith(".gz") and done_so_far < times:
            done_so_far += 1
            body = {
                "project_id": dataset.project_id,
                "image_id": dataset.image_ids[2],
                "annotation_type": "bbox",
                "geometry": BOX,
            }
            created = await (await api.login("owner")).post("/api/v1/annotations", json=body)
            assert created.status_code == 200, created.text
        await verify(call, file)

    monkeypatch.setattr(backup_service, "_verify", busy)
