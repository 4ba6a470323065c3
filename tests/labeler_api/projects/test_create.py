"""POST /projects."""

import asyncio
from typing import Any

import msgspec
import pytest

from labeler_api.projects import service as projects_service
from tests.fixtures.accounts import OWNER, STRANGER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.project_rows import KEYS

URL = "/api/v1/projects"


async def _without_project(api: Api, visibility: str = "private") -> Dataset:
    """A dataset whose project was deleted."""
    dataset = await api.dataset(images=3, visibility=visibility)
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM annotation_projects WHERE id = $1", dataset.project_id)
    return dataset


def _body(dataset: Dataset, **changed: Any) -> dict[str, Any]:
    return {
        "name": "Parts",
        "dataset_id": dataset.id,
        "task_types": ["detection", "line"],
        "task_config": {},
        "classes": {},
    } | changed


async def test_a_project_for_a_dataset_that_has_none(api: Api) -> None:
    dataset = await _without_project(api)
    owner = await api.login("owner")
    classes = {"detection": {"a": {"name": "scratch", "color": "#ff0000", "bbox_count": 7}}}
    body = _body(
        dataset,
        description="about",
        settings={"a": [1, None]},
        task_config={"detection": {"type": "bbox", "n": 1.5}},
        classes={"detection": {**classes["detection"], "b": {"name": "dent", "color": "blue", "order": 9}}},
    )
    answer = await owner.post(URL, json=body)
    assert answer.status_code == 201
    project = answer.json()
    assert project.keys() == KEYS
    assert project["name"] == "Parts"
    assert project["description"] == "about"
    assert project["owner_id"] == OWNER.id
    assert project["dataset_id"] == dataset.id
    assert project["total_images"] == 3
    assert project["status"] == "active"
    assert project["settings"] == {"a": [1, None]}
    assert project["task_types"] == ["detection", "line"]
    assert project["task_config"] == {"detection": {"type": "bbox", "n": 1.5}, "line": {}}
    info = {"description": None, "image_count": 0, "bbox_count": 0}
    assert project["task_classes"] == {
        "detection": {
            "a": {"name": "scratch", "color": "#ff0000", "order": 0, **info},
            "b": {"name": "dent", "color": "blue", "order": 9, **info},
        },
        "line": {},
    }
    assert (await owner.get(f"{URL}/{dataset.id}")).json() == project
    members = (await owner.get(f"{URL}/{dataset.id}/permissions")).json()
    assert [(one["user_id"], one["role"]) for one in members] == [(2, "owner")]


async def test_what_may_be_left_out(api: Api) -> None:
    dataset = await _without_project(api)
    answer = await (await api.login("owner")).post(
        URL, json=_body(dataset, settings=None, owner_id=STRANGER.id, id="proj_x")
    )
    assert answer.status_code == 201
    project = answer.json()
    assert project["settings"] == {}
    assert project["owner_id"] == OWNER.id
    assert project["task_config"]["detection"] == {"type": "bbox"}
    assert project["id"] != "proj_x"


async def test_a_dataset_has_one_project(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    for reference in (dataset.id, dataset.project_id):
        answer = await owner.post(URL, json=_body(dataset, dataset_id=reference))
        assert answer.status_code == 409
        assert answer.json()["code"] == "project_exists"
        assert "one at most" in answer.json()["detail"]


async def test_of_ten_at_once_one_makes_it(api: Api) -> None:
    dataset = await _without_project(api)
    owner = await api.login("owner")
    answers = await asyncio.gather(*(owner.post(URL, json=_body(dataset, name=str(n))) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await owner.get(f"{URL}/{dataset.id}")).json() == winner


@pytest.mark.parametrize("visibility", ["private", "public"])
async def test_the_owner_of_the_dataset_only(api: Api, visibility: str) -> None:
    dataset = await _without_project(api, visibility)
    for account in ("admin", "viewer", "stranger"):
        answer = await (await api.login(account)).post(URL, json=_body(dataset))
        hidden = visibility == "private" and account != "admin"
        assert answer.status_code == (404 if hidden else 403)
    answer = await (await api.login("owner")).post(URL, json=_body(dataset, dataset_id="ds_none"))
    assert answer.status_code == 404


async def test_bad_values_are_named(api: Api) -> None:
    dataset = await _without_project(api)
    owner = await api.login("owner")
    bad: list[tuple[dict[str, object], str]] = [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"dataset_id": ""}, "dataset_id"),
        ({"task_types": None}, "task_types"),
        ({"task_types": ["cooking"]}, "task_types"),
        ({"task_types": ["line", "line"]}, "task_types"),
        ({"task_config": []}, "task_config"),
        ({"settings": 1}, "settings"),
        ({"classes": None}, "classes"),
        ({"classes": {"segmentation": {}}}, "classes"),
        ({"classes": {"detection": []}}, "classes"),
        ({"classes": {"detection": {"a": {"name": "x", "color": "javascript:1"}}}}, "classes"),
    ]
    for changed, field in bad:
        answer = await owner.post(URL, json=_body(dataset, **changed))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"][:2] == ["body", field]


async def test_what_jsonb_cannot_hold_is_422_and_leaves_nothing(api: Api) -> None:
    dataset = await _without_project(api)
    owner = await api.login("owner")
    for settings in ({"a": "\0"}, {"a\0": 1}, {"deep": None}):
        body = _body(dataset, settings=settings)
        text = msgspec.json.encode(body).decode().replace('"deep":null', '"deep":' + "[" * 20_000 + "]" * 20_000)
        answer = await owner.post(URL, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 422
    assert (await owner.post(URL, json=_body(dataset))).status_code == 201


async def test_two_statements(api: Api) -> None:
    dataset = await _without_project(api)
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.post(URL, json=_body(dataset))
    assert counted.value == 2


async def test_the_classes_of_a_task_have_a_size(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body has one as well, which a setting may raise: so a smaller one here."""
    monkeypatch.setattr(projects_service, "MAX_CLASSES_BYTES", 200)
    dataset, owner = await _without_project(api), await api.login("owner")
    classes = {str(n): {"name": f"class {n}", "color": "#ff0000"} for n in range(3)}
    answer = await owner.post(URL, json=_body(dataset, classes={"detection": classes}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "classes", "detection"]
    answer = await owner.post(URL, json=_body(dataset, classes={"detection": {"0": classes["0"]}}))
    assert answer.status_code == 201
