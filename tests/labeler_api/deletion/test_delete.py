"""DELETE /datasets/{id} and its impact: right numbers, gone at once, and nothing left in tables or buckets."""

import pytest

from labeler_api.deletion.datasets import row_deletion as deleted_rows
from labeler_api.deletion.datasets import stored_files
from labeler_api.object_store.objects import ObjectStore
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import (
    delete,
    done,
    due,
    full_dataset,
    left,
    objects_of,
    ordered,
    purge_now,
    put_objects,
    workers,
)

IMPACT_KEYS = {
    "dataset_id",
    "dataset_name",
    "projects",
    "total_projects",
    "total_images",
    "total_annotations",
    "total_versions",
    "storage_size_mb",
    "file_counts",
    "storage_is_estimated",
}


def impact_path(dataset: Dataset) -> str:
    return f"/api/v1/datasets/{dataset.id}/deletion-impact"


async def test_the_impact_counts_what_is_there(api: Api) -> None:
    dataset = await full_dataset(api)
    owner = await api.login("owner")
    answer = await owner.get(impact_path(dataset))
    assert answer.status_code == 200
    assert answer.json() == {
        "dataset_id": dataset.id,
        "dataset_name": "Dataset 1",
        "projects": [
            {
                "project_id": dataset.project_id,
                "project_name": "Dataset 1",
                "task_types": ["detection", "classification"],
                "annotation_count": 3,
                "image_count": 3,
                "version_count": 1,
            }
        ],
        "total_projects": 1,
        "total_images": 3,
        "total_annotations": 3,
        "total_versions": 1,
        "storage_size_mb": 0.0,
        "file_counts": {"annotations": 1, "exports": 1, "images": 3},
        "storage_is_estimated": False,
    }
    by_project = await owner.get(f"/api/v1/datasets/{dataset.project_id}/deletion-impact")
    assert by_project.json() == answer.json()


async def test_a_store_that_does_not_answer_in_time_is_estimated(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = await full_dataset(api)
    monkeypatch.setattr(stored_files, "_LIST_SECONDS", 0.0)
    answer = (await (await api.login("owner")).get(impact_path(dataset))).json()
    assert answer["storage_is_estimated"] is True
    assert answer["file_counts"] == {"annotations": 0, "exports": 1, "images": 3}
    assert answer["total_images"] == 3


async def test_no_transaction_is_open_while_the_store_is_listed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = await full_dataset(api)
    idle: list[tuple[int, int]] = []
    listing = ObjectStore.list

    def watched(self: ObjectStore, bucket: str, prefix: str) -> object:
        idle.append(api.db.size)
        return listing(self, bucket, prefix)

    monkeypatch.setattr(ObjectStore, "list", watched)
    await (await api.login("owner")).get(impact_path(dataset))
    assert len(idle) == 2
    assert all(size == free for size, free in idle)


@pytest.mark.parametrize(("images", "most"), [(1, 9), (10, 9), (1000, 10)])
async def test_statements_do_not_grow_with_the_dataset(api: Api, images: int, most: int) -> None:
    """One more instead of a long list of the store."""
    dataset = await api.dataset(tasks=["detection"], images=images)
    owner = await api.login("owner")
    with api.count() as statements:
        assert (await owner.get(impact_path(dataset))).status_code == 200
    assert statements.value == 2
    with api.count() as statements:
        assert (await delete(owner, dataset)).status_code == 200
    assert statements.value == most


async def test_who_may_delete(api: Api) -> None:
    roles = {"reviewer": "admin", "annotator": "annotator", "viewer": "viewer"}
    private = await api.dataset(tasks=["detection"], images=1, members=roles)
    public = await api.dataset(visibility="public")
    expected = {"admin": 403, "reviewer": 403, "annotator": 403, "viewer": 403, "stranger": 404}
    for account, status in expected.items():
        client = await api.login(account)
        assert (await client.get(impact_path(private))).status_code == status
        wrong = await delete(client, private, name="not its name")
        assert wrong.status_code == status, "the name is asked only of who may delete"
        assert "Dataset 1" not in wrong.text
        assert (await client.delete(f"/api/v1/projects/{private.project_id}")).status_code == status
    stranger = await api.login("stranger")
    assert (await delete(stranger, public)).status_code == 403
    async with api.client() as nobody:
        assert (await delete(nobody, private)).status_code == 401
    assert set(await left(api, private)) >= {"datasets", "annotation_projects", "image_metadata"}


async def test_bad_requests_change_nothing(api: Api) -> None:
    dataset = await full_dataset(api)
    owner, before = await api.login("owner"), await left(api, dataset)
    wrong = await delete(owner, dataset, name="dataset 1")
    assert wrong.status_code == 400
    assert wrong.json()["code"] == "name_mismatch"
    assert "Dataset 1" in wrong.json()["detail"]
    for body in ({}, {"dataset_name_confirmation": None}, {"dataset_name_confirmation": "x" * 1001}):
        answer = await owner.request("DELETE", f"/api/v1/datasets/{dataset.id}", json=body)
        assert answer.status_code == 422
    assert (await delete(owner, Dataset("ds_ffffffffffffffff", ""), name="x")).status_code == 404
    assert await left(api, dataset) == before
    assert await due(api) == 0


async def test_everything_of_a_dataset_goes_and_nothing_else(api: Api) -> None:
    other = await full_dataset(api)
    dataset = await full_dataset(api)
    owner = await api.login("owner")
    before, its_objects = await left(api, other), await objects_of(api, other)
    impact = (await owner.get(impact_path(dataset))).json()
    answer = await delete(owner, dataset)
    assert answer.status_code == 200
    assert answer.json() == {
        "dataset_id": dataset.id,
        "dataset_name": "Dataset 2",
        "deleted": True,
        "backup_created": False,
        "backup_files": {},
        "backup": [],
        "labeler_deletions": {
            "annotations": 3,
            "image_statuses": 2,
            "annotation_versions": 1,
            "annotation_snapshots": 3,
            "projects": 1,
        },
        "s3_deletions": {"dataset_files": 7, "export_files": 1},
        "impact": impact,
    }
    for path in (f"datasets/{dataset.id}", f"projects/{dataset.project_id}", impact_path(dataset)[8:]):
        assert (await owner.get(f"/api/v1/{path}")).status_code == 404
    assert len(await objects_of(api, dataset)) == 8, "the store is purged after the answer"
    async with workers(api):
        await done(api)
        assert await left(api, dataset) == {}
        assert await objects_of(api, dataset) == []
        await put_objects(api, dataset)  # an upload that had begun before the deletion
        await purge_now(api)
        await done(api)
    assert await objects_of(api, dataset) == []
    assert await left(api, other) == before
    assert await objects_of(api, other) == its_objects
    for path in (f"datasets/{dataset.id}", f"projects/{dataset.project_id}", impact_path(dataset)[8:]):
        assert (await owner.get(f"/api/v1/{path}")).status_code == 404
    assert (await delete(owner, dataset)).status_code == 404


async def test_a_dataset_without_a_project_is_deleted_by_its_owner(api: Api) -> None:
    dataset = await api.dataset(images=2)
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM annotation_projects WHERE id = $1", dataset.project_id)
    owner = await api.login("owner")
    impact = (await owner.get(impact_path(dataset))).json()
    assert impact["projects"] == []
    assert impact["total_images"] == 2
    answer = await delete(owner, dataset, create_backup=True)
    assert answer.status_code == 200, answer.text
    assert answer.json()["backup_files"] == {}
    assert [file["rows"]["image_metadata"] for file in answer.json()["backup"]] == [2]


async def test_a_project_goes_and_its_dataset_stays(api: Api) -> None:
    dataset = await full_dataset(api)
    owner = await api.login("owner")
    with api.count() as statements:
        answer = await owner.delete(f"/api/v1/projects/{dataset.id}")  # either id will do
    assert answer.status_code == 204
    assert answer.content == b""
    assert statements.value == 4
    assert (await owner.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 404
    async with workers(api):
        await done(api)
    assert await left(api, dataset) == {"image_metadata": 3, "invitations": 1, "datasets": 1}
    keys = await objects_of(api, dataset)
    assert len(keys) == 7
    assert not any(key.startswith("exports/") for key in keys)
    project = await owner.get(f"/api/v1/datasets/{dataset.id}/project")
    assert project.status_code == 200
    assert project.json()["id"] != dataset.project_id
    assert project.json()["total_images"] == 3
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT status FROM invitations") == "cancelled"


async def test_what_is_in_the_database_again_is_not_purged(api: Api) -> None:
    """As after a restore to a moment before the deletion."""
    dataset = await full_dataset(api)
    assert (await delete(await api.login("owner"), dataset)).status_code == 200
    await deleted_rows.handle(api.services, await ordered(api, deleted_rows.KIND))
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ($1, 'back', 2, 'x')", dataset.id
        )
    async with workers(api):
        await done(api)
    assert len(await objects_of(api, dataset)) == 8
