"""Undoing a deletion: the frontend creates the same again, and goes on with the old id."""

import asyncio
from typing import Any

import pytest

from labeler_api.annotations.editing import store as editing_store
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import (
    BOX,
    at,
    box,
    check_counters,
    create_annotation,
    history,
    leave,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

SAME = ("id", "geometry", "attributes", "class_id", "class_name", "confidence", "notes", "created_by", "created_at")


async def deleted(client: Any, body: dict[str, Any]) -> dict[str, Any]:
    made = await create_annotation(client, body)
    assert (await client.delete(at(made))).status_code == 200
    return made


async def later(api: Api, minutes: int) -> None:
    """Let the deletions be as old as that."""
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_history SET timestamp = timestamp - make_interval(mins => $1)", minutes)


async def test_an_undone_deletion_brings_back_the_annotation_and_its_history(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, box(dataset, attributes={"a": 1}, confidence=90, notes="see corner"))
    after = await create_annotation(client, box(dataset))
    assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}
    assert after["version"] == 3
    assert after["updated_by"] == USER_IDS["annotator"]
    assert [(one["action"], one["revision"]) for one in await history(api, before["id"])] == [
        ("create", 1),
        ("delete", 2),
        ("restore", 3),
    ]
    edited = await client.put(at(before), json={"geometry": {**BOX, "bbox": [1, 1, 9, 9]}})
    assert edited.status_code == 200, edited.text
    assert edited.json()["version"] == 4, edited.text
    await check_counters(api, dataset)


async def test_it_comes_back_as_a_draft(api: Api) -> None:
    """As the screen shows it; who confirms has to look at it again."""
    dataset = await project_with_members(api)
    client, reviewer = await api.login("annotator"), await api.login("reviewer")
    await create_annotation(client, box(dataset, geometry={**BOX, "bbox": [1, 2, 3, 4]}))
    one = await create_annotation(client, box(dataset))
    await reviewer.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm", json={})
    assert (await client.delete(at(one))).status_code == 200
    after = await create_annotation(client, box(dataset))
    assert after["id"] == one["id"]
    assert after["annotation_state"] == "draft"
    assert after["confirmed_by"] is None
    (status,) = await rows(api, "SELECT status FROM image_annotation_status WHERE project_id = $1", dataset.project_id)
    assert status["status"] == "in-progress"
    await check_counters(api, dataset)


@pytest.mark.parametrize(
    "sent",
    [
        {"geometry": {"type": "bbox", "bbox": [10.25, 20.0, 30, 40.5]}},  # without the size of the image
        {"geometry": {**BOX, "area": 1215}},
        {"class_name": None},
        {"attributes": {"a": 1}},
    ],
)
async def test_what_follows_from_the_shape_or_is_not_sent_does_not_count(api: Api, sent: dict[str, Any]) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, box(dataset, attributes={"a": 1}))
    after = await create_annotation(client, box(dataset, **sent))
    assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}


@pytest.mark.parametrize(
    "sent",
    [
        {"geometry": {**BOX, "bbox": [10.25, 20, 30, 40.51]}},
        {"class_id": "c2"},
        {"class_id": None},
        {"class_name": "dent"},
        {"attributes": {"a": 2}},
        {"confidence": 1},
        {"notes": "another"},
    ],
)
async def test_another_one_is_new(api: Api, sent: dict[str, Any]) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, box(dataset, attributes={"a": 1}))
    after = await create_annotation(client, box(dataset, **sent))
    assert after["id"] != before["id"]
    assert after["version"] == 1
    assert [one["action"] for one in await history(api, after["id"])] == ["create"]


async def test_of_another_image_person_or_hour_it_is_new(api: Api) -> None:
    dataset = await project_with_members(api)
    client, admin = await api.login("annotator"), await api.login("admin")
    ids = {(await deleted(client, box(dataset)))["id"]}
    for who, image in ((client, 1), (admin, 2)):
        ids.add((await create_annotation(who, box(dataset, image)))["id"])
    await later(api, 16)
    ids.add((await create_annotation(client, box(dataset)))["id"])
    assert len(ids) == 4


async def test_it_comes_back_once(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, box(dataset))
    ids = [one["id"] for one in await asyncio.gather(*(create_annotation(client, box(dataset)) for _ in range(4)))]
    assert len(set(ids)) == 4
    assert before["id"] in ids
    await check_counters(api, dataset)


async def test_several_equal_ones_come_back_one_by_one(api: Api) -> None:
    """Deleting all of an image and undoing it is a loop."""
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    bodies = [box(dataset), box(dataset), polygon(dataset)]
    before = [await create_annotation(client, body) for body in bodies]
    for one in before:
        await client.delete(at(one))
    assert {(await create_annotation(client, body))["id"] for body in bodies} == {one["id"] for one in before}


async def test_the_last_deletion_counts_and_not_one_before(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, box(dataset))
    assert (await create_annotation(client, box(dataset)))["id"] == before["id"]
    changed = {**BOX, "bbox": [5, 5, 5, 5]}
    await client.put(at(before), json={"geometry": changed})
    await client.delete(at(before))
    assert (await create_annotation(client, box(dataset)))["id"] != before["id"]
    assert (await create_annotation(client, box(dataset, geometry=changed)))["id"] == before["id"]


async def test_who_may_not_change_it_any_more_makes_their_own(api: Api) -> None:
    dataset = await project_with_members(api)
    client, reviewer, owner = await api.login("annotator"), await api.login("reviewer"), await api.login("owner")
    one, other = await create_annotation(client, box(dataset)), await create_annotation(client, box(dataset, 1))
    for image, gone in enumerate((one, other)):
        await leave(api, dataset, "annotator", image)
        assert (await reviewer.delete(at(gone))).status_code == 200
    after = await create_annotation(reviewer, box(dataset))
    assert after["id"] == one["id"]
    assert after["created_by"] == USER_IDS["annotator"]
    await owner.patch(f"/api/v1/projects/{dataset.id}/permissions/{USER_IDS['reviewer']}", json={"role": "annotator"})
    after = await create_annotation(reviewer, box(dataset, 1))
    assert after["id"] != other["id"]
    assert after["created_by"] == USER_IDS["reviewer"]


NOTHING: dict[str, Any] = {"geometry": {"type": "no_object"}, "annotation_type": "no_object"}


@pytest.mark.parametrize("attributes", ["absent", None, {}])
async def test_a_no_object_without_attributes_takes_the_task_of_what_comes_back(api: Api, attributes: object) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await deleted(client, no_object(dataset, task="segmentation"))
    sent = box(dataset, **NOTHING) if attributes == "absent" else box(dataset, **NOTHING, attributes=attributes)
    after = await create_annotation(client, sent)
    assert after["id"] == before["id"]
    assert after["attributes"] == {"task_type": "segmentation"}
    assert after["annotation_state"] == "confirmed"
    assert after["class_name"] == "__background__"
    await check_counters(api, dataset)


async def test_a_no_object_without_attributes_takes_the_only_task(api: Api) -> None:
    dataset = await api.dataset(images=1, tasks=["segmentation"])
    after = await create_annotation(await api.login("owner"), box(dataset, **NOTHING))
    assert after["attributes"] == {"task_type": "segmentation"}
    assert await rows(api, "SELECT task_type FROM annotations") == [{"task_type": "segmentation"}]


async def test_where_several_tasks_could_be_meant_it_has_to_say_which(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    answer = await client.post("/api/v1/annotations", json=box(dataset, **NOTHING))
    assert answer.status_code == 400
    assert answer.json()["code"] == "task_missing"


async def test_a_create_asks_no_more_statements_than_before(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    await deleted(client, box(dataset))
    with api.count() as new:
        await create_annotation(client, box(dataset, geometry={**BOX, "bbox": [1, 2, 3, 4]}))
    with api.count() as again:
        await create_annotation(client, box(dataset))
    assert new.value == again.value


async def read_of_history(api: Api, dataset: Dataset) -> tuple[int, int]:
    """How often a create reads the whole history, and how many of its rows it fetches by an index."""
    draft = (
        '{"image_id": "train/good/0000", "annotation_type": "bbox", "task_type": "detection", "attributes": {},'
        ' "annotation_state": "draft", "geometry": {"bbox": [1, 2, 3, 4]}}'
    )
    roles = ["owner", "admin", "reviewer", "annotator"]
    writer = editing_store.Writer(4, own_roles=roles, roles=roles, bypass_role_check=False)
    async with api.db.begin() as tx:
        row = await editing_store.create(tx, writer, dataset.project_id, draft, 60)
        assert row is not None
        assert row["outcome"] == "done"
        (seen,) = await tx.fetch(
            "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'annotation_history'"
        )
    return seen["seq_scan"], seen["idx_tup_fetch"]


async def test_the_look_up_reads_one_index_however_much_was_deleted(api: Api) -> None:
    """With and without statistics; a project's last quarter of an hour is thousands of entries."""
    dataset = await project_with_members(api)
    fill = (
        "INSERT INTO annotation_history"
        " (annotation_id, project_id, image_id, action, changed_by, previous_state, undo_key)"
        " SELECT 1000000 + n, $1, 'train/good/0000', 'delete', 4, '{}', 7 * n FROM generate_series(1, 20000) n"
    )
    async with api.db.begin() as tx:
        await tx.execute(fill, dataset.project_id)
    for statement in ("SELECT 1", "ANALYZE annotation_history", "ANALYZE annotations"):
        async with api.db.begin() as tx:
            await tx.execute(statement)
        whole, rows = await read_of_history(api, dataset)
        assert whole == 0, statement
        assert rows < 10, statement  # of 20 000
