"""Status of one lock, and freeing one that somebody else holds."""

from urllib.parse import quote

import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.labeler_api.locks.test_locks import LOCK_KEYS, MEMBERS, expire, url


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    return await api.dataset(images=3, members=MEMBERS)


async def test_status(api: Api, dataset: Dataset) -> None:
    annotator, viewer = await api.login("annotator"), await api.login("viewer")
    target = url(dataset, dataset.image_ids[0])
    assert (await viewer.get(f"{target}/status")).json() is None
    lock = (await annotator.post(f"{target}/acquire")).json()["lock"]
    await annotator.post(url(dataset, dataset.image_ids[1], "/acquire"))
    with api.count() as count:
        response = await viewer.get(f"{target}/status")
    assert response.status_code == 200
    assert response.json() == lock
    assert response.json().keys() == LOCK_KEYS
    assert count.value == 1
    assert (await viewer.get(f"/api/v1/image-locks/{dataset.id}/{dataset.image_ids[0]}/status")).json() == lock
    await expire(api, dataset.project_id)
    assert (await viewer.get(f"{target}/status")).json() is None


async def test_force_frees_the_image(api: Api, dataset: Dataset) -> None:
    admin, annotator, reviewer = await api.login("owner"), await api.login("annotator"), await api.login("reviewer")
    target = url(dataset, dataset.image_ids[0])
    assert (await admin.delete(f"{target}/force")).json() == {"status": "not_locked"}
    await annotator.post(f"{target}/acquire")
    assert (await admin.delete(f"{target}/force")).json() == {"status": "released"}
    assert (await annotator.post(f"{target}/heartbeat")).json() == {"status": "not_locked", "lock": None}
    assert (await reviewer.post(f"{target}/acquire")).json()["status"] == "acquired"
    await expire(api, dataset.project_id)
    assert (await admin.delete(f"{target}/force")).json() == {"status": "not_locked"}


@pytest.mark.parametrize("image_id", ["train/good/a b", "50%/ok?#1", "x/status", "x/force"])
async def test_ids_that_need_encoding(api: Api, dataset: Dataset, image_id: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET id = $1 WHERE id = $2", image_id, dataset.image_ids[0])
    client = await api.login("owner")
    for encoded in (quote(image_id, safe=""), quote(image_id)):
        target = f"/api/v1/image-locks/{dataset.project_id}/{encoded}"
        await client.post(f"{target}/acquire")
        assert (await client.get(f"{target}/status")).json()["image_id"] == image_id
        assert (await client.delete(f"{target}/force")).json() == {"status": "released"}


@pytest.mark.parametrize(
    ("account", "status", "force"),
    [
        ("admin", 200, 200),
        ("owner", 200, 200),
        ("reviewer", 200, 403),
        ("annotator", 200, 403),
        ("viewer", 200, 403),
        ("stranger", 404, 404),
        (None, 401, 401),
    ],
)
async def test_roles(api: Api, dataset: Dataset, account: str | None, status: int, force: int) -> None:
    client = await api.login(account) if account else api.client()
    target = url(dataset, dataset.image_ids[0])
    shown, freed = await client.get(f"{target}/status"), await client.delete(f"{target}/force")
    assert shown.status_code == status
    assert freed.status_code == force
    assert all(isinstance(answer.json()["detail"], str) for answer in (shown, freed) if answer.status_code >= 400)


async def test_a_project_that_is_not_there(api: Api) -> None:
    client = await api.login("owner")
    nowhere = "/api/v1/image-locks/proj_none"
    for response in (
        await client.get(nowhere),
        await client.get(f"{nowhere}/x/status"),
        await client.delete(f"{nowhere}/x/force"),
    ):
        assert response.status_code == 404
        assert response.json()["code"] == "project_not_found"
