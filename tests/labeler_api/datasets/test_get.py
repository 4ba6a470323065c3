"""GET /datasets/{id} and its size."""

import uuid

import pytest

from tests.fixtures.api import Api
from tests.labeler_api.datasets.test_create import KEYS


@pytest.mark.parametrize("account", ["owner", "reviewer", "viewer", "admin"])
async def test_members_and_the_system_admin_read_it_by_either_id(api: Api, account: str) -> None:
    dataset = await api.dataset(images=3, members={"reviewer": "reviewer", "viewer": "viewer"})
    client = await api.login(account)
    for reference in (dataset.id, dataset.project_id):
        answer = await client.get(f"/api/v1/datasets/{reference}")
        assert answer.status_code == 200
        body = answer.json()
        assert body.keys() == KEYS
        assert body["id"] == dataset.id
        assert body["num_items"] == 3
        assert body["owner_email"] == "owner@example.com"


@pytest.mark.parametrize("path", ["", "/project", "/size"])
async def test_a_private_dataset_is_hidden_from_strangers(api: Api, path: str) -> None:
    dataset = await api.dataset()
    stranger = await api.login("stranger")
    hidden = await stranger.get(f"/api/v1/datasets/{dataset.id}{path}")
    missing = await stranger.get(f"/api/v1/datasets/ds_0123456789abcdef{path}")
    assert hidden.status_code == missing.status_code == 404
    for answer in (hidden, missing):
        body = answer.json()
        assert body.pop("request_id")
        assert body == {
            "detail": "There is no such project or dataset, or you are not a member of it.",
            "code": "project_not_found",
        }


@pytest.mark.parametrize("path", ["", "/project", "/size"])
async def test_a_public_dataset_is_open_to_every_user(api: Api, path: str) -> None:
    dataset = await api.dataset(visibility="public")
    answer = await (await api.login("stranger")).get(f"/api/v1/datasets/{dataset.id}{path}")
    assert answer.status_code == 200


async def test_ids_are_looked_up_and_never_judged_by_their_prefix(api: Api) -> None:
    dataset_id, project_id = str(uuid.uuid4()), "ds_is_a_project"
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ($1, 'legacy', 2, '')", dataset_id
        )
        await tx.execute(
            "INSERT INTO annotation_projects (id, name, dataset_id, owner_id) VALUES ($1, 'x', $2, 2)",
            project_id,
            dataset_id,
        )
        await tx.execute(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, 2, 'owner', 2)",
            project_id,
        )
    owner = await api.login("owner")
    for reference in (dataset_id, project_id):
        assert (await owner.get(f"/api/v1/datasets/{reference}")).json()["id"] == dataset_id
        assert (await owner.get(f"/api/v1/projects/{reference}")).json()["id"] == project_id


@pytest.mark.parametrize(
    "path", ["%00", "%ED%A0%80", "a" * 3000, "%F0%9F%A6%93", "..", "%2e%2e", "'; DROP TABLE datasets"]
)
async def test_odd_ids_are_not_found_or_refused(api: Api, path: str) -> None:
    answer = await (await api.login("owner")).get(f"/api/v1/datasets/{path}/size")
    assert answer.status_code in {404, 422}
    assert isinstance(answer.json()["detail"], str)


async def test_the_size_is_that_of_the_image_rows(api: Api) -> None:
    dataset = await api.dataset(images=3)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET size = $1 WHERE dataset_id = $2", 3 * 2**30, dataset.id)
    body = (await (await api.login("owner")).get(f"/api/v1/datasets/{dataset.id}/size")).json()
    assert body == {"total_images": 3, "total_bytes": 9 * 2**30, "total_mb": 9216.0, "total_gb": 9.0}
    assert isinstance(body["total_mb"], float)


async def test_an_empty_dataset_has_no_size(api: Api) -> None:
    dataset = await api.dataset()
    body = (await (await api.login("owner")).get(f"/api/v1/datasets/{dataset.id}/size")).json()
    assert body == {"total_images": 0, "total_bytes": 0, "total_mb": 0.0, "total_gb": 0.0}


@pytest.mark.parametrize("images", [1, 10, 1000])
async def test_one_statement_whatever_the_number_of_images(api: Api, images: int) -> None:
    dataset = await api.dataset(images=images)
    owner = await api.login("owner")
    for path in ("", "/size"):
        with api.count() as counted:
            assert (await owner.get(f"/api/v1/datasets/{dataset.id}{path}")).status_code == 200
        assert counted.value == 1
