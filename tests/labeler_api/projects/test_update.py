"""PATCH /projects/{id}."""

import asyncio

import pytest

from tests.fixtures.accounts import REVIEWER, STRANGER
from tests.fixtures.api import Api
from tests.fixtures.project_rows import KEYS, annotate, stored_class

MEMBERS = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}


async def test_only_what_is_sent_is_changed(api: Api) -> None:
    dataset = await api.dataset(
        tasks=["detection"], images=1, classes={"detection": {"a": stored_class()}}, members={"reviewer": "admin"}
    )
    await annotate(api, dataset, [(dataset.image_ids[0], "detection", "a")])
    admin = await api.login("reviewer")
    expected = (await admin.get(f"/api/v1/projects/{dataset.project_id}")).json()
    changes: list[dict[str, object]] = [
        {"name": "새 이름"},
        {"description": "about"},
        {"description": None},
        {"task_config": {"detection": {"min": 1.50}}},
        {"settings": {"한": ["글", {"b": None}]}},
        {"status": "archived"},
        {"name": "both", "description": ""},
    ]
    for number, change in enumerate(changes):
        reference = dataset.project_id if number % 2 else dataset.id
        answer = await admin.patch(f"/api/v1/projects/{reference}", json=change)
        assert answer.status_code == 200
        project = answer.json()
        assert project.keys() == KEYS
        assert project["updated_at"] > expected["updated_at"]
        expected |= change | {"updated_at": project["updated_at"], "last_updated_by": REVIEWER.id}
        assert project == expected == (await admin.get(f"/api/v1/projects/{dataset.project_id}")).json()


async def test_what_cannot_be_set_is_ignored(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], classes={"detection": {"a": stored_class()}})
    owner = await api.login("owner")
    before = (await owner.get(f"/api/v1/projects/{dataset.project_id}")).json()
    body = {
        "classes": {"detection": {}}, "task_classes": {}, "task_types": ["line"], "owner_id": STRANGER.id,
        "created_by": STRANGER.id,
        "dataset_id": "ds_x", "id": "proj_x", "total_annotations": 9, "last_updated_by": STRANGER.id, "revision": 99,
        "created_at": "2001-01-01T00:00:00Z",
    }  # fmt: skip
    for ignored in (body, {}):
        answer = await owner.patch(f"/api/v1/projects/{dataset.project_id}", json=ignored)
        assert answer.status_code == 200
        assert answer.json() == before


async def test_bad_values_are_named(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    url = f"/api/v1/projects/{dataset.project_id}"
    before = (await owner.get(url)).json()
    bad: list[tuple[object, str]] = [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "\t"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": 1}, "description"),
        ({"task_config": None}, "task_config"),
        ({"task_config": []}, "task_config"),
        ({"settings": None}, "settings"),
        ({"settings": "x"}, "settings"),
        ({"status": None}, "status"),
        ({"status": "x" * 21}, "status"),
        ({"status": "<b>"}, "status"),
    ]
    for body, field in bad:
        answer = await owner.patch(url, json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert (await owner.get(url)).json() == before


@pytest.mark.parametrize("visibility", ["private", "public"])
async def test_who_may(api: Api, visibility: str) -> None:
    dataset = await api.dataset(members=MEMBERS, visibility=visibility)
    url = f"/api/v1/projects/{dataset.project_id}"
    for account, status in (("owner", 200), ("admin", 200), *((account, 403) for account in MEMBERS)):
        assert (await (await api.login(account)).patch(url, json={"name": account})).status_code == status
    stranger = await api.login("stranger")
    assert (await stranger.patch(url, json={"name": "x"})).status_code == (404 if visibility == "private" else 403)
    assert (await (await api.login("owner")).get(url)).json()["name"] == "admin"


async def test_different_keys_at_once_are_all_kept(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    url = f"/api/v1/projects/{dataset.project_id}"
    changes = [
        {"name": "n"}, {"description": "d"}, {"settings": {"s": 1}}, {"status": "s"}, {"task_config": {"line": {}}}
    ]  # fmt: skip
    answers = await asyncio.gather(
        *(owner.patch(url, json=change) for change in changes),
        owner.post(f"{url}/task-types", json={"task_type": "detection"}),
    )
    assert {answer.status_code for answer in answers} == {200}
    project = (await owner.get(url)).json()
    assert project["name"] == "n"
    assert project["description"] == "d"
    assert project["status"] == "s"
    assert project["settings"] == {"s": 1}
    assert project["task_types"] == ["detection"]


async def test_two_statements(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.patch(f"/api/v1/projects/{dataset.project_id}", json={"name": "x"})
    assert counted.value == 2
