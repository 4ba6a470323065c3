"""PATCH and DELETE /projects/{id}/classes/{class_id}."""

import asyncio
from urllib.parse import quote

import pytest

from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.project_rows import annotate, stored_class
from tests.fixtures.waiting import waiting

DETECTION = {"task_type": "detection"}
KEYS = {"class_id", "name", "color", "description", "order", "image_count", "bbox_count"}
MEMBERS = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}


def _url(dataset: Dataset, class_id: str = "a") -> str:
    return f"/api/v1/projects/{dataset.project_id}/classes/{quote(class_id, safe='')}"


async def _dataset(api: Api, *class_ids: str, images: int = 1) -> Dataset:
    """A project with these classes in both of its tasks."""
    classes = {class_id: stored_class(order) for order, class_id in enumerate(class_ids or ("a", "b"))}
    return await api.dataset(
        tasks=["detection", "segmentation"],
        images=images,
        members=MEMBERS,
        classes={"detection": classes, "segmentation": classes},
    )


async def _stored(api: Api, dataset: Dataset, task: str = "detection") -> dict[str, dict[str, object]]:
    project = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}")).json()
    classes: dict[str, dict[str, object]] = project["task_classes"][task]
    return classes


async def test_what_is_sent_is_changed_and_nulls_are_ignored(api: Api) -> None:
    dataset = await _dataset(api)
    await annotate(api, dataset, [(dataset.image_ids[0], "detection", "a")] * 2)
    owner = await api.login("owner")
    expected = {"class_id": "a", **stored_class(), "image_count": 1, "bbox_count": 2}
    for change in ({"name": "찍힘"}, {"color": "#0f0"}, {"description": "deep"}, {"order": 7}, {"description": ""}, {}):
        nulls = dict.fromkeys(KEYS & {"name", "color", "description", "order"} - change.keys())
        answer = await owner.patch(_url(dataset), params=DETECTION, json=nulls | change | {"bbox_count": 99, "id": "x"})
        assert answer.status_code == 200
        expected |= change
        assert answer.json() == expected
        assert answer.json().keys() == KEYS
    assert (await _stored(api, dataset))["a"] == {k: v for k, v in expected.items() if k != "class_id"}
    assert (await _stored(api, dataset, "segmentation"))["a"] == stored_class()
    assert (await _stored(api, dataset))["b"] == stored_class(1)


async def test_a_class_is_removed(api: Api) -> None:
    dataset = await _dataset(api, "a", "b", "결함/1 ?%")
    owner = await api.login("owner")
    for class_id in ("a", "결함/1 ?%"):
        answer = await owner.delete(_url(dataset, class_id), params=DETECTION)
        assert answer.status_code == 204
        assert answer.content == b""
    assert (await _stored(api, dataset)).keys() == {"b"}
    assert len(await _stored(api, dataset, "segmentation")) == 3
    again = await owner.delete(_url(dataset), params=DETECTION)
    assert again.status_code == 404
    assert again.json()["code"] == "class_not_found"


async def test_a_class_in_use_stays(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    annotation = await create_annotation(owner, box(dataset, class_id="a"))
    answer = await owner.delete(_url(dataset), params=DETECTION)
    assert answer.status_code == 409
    assert answer.json()["code"] == "class_in_use"
    assert (await owner.delete(_url(dataset), params={"task_type": "segmentation"})).status_code == 204
    await owner.delete(f"/api/v1/annotations/{annotation['id']}")
    assert (await owner.delete(_url(dataset), params=DETECTION)).status_code == 204


async def test_what_is_not_there(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    for class_id, task, code in (("z", "detection", "class_not_found"), ("a", "line", "task_not_found")):
        for answer in (
            await owner.patch(_url(dataset, class_id), params={"task_type": task}, json={"name": "x"}),
            await owner.delete(_url(dataset, class_id), params={"task_type": task}),
        ):
            assert answer.status_code == 404
            assert answer.json()["code"] == code
    assert (await owner.delete(_url(dataset))).status_code == 422
    assert (await owner.delete(_url(dataset, "x" * 51), params=DETECTION)).status_code == 422


async def test_bad_values_are_422_and_change_nothing(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    bodies: list[object] = [
        {"name": ""},
        {"name": "x" * 256},
        {"color": "url(x)"},
        {"order": -1},
        {"order": 2**31},
        {"order": 1.5},
        {"order": "1"},
        {"description": "x" * 10_001},
        {"description": "\0"},
        [],
    ]
    for body in bodies:
        assert (await owner.patch(_url(dataset), params=DETECTION, json=body)).status_code == 422, body
    assert (await _stored(api, dataset))["a"] == stored_class()


async def test_who_may(api: Api) -> None:
    dataset = await _dataset(api)
    public = await api.dataset(tasks=["detection"], visibility="public", classes={"detection": {"a": stored_class()}})
    for account, status in (("owner", 200), ("admin", 200), *((account, 403) for account in MEMBERS)):
        client = await api.login(account)
        assert (await client.patch(_url(dataset), params=DETECTION, json={"order": 1})).status_code == status
        if status == 403:
            assert (await client.delete(_url(dataset), params=DETECTION)).status_code == 403
    stranger = await api.login("stranger")
    for project, status in ((dataset, 404), (public, 403)):
        assert (await stranger.patch(_url(project), params=DETECTION, json={"order": 1})).status_code == status
        assert (await stranger.delete(_url(project), params=DETECTION)).status_code == status
    admin = await api.login("admin")
    assert (await admin.delete(_url(dataset), params=DETECTION)).status_code == 204


@pytest.mark.slow
async def test_edits_at_once_lose_nothing(api: Api) -> None:
    ids = [f"c{number}" for number in range(8)]
    dataset = await _dataset(api, *ids)
    owner, admin = await api.login("owner"), await api.login("admin")
    answers = await asyncio.gather(
        *(owner.patch(_url(dataset, one), params=DETECTION, json={"name": f"new {one}"}) for one in ids[:6]),
        *(admin.patch(_url(dataset, one), params=DETECTION, json={"color": "#123456"}) for one in ids[:6]),
        *(owner.delete(_url(dataset, one), params=DETECTION) for one in ids[6:]),
        *(
            admin.post(
                f"/api/v1/projects/{dataset.project_id}/classes",
                params=DETECTION,
                json={"class_id": f"n{number}", "name": "x", "color": "red"},
            )
            for number in range(4)
        ),
        *(owner.patch(_url(dataset, one), params={"task_type": "segmentation"}, json={"order": 50}) for one in ids),
    )
    assert {answer.status_code for answer in answers} == {200, 201, 204}
    stored = await _stored(api, dataset)
    assert stored.keys() == {*ids[:6], "n0", "n1", "n2", "n3"}
    assert [(stored[one]["name"], stored[one]["color"]) for one in ids[:6]] == [
        (f"new {one}", "#123456") for one in ids[:6]
    ]
    assert {info["order"] for info in (await _stored(api, dataset, "segmentation")).values()} == {50}
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT revision FROM annotation_projects") == 12 + 2 + 4 + 8


async def test_a_removal_waits_for_the_annotation_that_is_being_written(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    async with api.db.begin() as tx:
        await tx.execute("SELECT FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE", dataset.project_id)
        removal = asyncio.create_task(owner.delete(_url(dataset), params=DETECTION))
        await waiting(api, 1)
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, task_type, annotation_type, class_id, geometry, created_by)"
            " VALUES ($1, $2, 'detection', 'bbox', 'a', '{}', 2)",
            dataset.project_id,
            dataset.image_ids[0],
        )
    answer = await removal
    assert answer.status_code == 409
    assert answer.json()["code"] == "class_in_use"
    assert "a" in await _stored(api, dataset)


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_whatever_the_number_of_classes(api: Api, number: int) -> None:
    dataset = await _dataset(api, *(f"class{index}" for index in range(number)))
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.patch(_url(dataset, "class0"), params=DETECTION, json={"name": "x"})
    assert counted.value == 1
    with api.count() as counted:
        await owner.delete(_url(dataset, "class0"), params=DETECTION)
    assert counted.value == 1
