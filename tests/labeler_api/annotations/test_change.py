"""PUT and DELETE: what changes, which version, and what history keeps."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import (
    BOX,
    at,
    box,
    check_counters,
    create_annotation,
    history,
    leave,
    locks,
    no_object,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.rows import rows


async def test_only_what_is_sent_changes(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await create_annotation(client, box(dataset, confidence=50, notes="n", attributes={"a": 1}))
    geometry = BOX | {"bbox": [1, 2, 3, 4]}
    response = await client.put(at(before), json={"geometry": geometry})
    after = response.json()
    assert response.status_code == 200, after
    assert after.keys() == before.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"geometry", "version", "updated_by", "updated_by_name", "updated_at"}
    assert after["geometry"] == geometry
    assert after["version"] == 2
    assert after["updated_by_name"] == "Annotator Example"
    assert (await client.get(at(before))).json() == after


async def test_everything_at_once_and_nulls(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await create_annotation(client, box(dataset, confidence=50, notes="n", attributes={"a": 1}))
    change: dict[str, Any] = {
        "class_id": "c2",
        "class_name": "dent",
        "attributes": {"b": {}},
        "confidence": 0,
        "is_verified": True,
        "notes": "m",
    }
    after = (await client.put(at(before), json=change)).json()
    assert {key: after[key] for key in change} == change
    nulls = {"class_id": None, "class_name": None, "confidence": None, "notes": None}
    after = (await client.put(at(before), json=nulls)).json()
    assert {key: after[key] for key in nulls} == nulls
    assert after["attributes"] == {"b": {}}
    assert after["is_verified"] is True
    assert after["version"] == 3
    # What cannot be changed is ignored, as any unknown key is.
    after = (
        await client.put(
            at(before), json={"annotation_type": "polygon", "image_id": "x", "annotation_state": "confirmed", "id": 9}
        )
    ).json()
    assert after["annotation_type"] == "bbox"
    assert after["image_id"] == dataset.image_ids[0]
    assert after["annotation_state"] == "draft"
    assert after["id"] == before["id"]
    assert after["version"] == 4


async def test_every_write_is_a_whole_revision(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.put(at(body), json={"notes": "first"})
    await leave(api, dataset, "annotator")
    await (await api.login("reviewer")).put(at(body), json={"notes": "second"})
    await leave(api, dataset, "reviewer")
    await client.delete(at(body))
    found = await history(api, body["id"])
    assert [(row["action"], row["revision"], row["changed_by"]) for row in found] == [
        ("create", 1, 4),
        ("update", 2, 4),
        ("update", 3, 3),
        ("delete", 4, 4),
    ]
    columns = {
        row["column_name"]
        for row in await rows(
            api, "SELECT column_name FROM information_schema.columns WHERE table_name = 'annotations'"
        )
    }
    for earlier, later in pairwise(found):
        assert later["previous_state"] == earlier["new_state"]
        assert earlier["new_state"].keys() == columns
    assert [row["new_state"] and row["new_state"]["notes"] for row in found] == [None, "first", "second", None]
    assert found[-1]["new_state"] is None


async def test_delete(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    response = await client.delete(at(body))
    assert response.status_code == 200
    assert response.json().keys() == {"message"}
    assert (await client.get(at(body))).status_code == 404
    assert (await client.delete(at(body))).status_code == 404
    assert (await client.put(at(body), json={"notes": "x"})).status_code == 404
    await check_counters(api, dataset)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"version": 1}, {}),
        ({}, {"If-Match": '"1"'}),
        ({}, {"If-Match": 'W/"1"'}),
        ({}, {"If-Match": "1"}),
        ({"version": 1}, {"If-Match": '"1"'}),
    ],
)
async def test_the_version_that_the_caller_saw(api: Api, body: dict[str, Any], headers: dict[str, str]) -> None:
    dataset = await project_with_members(api)
    client, other = await api.login("annotator"), await api.login("reviewer")
    before = await create_annotation(client, box(dataset))
    assert (await client.put(at(before), json={"notes": "mine", **body}, headers=headers)).json()["version"] == 2
    await leave(api, dataset, "annotator")
    response = await other.put(at(before), json={"notes": "theirs", **body}, headers=headers)
    answer = response.json()
    assert response.status_code == 409
    assert answer["code"] == "version_conflict"
    assert isinstance(answer["detail"], str)
    now = (await client.get(at(before))).json()
    assert answer["conflict"] == {
        "current_version": 2,
        "your_version": 1,
        "last_updated_by": ANNOTATOR.id,
        "last_updated_at": now["updated_at"],
    }
    assert now["notes"] == "mine"
    assert now["version"] == 2
    assert await locks(api, dataset) == {}  # a refused write takes none


async def test_without_a_version_the_last_write_wins(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await create_annotation(client, box(dataset))
    for number, headers in enumerate(({}, {"If-Match": "*"}), start=2):
        after = (await client.put(at(before), json={"notes": str(number), "version": None}, headers=headers)).json()
        assert after["notes"] == str(number)
        assert after["version"] == number


async def test_delete_honours_if_match(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.put(at(body), json={"notes": "x"})
    response = await client.delete(at(body), headers={"If-Match": '"1"'})
    assert response.status_code == 409
    assert response.json()["conflict"]["current_version"] == 2
    assert (await client.delete(at(body), headers={"If-Match": '"2"'})).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "loc"),
    [
        ({"geometry": None}, {}, ["body", "geometry"]),
        ({"geometry": {"bbox": [1, 2, 3]}}, {}, ["body", "geometry", "bbox"]),
        ({"geometry": {"points": [[1, 2], [3, 4], [5, 6]]}}, {}, ["body", "geometry", "bbox"]),
        ({"attributes": None}, {}, ["body", "attributes"]),
        ({"attributes": "x"}, {}, ["body", "attributes"]),
        ({"is_verified": None}, {}, ["body", "is_verified"]),
        ({"confidence": 101}, {}, ["body", "confidence"]),
        ({"version": 0}, {}, ["body", "version"]),
        ({"version": "1"}, {}, ["body", "version"]),
        ({}, {"If-Match": '"abc"'}, ["header", "if-match"]),
        ({}, {"If-Match": '"99999999999"'}, ["header", "if-match"]),
        ({"version": 1}, {"If-Match": '"2"'}, ["header", "if-match"]),
    ],
)
async def test_what_is_refused_changes_nothing(
    api: Api, body: dict[str, Any], headers: dict[str, str], loc: list[str]
) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    before = await create_annotation(client, box(dataset))
    await leave(api, dataset, "annotator")
    response = await client.put(at(before), json=body, headers=headers)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["loc"] == loc, response.text
    assert (await client.get(at(before))).json() == before
    assert await locks(api, dataset) == {}
    assert len(await history(api, before["id"])) == 1


async def test_a_no_object_stays_with_its_task(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, no_object(dataset))
    assert (
        await client.put(at(body), json={"attributes": {"task_type": "detection", "by": "hand"}})
    ).status_code == 200
    for attributes, code in (({"task_type": "segmentation"}, "task_fixed"), ({}, "task_missing")):
        response = await client.put(at(body), json={"attributes": attributes})
        assert response.status_code == 400
        assert response.json()["code"] == code


async def test_versioned_writers_side_by_side_lose_nothing(api: Api) -> None:
    """Each writer adds its mark to what it read; with the version checked, no mark is overwritten."""
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    body = await create_annotation(client, box(dataset, attributes={}))

    async def add_mark(name: str) -> None:
        while True:
            seen = (await client.get(at(body))).json()
            change = {"attributes": {**seen["attributes"], name: True}, "version": seen["version"]}
            status = (await client.put(at(body), json=change)).status_code
            assert status in {200, 409}
            if status == 200:
                return

    names = [f"writer {number}" for number in range(12)]
    await asyncio.gather(*(add_mark(name) for name in names))
    after = (await client.get(at(body))).json()
    assert set(after["attributes"]) == set(names)
    assert after["version"] == 13
    assert [row["revision"] for row in await history(api, body["id"])] == list(range(1, 14))


async def test_one_of_many_with_the_same_version_wins(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    body = await create_annotation(client, box(dataset))
    answers = await asyncio.gather(*(client.put(at(body), json={"notes": str(n), "version": 1}) for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11


@pytest.mark.parametrize("known", [True, False])
async def test_an_annotation_that_this_process_knows_is_judged_like_any_other(api: Api, known: bool) -> None:
    """One statement instead of two; the same answers, in the same order."""
    dataset = await project_with_members(api)
    owner, viewer, stranger = [await api.login(account) for account in ("owner", "viewer", "stranger")]
    one = await create_annotation(owner, box(dataset))
    gone = await create_annotation(owner, box(dataset))
    assert (await owner.delete(at(gone))).status_code == 200
    kinds = api.services.caches.kinds
    bad = {"geometry": {"type": "bbox", "bbox": "x"}}
    calls = [
        (stranger, "PUT", at(one), bad, 404, "annotation_not_found"),
        (viewer, "PUT", at(one), bad, 403, "role_too_low"),
        (owner, "PUT", at(gone), bad, 404, "annotation_not_found"),
        (stranger, "PUT", at(one), {"notes": "x"}, 404, "annotation_not_found"),
        (viewer, "DELETE", at(one), None, 403, "role_too_low"),
        (viewer, "POST", at(one, "/confirm"), {}, 403, "role_too_low"),
        (stranger, "POST", at(one, "/confirm"), {}, 404, "annotation_not_found"),
        (owner, "DELETE", at(gone), None, 404, "annotation_not_found"),
        (owner, "POST", at(gone, "/unconfirm"), {}, 404, "annotation_not_found"),
    ]
    for client, method, path, body, status, code in calls:
        if not known:
            kinds.forget(one["id"])
            kinds.forget(gone["id"])
        answer = await client.request(method, path, json=body)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["code"] == code, (method, path, answer.text)
    if not known:
        kinds.forget(one["id"])
    answer = await owner.put(at(one), json=bad)
    assert answer.status_code in {400, 422}, answer.text
    for expected in (1 if known else 2, 1):
        if not known and expected == 2:
            kinds.forget(one["id"])
        with api.count() as count:
            assert (await owner.put(at(one), json={"notes": "x"})).status_code == 200
        assert count.value == expected
