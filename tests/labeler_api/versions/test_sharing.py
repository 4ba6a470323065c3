"""Versions share the rows of what did not change between them, and each stays what it was."""

import asyncio
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from labeler_api.db.pool import ReadConnection, Row
from labeler_api.versions.publishing import store as publishing_store
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.versions import (
    BOX,
    CLASSES,
    annotate,
    annotate_many,
    annotation,
    downloaded,
    publish,
    published,
)
from tests.labeler_api.versions.gate import Gate

ROWS = 300


async def _dataset(api: Api, rows: int = ROWS) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], images=3, classes=CLASSES)
    await annotate_many(api, dataset, rows)
    return dataset


async def _execute(api: Api, sql: str, *args: object) -> int:
    async with api.db.begin() as tx:
        return await tx.execute(sql, *args)


async def _stored(api: Api) -> int:
    async with api.db.read() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM annotation_snapshots"))


async def _content(api: Api, version: dict[str, Any]) -> list[str]:
    """The frozen annotations of a version, byte for byte."""
    async with api.db.snapshot() as snapshot:
        return [text async for text in publishing_store.frozen(snapshot, version["id"])]


async def _row(api: Api, version: dict[str, Any]) -> Row:
    async with api.db.read() as connection:
        row = await connection.fetchrow("SELECT * FROM annotation_versions WHERE id = $1", version["id"])
    assert row is not None
    return row


async def test_what_did_not_change_is_stored_once(api: Api) -> None:
    dataset, owner = await _dataset(api), await api.login("owner")
    first = await published(owner, dataset)
    assert await _stored(api) == ROWS
    content = await _content(api, first)

    second = await published(owner, dataset)
    assert await _stored(api) == ROWS
    await _execute(
        api, "UPDATE annotations SET notes = 'new' WHERE id % 100 = 0 AND project_id = $1", dataset.project_id
    )
    third = await published(owner, dataset)
    changed = sum(msgspec.json.decode(text)["id"] % 100 == 0 for text in content)
    assert await _stored(api) == ROWS + changed
    await _execute(api, "DELETE FROM annotations WHERE id % 50 = 0 AND project_id = $1", dataset.project_id)
    fourth = await published(owner, dataset)
    assert await _stored(api) == ROWS + changed

    assert await _content(api, first) == await _content(api, second) == content
    assert [len(await _content(api, version)) for version in (third, fourth)] == [
        version["annotation_count"] for version in (third, fourth)
    ]
    differing = set(await _content(api, third)) - set(content)
    assert {msgspec.json.decode(text)["notes"] for text in differing} == {"new"}
    assert len(differing) == changed
    assert len((await _row(api, first))["snapshot_ids"]) == 1


async def test_the_row_of_a_version_stays_short_when_nothing_changes(api: Api) -> None:
    """A version of an unchanged project costs its own row, however many annotations it has."""
    dataset, owner = await _dataset(api, 5000), await api.login("owner")
    await published(owner, dataset)
    # Without the maps of a table, which a vacuum may make at any time.
    rows = "SELECT count(*), pg_relation_size('annotation_snapshots') FROM annotation_snapshots"
    async with api.db.read() as connection:
        before = await connection.fetchrow(rows)
    for _ in range(3):
        version = await published(owner, dataset)
    async with api.db.read() as connection:
        after = await connection.fetchrow(rows)
        row = await connection.fetchval(
            "SELECT pg_column_size(v.*) FROM annotation_versions v WHERE id = $1", version["id"]
        )
    assert after == before
    assert row < 500


async def test_with_and_without_drafts_in_turn(api: Api) -> None:
    dataset, owner = await _dataset(api), await api.login("owner")
    await annotate(api, dataset, *(annotation(image, annotation_state="draft") for image in dataset.image_ids))
    kinds = [False, True, False, True]
    versions = [await published(owner, dataset, include_draft=drafts) for drafts in kinds]

    assert [version["annotation_count"] for version in versions] == [ROWS, ROWS + 3, ROWS, ROWS + 3]
    assert await _stored(api) == ROWS + 3
    assert [(await _row(api, version))["includes_drafts"] for version in versions] == kinds


async def test_a_number_that_only_looks_the_same_is_another(api: Api) -> None:
    """jsonb takes 1.0 for 1; the files would differ."""
    dataset, owner = await api.dataset(tasks=["detection"], images=1, classes=CLASSES), await api.login("owner")
    await annotate(api, dataset, annotation(dataset.image_ids[0], attributes={"x": 1}))
    whole = await _content(api, await published(owner, dataset))
    await _execute(api, "UPDATE annotations SET attributes = '{\"x\": 1.0}' WHERE project_id = $1", dataset.project_id)
    decimal = await _content(api, await published(owner, dataset))

    assert '"x": 1}' in whole[0]
    assert '"x": 1.0}' in decimal[0]


async def test_an_attempt_that_is_given_up_leaves_no_rows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes none that others have."""
    dataset, owner = await _dataset(api), await api.login("owner")
    first = await published(owner, dataset)
    content = await _content(api, first)
    await _execute(api, "UPDATE annotations SET notes = 'new' WHERE id % 2 = 0 AND project_id = $1", dataset.project_id)

    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(publishing_store, "publish", fail)
        assert (await publish(owner, dataset)).status_code == 500
    assert await _stored(api) == ROWS
    assert await _content(api, first) == content
    assert len(await _content(api, await published(owner, dataset))) == ROWS


async def test_nobody_shares_the_rows_of_an_attempt(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be given up, and its rows go with it."""
    dataset, owner, gate = await _dataset(api), await api.login("owner"), Gate()
    gate.offer(monkeypatch)
    under_way = asyncio.create_task(publish(owner, dataset, export_format="held"))
    await gate.reached.wait()
    version = await published(owner, dataset)
    content = await _content(api, version)
    await _execute(api, "DELETE FROM annotation_versions WHERE version_type = 'publishing'")
    gate.opened.set()

    assert (await under_way).status_code == 409
    assert await _content(api, version) == content
    assert len(content) == ROWS


async def test_many_at_once_are_each_whole(api: Api) -> None:
    dataset, owner = await _dataset(api), await api.login("owner")
    await published(owner, dataset)
    await _execute(api, "UPDATE annotations SET notes = 'new' WHERE id % 3 = 0 AND project_id = $1", dataset.project_id)
    answers = await asyncio.gather(*(publish(owner, dataset) for _ in range(6)))
    versions = [answer.json() for answer in answers]

    contents = [await _content(api, version) for version in versions]
    assert contents == [contents[0]] * 6
    assert len(contents[0]) == ROWS
    last = await published(owner, dataset)
    assert await _content(api, last) == contents[0]


async def test_after_many_small_changes_every_version_is_what_it_was(api: Api) -> None:
    """Each is compared with what was there when it was published, and its file made again is the same."""
    dataset, owner = await _dataset(api), await api.login("owner")
    seen: list[tuple[dict[str, Any], list[str]]] = []
    for number in range(12):
        await _execute(
            api,
            "UPDATE annotations SET notes = $2, version = version + 1 WHERE project_id = $1 AND id % 12 = $3",
            dataset.project_id,
            f"change {number}",
            number,
        )
        await _execute(
            api, "DELETE FROM annotations WHERE project_id = $1 AND id % 97 = $2", dataset.project_id, number
        )
        await annotate(
            api, dataset, annotation(dataset.image_ids[number % 3], geometry={**BOX, "bbox": [number, 1, 2, 3]})
        )
        version = await published(owner, dataset)
        content = await _content(api, version)
        assert content == await _now(api, dataset)
        seen.append((version, content))

    for version, content in seen:
        assert await _content(api, version) == content
        row, file = await _row(api, version), (await downloaded(api, version)).content
        assert sha256(file).hexdigest() == row["content_sha256"]


async def _now(api: Api, dataset: Dataset) -> list[str]:
    """What the annotations are at this moment, beside their images' names and sizes."""
    async with api.db.read() as connection:
        rows = await connection.fetch(
            "SELECT (to_jsonb(a) || jsonb_build_object('image', jsonb_build_object("
            " 'file_name', concat_ws('/', i.folder_path, i.file_name), 'width', 640, 'height', 480,"
            " 'confirmed_at', NULL)))::text AS content"
            " FROM annotations a JOIN image_metadata i ON i.id = a.image_id AND i.dataset_id = $2"
            ' WHERE a.project_id = $1 ORDER BY a.image_id COLLATE "C", a.id',
            dataset.project_id,
            dataset.id,
        )
    return [row["content"] for row in rows]


async def _foreign_rows(api: Api, number: int) -> None:
    """A version of another project, a hundred times as large."""
    other = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await _execute(
        api,
        "WITH version AS (INSERT INTO annotation_versions (project_id, task_type, version_number, version_type)"
        " VALUES ($1, 'detection', 'v1.0', 'published') RETURNING id)"
        " INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)"
        " SELECT id, n, jsonb_build_object('image_id', n::text, 'geometry', repeat('x', 200))"
        " FROM version, generate_series(1, $2::int) n",
        other.project_id,
        number,
    )


@pytest.mark.parametrize("statistics", ["none", "of an empty table", "foreign", "fresh"])
async def test_the_rows_of_others_are_never_read(api: Api, statistics: str) -> None:
    """Whatever the planner believes of the table: the rows of a version are found by an index."""
    if statistics == "of an empty table":
        await _execute(api, "ANALYZE annotation_snapshots")
    await _foreign_rows(api, 100 * ROWS)
    if statistics == "foreign":
        await _execute(api, "ANALYZE")
    dataset, owner = await _dataset(api), await api.login("owner")
    versions = [await published(owner, dataset)]
    await _execute(api, "UPDATE annotations SET notes = 'new' WHERE id % 2 = 0 AND project_id = $1", dataset.project_id)
    versions.append(await published(owner, dataset))
    if statistics == "fresh":
        await _execute(api, "ANALYZE")

    for as_before in (False, True):
        async with api.db.begin() as tx:
            if as_before:  # published before rows were shared
                await tx.execute("UPDATE annotation_versions SET snapshot_ids = NULL")
            for sql in (publishing_store._FROZEN, publishing_store._FROZEN_IMAGES):
                assert await _rows_read(tx, sql, versions[1]["id"]) <= 2 * ROWS
            await tx.execute(publishing_store._NO_NESTED_LOOPS)
            arguments = (dataset.project_id, dataset.id, ["detection"], False, "detection", versions[0]["id"])
            assert await _rows_read(tx, publishing_store._FREEZE, *arguments) <= 2 * ROWS


async def _rows_read(tx: ReadConnection, sql: str, *args: object) -> int:
    """How many rows of the snapshots' table a statement looks at, those that it then passes over too."""
    plan = msgspec.json.decode(await tx.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *args))

    def count(node: dict[str, Any]) -> int:
        found = sum(count(each) for each in node.get("Plans", []))
        if node.get("Relation Name") == "annotation_snapshots" and node["Node Type"] != "ModifyTable":
            passed = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            found += round(passed * node["Actual Loops"])
        return found

    return count(plan[0]["Plan"])
