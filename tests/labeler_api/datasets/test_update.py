"""PUT /datasets/{id}."""

import pytest

from tests.fixtures.accounts import OWNER, STRANGER
from tests.fixtures.api import Api

KEYS = {
    "id", "name", "description", "owner_id", "format", "source", "visibility", "labeled", "num_items", "size_mb",
    "storage_path", "tags", "created_at", "updated_at", "owner_name", "owner_email", "owner_badge_color",
}  # fmt: skip


async def test_name_description_and_visibility(api: Api) -> None:
    dataset = await api.dataset(images=2)
    owner = await api.login("owner")
    url = f"/api/v1/datasets/{dataset.id}"
    before = (await owner.get(url)).json()
    body = {"name": "새 이름", "description": "about it", "visibility": "public"}
    answer = await owner.put(url, json=body)
    assert answer.status_code == 200
    assert answer.json().keys() == KEYS
    changed = {**before, **body, "updated_at": answer.json()["updated_at"]}
    assert answer.json() == changed == (await owner.get(url)).json()
    assert changed["updated_at"] > before["updated_at"]
    assert (await (await api.login("stranger")).get(url)).status_code == 200
    assert (await owner.get(f"{url}/project")).json()["name"] == "Dataset 1"


async def test_what_is_not_sent(api: Api) -> None:
    """A description that is not sent is removed; a visibility that is not sent, null or empty stays."""
    dataset = await api.dataset(visibility="public")
    owner = await api.login("owner")
    url = f"/api/v1/datasets/{dataset.project_id}"  # either id
    for visibility in ({}, {"visibility": None}, {"visibility": ""}):
        await owner.put(url, json={"name": "a", "description": "text"})
        body = (await owner.put(url, json={"name": "b", **visibility})).json()
        assert body["name"] == "b"
        assert body["description"] is None
        assert body["visibility"] == "public"


async def test_nothing_else_can_be_set(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    body = {
        "name": "x", "owner_id": STRANGER.id, "id": "ds_x", "num_items": 9, "storage_path": "/", "labeled": True,
        "created_at": "2001-01-01T00:00:00Z", "images_revision": 7,
    }  # fmt: skip
    answer = (await owner.put(f"/api/v1/datasets/{dataset.id}", json=body)).json()
    assert answer["id"] == dataset.id
    assert answer["owner_id"] == OWNER.id
    assert answer["num_items"] == 0
    assert answer["labeled"] is False
    assert answer["created_at"] > "2020"


async def test_bad_values_are_named(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    bad: list[tuple[object, str]] = [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "description": 1}, "description"),
        ({"name": "x", "visibility": "secret"}, "visibility"),
        ({"name": "x", "visibility": "x" * 30}, "visibility"),
    ]
    for body, field in bad:
        answer = await owner.put(f"/api/v1/datasets/{dataset.id}", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["body", field]


@pytest.mark.parametrize("visibility", ["private", "public"])
async def test_the_owner_only(api: Api, visibility: str) -> None:
    members = {"reviewer": "admin", "annotator": "reviewer", "viewer": "viewer"}
    dataset = await api.dataset(members=members, visibility=visibility)
    for account in ("reviewer", "annotator", "viewer", "admin", "stranger"):
        answer = await (await api.login(account)).put(f"/api/v1/datasets/{dataset.id}", json={"name": "x"})
        assert answer.status_code == (404 if account == "stranger" and visibility == "private" else 403)
    owner = await api.login("owner")
    assert (await owner.put("/api/v1/datasets/ds_none", json={"name": "x"})).status_code == 404
    with api.count() as counted:
        assert (await owner.put(f"/api/v1/datasets/{dataset.id}", json={"name": "x"})).status_code == 200
    assert counted.value == 2
