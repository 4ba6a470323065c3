"""POST /projects/{id}/classes."""

import asyncio
import re

import pytest

from tests.fixtures.accounts import REVIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

DETECTION = {"task_type": "detection"}
KEYS = {"class_id", "name", "color", "description", "order", "image_count", "bbox_count"}


def _url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/classes"


async def _stored(api: Api, dataset: Dataset, task: str = "detection") -> dict[str, dict[str, object]]:
    project = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}")).json()
    classes: dict[str, dict[str, object]] = project["task_classes"][task]
    return classes


async def test_classes_are_appended_in_order(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"])
    owner = await api.login("owner")
    for order, name in enumerate(["scratch", "찍힘", "scratch"]):
        answer = await owner.post(
            _url(dataset), params=DETECTION, json={"name": name, "color": "#A1b2c3", "description": "deep"}
        )
        assert answer.status_code == 201
        body = answer.json()
        class_id = body.pop("class_id")
        assert re.fullmatch(r"[0-9a-f]{8}", class_id)
        expected = {
            "name": name,
            "color": "#A1b2c3",
            "description": "deep",
            "order": order,
            "image_count": 0,
            "bbox_count": 0,
        }
        assert body == expected
        assert (await _stored(api, dataset))[class_id] == expected
    assert await _stored(api, dataset, "segmentation") == {}


async def test_the_classes_of_a_task_take_four_mebibytes_at_most(api: Api) -> None:
    """They are sent to everybody who opens the project."""
    info = {"color": "#ff0000", "description": "x" * 10_000}
    many = {f"c_{n}": {**info, "name": f"class {n}", "order": n} for n in range(415)}
    dataset = await api.dataset(tasks=["detection", "segmentation"], classes={"detection": many})
    owner, new = await api.login("owner"), {**info, "name": "new"}
    answers = [await owner.post(_url(dataset), params=DETECTION, json=new) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [201, 400, 400, 400, 400]
    changed = {"name": "x" * 255, "description": "é" * 10_000}
    answers.append(await owner.patch(f"{_url(dataset)}/c_0", params=DETECTION, json=changed))
    assert {answer.json()["code"] for answer in answers[1:]} == {"classes_too_large"}
    async with api.db.read() as connection:  # a list of more than 2 MiB is left out of the project
        stored = (
            "SELECT count(*) FROM annotation_projects, jsonb_object_keys(task_classes -> 'detection') WHERE id = $1"
        )
        assert await connection.fetchval(stored, dataset.project_id) == 416
    elsewhere = await owner.post(_url(dataset), params={"task_type": "segmentation"}, json=new)
    assert elsewhere.status_code == 201


async def test_a_chosen_id_is_kept_and_unique_in_its_task_only(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"])
    owner = await api.login("owner")
    body = {"class_id": "결함-1", "name": "x", "color": "red"}
    for task in ("detection", "segmentation"):
        answer = await owner.post(_url(dataset), params={"task_type": task}, json=body)
        assert answer.status_code == 201
        assert answer.json()["class_id"] == "결함-1"
    again = await owner.post(_url(dataset), params=DETECTION, json={**body, "name": "y"})
    assert again.status_code == 409
    assert again.json()["code"] == "class_exists"
    assert (await _stored(api, dataset))["결함-1"]["name"] == "x"


async def test_the_order_goes_on_after_the_highest(api: Api) -> None:
    classes = {"detection": {"a": {"name": "a", "color": "red", "description": None, "order": 7}}}
    dataset = await api.dataset(tasks=["detection"], classes=classes)
    answer = await (await api.login("owner")).post(_url(dataset), params=DETECTION, json={"name": "b", "color": "blue"})
    assert answer.json()["order"] == 8


async def test_the_project_is_stamped(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], members={"reviewer": "admin"})
    reviewer = await api.login("reviewer")
    before = (await reviewer.get(f"/api/v1/projects/{dataset.project_id}")).json()
    await reviewer.post(_url(dataset), params=DETECTION, json={"name": "b", "color": "blue"})
    after = (await reviewer.get(f"/api/v1/projects/{dataset.project_id}")).json()
    assert after["last_updated_by"] == REVIEWER.id
    assert after["updated_at"] > before["updated_at"]
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT revision FROM annotation_projects") == 1


async def test_a_legacy_project_without_an_entry_for_its_task(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "line"], classes={"detection": {}})
    owner = await api.login("owner")
    answer = await owner.post(_url(dataset), params={"task_type": "line"}, json={"name": "b", "color": "blue"})
    assert answer.status_code == 201
    assert len(await _stored(api, dataset, "line")) == 1


async def test_a_task_that_the_project_lacks_is_400(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    answer = await (await api.login("owner")).post(
        _url(dataset), params={"task_type": "line"}, json={"name": "b", "color": "blue"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "task_not_in_project"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"color": "#fff"}, "name"),
        ({"name": "x"}, "color"),
        ({"name": "", "color": "#fff"}, "name"),
        ({"name": " ", "color": "#fff"}, "name"),
        ({"name": "x" * 256, "color": "#fff"}, "name"),
        ({"name": "x", "color": ""}, "color"),
        ({"name": "x", "color": "#ff"}, "color"),
        ({"name": "x", "color": "url(javascript:alert(1))"}, "color"),
        ({"name": "x", "color": None}, "color"),
        ({"name": "x", "color": "red", "class_id": ""}, "class_id"),
        ({"name": "x", "color": "red", "class_id": "x" * 51}, "class_id"),
        ({"name": "x", "color": "red", "class_id": "a\nb"}, "class_id"),
        ({"name": "x", "color": "red", "class_id": "reorder"}, "class_id"),
    ],
)
async def test_bad_values_are_named(api: Api, body: object, field: str) -> None:
    dataset = await api.dataset(tasks=["detection"])
    answer = await (await api.login("owner")).post(_url(dataset), params=DETECTION, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert await _stored(api, dataset) == {}


async def test_the_task_is_required(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    answer = await (await api.login("owner")).post(_url(dataset), json={"name": "x", "color": "red"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"loc": ["query", "task_type"], "message": "is missing"}]


async def test_a_nul_in_a_name_is_422(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    answer = await (await api.login("owner")).post(
        _url(dataset), params=DETECTION, json={"name": "a\0b", "color": "red"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("account", "role", "status"),
    [
        ("owner", None, 201),
        ("reviewer", "admin", 201),
        ("reviewer", "reviewer", 403),
        ("annotator", "annotator", 403),
        ("viewer", "viewer", 403),
        ("admin", None, 201),
        ("stranger", None, 404),
    ],
)
async def test_who_may(api: Api, account: str, role: str | None, status: int) -> None:
    dataset = await api.dataset(tasks=["detection"], members={account: role} if role else {})
    client = await api.login(account)
    for reference in (dataset.project_id, dataset.id):
        answer = await client.post(
            f"/api/v1/projects/{reference}/classes", params=DETECTION, json={"name": "x", "color": "red"}
        )
        assert answer.status_code == status
    assert len(await _stored(api, dataset)) == (2 if status == 201 else 0)


async def test_twenty_at_once_are_all_there_in_distinct_order(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"])
    owner = await api.login("owner")
    answers = await asyncio.gather(
        *(
            owner.post(_url(dataset), params={"task_type": task}, json={"name": f"{task} {number}", "color": "red"})
            for number in range(20)
            for task in ("detection", "segmentation")
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    for task in ("detection", "segmentation"):
        stored = await _stored(api, dataset, task)
        assert {info["name"] for info in stored.values()} == {f"{task} {number}" for number in range(20)}
        assert sorted(str(info["order"]).zfill(2) for info in stored.values()) == [f"{n:02}" for n in range(20)]
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT revision FROM annotation_projects") == 40


async def test_of_equal_ids_at_once_one_wins(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    bodies = [{"class_id": "same", "name": str(number), "color": "red"} for number in range(10)]
    answers = await asyncio.gather(*(owner.post(_url(dataset), params=DETECTION, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    winner = next(answer.json()["name"] for answer in answers if answer.status_code == 201)
    assert (await _stored(api, dataset))["same"]["name"] == winner


@pytest.mark.parametrize("number", [0, 10, 1000])
async def test_one_statement_whatever_the_number_of_classes(api: Api, number: int) -> None:
    of_task = {f"class{n}": {"name": "x", "color": "red", "description": None, "order": n} for n in range(number)}
    dataset = await api.dataset(tasks=["detection"], classes={"detection": of_task})
    owner = await api.login("owner")
    with api.count() as counted:
        answer = await owner.post(_url(dataset), params=DETECTION, json={"name": "x", "color": "red"})
    assert answer.status_code == 201
    assert answer.json()["order"] == number
    assert counted.value == 1
