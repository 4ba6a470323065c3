"""POST /projects/{id}/task-types."""

import asyncio

import pytest

from tests.fixtures.accounts import REVIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.project_rows import KEYS, stored_class

SHOWN = {"show_labels": True, "show_confidence": False}
TASKS = {
    "classification": {"multi_label": False, "show_confidence": False},
    "detection": SHOWN,
    "segmentation": SHOWN,
    "geometry": {},
    "keypoint": {},
    "line": {},
}


def _url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/task-types"


async def test_every_task_gets_its_configuration_the_later_ones_too(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    for task in TASKS:
        answer = await owner.post(_url(dataset), json={"task_type": task})
        assert answer.status_code == 200
        assert answer.json().keys() == KEYS
    body = (await owner.get(f"/api/v1/projects/{dataset.project_id}")).json()
    assert body["task_types"] == list(TASKS)
    assert body["task_config"] == TASKS
    assert body["task_classes"] == {task: {} for task in TASKS}


async def test_it_is_stamped_and_named(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "admin"})
    reviewer = await api.login("reviewer")
    before = (await reviewer.get(f"/api/v1/projects/{dataset.project_id}")).json()
    body = (await reviewer.post(_url(dataset), json={"task_type": "line"})).json()
    assert body["last_updated_by"] == REVIEWER.id
    assert body["last_updated_by_name"] == "Reviewer Example"
    assert body["last_updated_by_email"] == "reviewer@example.com"
    assert body["updated_at"] > before["updated_at"]
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT revision FROM annotation_projects") == 1


async def test_classes_and_configuration_that_are_there_are_kept(api: Api) -> None:
    dataset = await api.dataset(
        tasks=["detection"], classes={"detection": {"a": stored_class()}, "line": {"b": stored_class()}}
    )
    async with api.db.begin() as tx:
        await tx.execute("""UPDATE annotation_projects SET task_config = '{"line": {"width": 3}}'""")
    body = (await (await api.login("owner")).post(_url(dataset), json={"task_type": "line"})).json()
    assert body["task_classes"] == {"detection": {"a": stored_class()}, "line": {"b": stored_class()}}
    assert body["task_config"] == {"line": {"width": 3}}


@pytest.mark.parametrize(("task", "code"), [("detektion", "unknown_task_type"), ("detection", "task_type_exists")])
async def test_unknown_and_present_ones_are_400(api: Api, task: str, code: str) -> None:
    dataset = await api.dataset(tasks=["detection"])
    answer = await (await api.login("owner")).post(_url(dataset), json={"task_type": task})
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert task in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"task_type": None}, {"task_type": 1}, {"task_type": ""}, {"task_type": "x" * 51}, []]
)
async def test_a_body_of_another_form_is_422(api: Api, body: object) -> None:
    dataset = await api.dataset()
    assert (await (await api.login("owner")).post(_url(dataset), json=body)).status_code == 422


@pytest.mark.parametrize(
    ("account", "role", "status"),
    [
        ("reviewer", "admin", 200),
        ("reviewer", "reviewer", 403),
        ("annotator", "annotator", 403),
        ("viewer", "viewer", 403),
        ("admin", None, 200),
        ("stranger", None, 404),
    ],
)
async def test_who_may(api: Api, account: str, role: str | None, status: int) -> None:
    dataset = await api.dataset(members={account: role} if role else {})
    answer = await (await api.login(account)).post(_url(dataset), json={"task_type": "line"})
    assert answer.status_code == status


async def test_strangers_to_a_public_project_may_look_only(api: Api) -> None:
    dataset = await api.dataset(visibility="public")
    answer = await (await api.login("stranger")).post(_url(dataset), json={"task_type": "line"})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This needs the role admin on the project; yours is viewer."


async def test_all_at_once_none_is_lost_and_one_wins_where_equal(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    answers = await asyncio.gather(*(owner.post(_url(dataset), json={"task_type": task}) for task in list(TASKS) * 3))
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [400] * 12
    body = (await owner.get(f"/api/v1/projects/{dataset.id}")).json()
    assert sorted(body["task_types"]) == sorted(TASKS)
    assert body["task_config"] == TASKS


async def test_two_statements(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.post(_url(dataset), json={"task_type": "line"})
    assert counted.value == 2
