"""PUT /projects/{id}/classes/reorder."""

import asyncio
import itertools

import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.project_rows import annotate, stored_class

DETECTION = {"task_type": "detection"}


def _url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/classes/reorder"


async def _dataset(api: Api, ids: str = "abcd", **more: object) -> Dataset:
    classes = {"detection": {class_id: stored_class(order, class_id) for order, class_id in enumerate(ids)}}
    return await api.dataset(tasks=["detection"], images=2, classes=classes, **more)  # type: ignore[arg-type]


async def _orders(api: Api, dataset: Dataset) -> dict[str, int]:
    project = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}")).json()
    return {class_id: info["order"] for class_id, info in project["task_classes"]["detection"].items()}


async def test_the_order_is_the_index(api: Api) -> None:
    dataset = await _dataset(api)
    await annotate(api, dataset, [(image, "detection", "a") for image in dataset.image_ids] * 2)
    answer = await (await api.login("owner")).put(
        _url(dataset), params=DETECTION, json={"class_ids": ["d", "a", "c", "b"]}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert [(info["class_id"], info["order"]) for info in body] == [("d", 0), ("a", 1), ("c", 2), ("b", 3)]
    assert body[1] == {
        "class_id": "a",
        "name": "a",
        "color": "#ff0000",
        "description": None,
        "order": 1,
        "image_count": 2,
        "bbox_count": 4,
    }
    assert await _orders(api, dataset) == {"d": 0, "a": 1, "c": 2, "b": 3}


async def test_a_project_lists_its_classes_in_their_order(api: Api) -> None:
    ids = ["a", "bb", "ccc", "dd", "ee"]  # the database keeps keys by their length, and then by their letters
    classes = {
        "detection": {
            class_id: stored_class(place, class_id) for class_id, place in zip(ids, (4, 0, 3, 2, 2), strict=True)
        }
    }
    dataset = await api.dataset(tasks=["detection"], classes=classes)
    client = await api.login("owner")
    assert list(await _orders(api, dataset)) == ["bb", "dd", "ee", "ccc", "a"]
    await client.put(_url(dataset), params=DETECTION, json={"class_ids": ["ee", "a", "bb", "ccc", "dd"]})
    assert list(await _orders(api, dataset)) == ["ee", "a", "bb", "ccc", "dd"]
    listed = (await client.get("/api/v1/projects")).json()[0]
    of_dataset = (await client.get(f"/api/v1/datasets/{dataset.id}/project")).json()
    for project in (listed, of_dataset):
        assert list(project["task_classes"]["detection"]) == ["ee", "a", "bb", "ccc", "dd"]


async def test_those_left_out_keep_their_place(api: Api) -> None:
    dataset = await _dataset(api)
    answer = await (await api.login("owner")).put(_url(dataset), params=DETECTION, json={"class_ids": ["b", "a"]})
    assert [info["class_id"] for info in answer.json()] == ["b", "a"]
    assert await _orders(api, dataset) == {"b": 0, "a": 1, "c": 2, "d": 3}


async def test_what_else_is_stored_of_a_class_stays(api: Api) -> None:
    classes = {"detection": {"a": {**stored_class(), "hotkey": "7"}}}
    dataset = await api.dataset(tasks=["detection"], classes=classes)
    await (await api.login("owner")).put(_url(dataset), params=DETECTION, json={"class_ids": ["a"]})
    async with api.db.read() as connection:
        stored = await connection.fetchval(
            "SELECT task_classes -> 'detection' -> 'a' ->> 'hotkey' FROM annotation_projects"
        )
    assert stored == "7"


@pytest.mark.parametrize(
    ("task", "ids", "code"),
    [("detection", ["a", "x"], "class_not_found"), ("line", [], "task_not_found")],
)
async def test_unknown_ids_and_tasks_are_404_and_nothing_changes(
    api: Api, task: str, ids: list[str], code: str
) -> None:
    dataset = await _dataset(api)
    before = await _orders(api, dataset)
    answer = await (await api.login("owner")).put(_url(dataset), params={"task_type": task}, json={"class_ids": ids})
    assert answer.status_code == 404
    assert answer.json()["code"] == code
    assert await _orders(api, dataset) == before


@pytest.mark.parametrize(
    "body", [{}, {"class_ids": "ab"}, {"class_ids": [1]}, {"class_ids": None}, {"class_ids": ["a", "a"]}]
)
async def test_bad_bodies_are_422(api: Api, body: object) -> None:
    dataset = await _dataset(api)
    answer = await (await api.login("owner")).put(_url(dataset), params=DETECTION, json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("account", "role", "status"),
    [("reviewer", "admin", 200), ("reviewer", "reviewer", 403), ("admin", None, 200), ("stranger", None, 404)],
)
async def test_who_may(api: Api, account: str, role: str | None, status: int) -> None:
    dataset = await _dataset(api, members={account: role} if role else {})
    url = f"/api/v1/projects/{dataset.id}/classes/reorder"
    answer = await (await api.login(account)).put(url, params=DETECTION, json={"class_ids": list("dcba")})
    assert answer.status_code == status


async def test_orders_given_at_once_do_not_mix(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    wanted = [list(order) for order in itertools.islice(itertools.permutations("abcd"), 12)]
    adding = owner.post(
        f"/api/v1/projects/{dataset.project_id}/classes",
        params=DETECTION,
        json={"class_id": "new", "name": "n", "color": "red"},
    )
    answers = await asyncio.gather(
        adding, *(owner.put(_url(dataset), params=DETECTION, json={"class_ids": order}) for order in wanted)
    )
    assert [answer.status_code for answer in answers] == [201] + [200] * 12
    orders = await _orders(api, dataset)
    assert orders.pop("new") == 4
    assert sorted(orders, key=lambda class_id: orders[class_id]) in wanted
    assert sorted(orders.values()) == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_whatever_the_number(api: Api, number: int) -> None:
    ids = [f"class{index}" for index in range(number)]
    classes = {"detection": {class_id: stored_class(order) for order, class_id in enumerate(ids)}}
    dataset = await api.dataset(tasks=["detection"], classes=classes)
    owner = await api.login("owner")
    with api.count() as counted:
        answer = await owner.put(_url(dataset), params=DETECTION, json={"class_ids": ids[::-1]})
    assert len(answer.json()) == number
    assert counted.value == 1
