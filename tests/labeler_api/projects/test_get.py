"""GET /projects/{id}."""

import pytest

from tests.fixtures.accounts import OWNER
from tests.fixtures.api import Api
from tests.fixtures.project_rows import KEYS, annotate, stored_class


@pytest.mark.parametrize("account", ["owner", "reviewer", "annotator", "viewer", "admin"])
async def test_every_role_reads_it_by_either_id(api: Api, account: str) -> None:
    members = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
    dataset = await api.dataset(tasks=["detection"], images=2, members=members)
    client = await api.login(account)
    for reference in (dataset.project_id, dataset.id):
        answer = await client.get(f"/api/v1/projects/{reference}")
        assert answer.status_code == 200
        body = answer.json()
        assert body.keys() == KEYS
        assert body["id"] == dataset.project_id
        assert body["dataset_id"] == dataset.id
        assert body["task_types"] == ["detection"]
        assert body["task_classes"] == {"detection": {}}
        assert body["total_images"] == 2
        assert body["dataset_num_items"] == 2
        assert body["status"] == "active"
        assert body["created_at"].endswith("Z")


async def test_counters_are_the_stored_ones_and_class_counts_are_computed(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes={"detection": {"a": stored_class()}})
    await annotate(api, dataset, [(dataset.image_ids[0], "detection", "a")] * 3)
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_projects SET total_annotations = 30, annotated_images = 10,"
            f" last_updated_by = {OWNER.id} WHERE true"
        )
    body = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}")).json()
    assert body["total_annotations"] == 30
    assert body["annotated_images"] == 10
    assert body["task_classes"]["detection"]["a"] == {**stored_class(), "image_count": 1, "bbox_count": 3}
    assert body["last_updated_by"] == OWNER.id
    assert body["last_updated_by_name"] is None
    assert body["last_updated_by_email"] is None


async def test_stored_objects_go_through_as_they_are(api: Api) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_projects SET settings = $1, task_config = $2",
            '{"a": [1, {"b": null}], "한": "글"}',
            '{"x": 1.50}',
        )
    body = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}")).json()
    assert body["settings"] == {"a": [1, {"b": None}], "한": "글"}
    assert body["task_config"] == {"x": 1.5}


async def test_hidden_from_strangers_and_open_when_public(api: Api) -> None:
    private, public = await api.dataset(), await api.dataset(visibility="public")
    stranger = await api.login("stranger")
    assert (await stranger.get(f"/api/v1/projects/{private.project_id}")).status_code == 404
    assert (await stranger.get(f"/api/v1/projects/{public.project_id}")).status_code == 200
    assert (await stranger.get("/api/v1/projects/proj_000000000000")).status_code == 404


async def test_a_dataset_without_a_project_says_so(api: Api) -> None:
    async with api.db.begin() as tx:
        await tx.execute("INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_alone', 'Alone', 2, '')")
    answer = await (await api.login("owner")).get("/api/v1/projects/ds_alone")
    assert answer.status_code == 404
    assert "no project yet" in answer.json()["detail"]


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_and_no_look_up_of_users(api: Api, number: int) -> None:
    classes = {"detection": {f"class{index}": stored_class(index) for index in range(number)}}
    dataset = await api.dataset(tasks=["detection"], images=1, classes=classes)
    await annotate(api, dataset, [(dataset.image_ids[0], "detection", f"class{index}") for index in range(number)])
    owner = await api.login("owner")
    await owner.get("/api/v1/auth/me")
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        body = (await owner.get(f"/api/v1/projects/{dataset.project_id}")).json()
    assert len(body["task_classes"]["detection"]) == number
    assert counted.value == 1
    assert api.services.directory.calls == calls
