"""Storage structure and preview (16, 17): folders with their parents, and which files of an upload replace an image."""

import unicodedata
from typing import Any

import httpx
import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture

ROLES = {"reviewer": "admin", "annotator": "reviewer", "viewer": "viewer"}


def path(dataset: Dataset, call: str) -> str:
    return f"/api/v1/datasets/{dataset.id}/storage/{call}"


async def put_images(api: Api, dataset: Dataset, *paths: str) -> None:
    """Insert image rows, ten bytes each."""
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size)"
            " VALUES ($1, $2, $3, $4, $5, 10)",
            [
                (
                    dataset.id,
                    name.rpartition(".")[0],
                    name.rpartition("/")[2],
                    f"datasets/{dataset.id}/images/{name}",
                    name.rpartition("/")[0] or None,
                )
                for name in paths
            ],
        )


async def preview(client: httpx.AsyncClient, dataset: Dataset, *paths: str, target: str = "") -> dict[str, Any]:
    mappings = [{"filename": name.rpartition("/")[2], "relative_path": name, "size": 5} for name in paths]
    answer = await client.post(path(dataset, "preview"), json={"file_mappings": mappings, "target_folder": target})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_structure_counts_every_folder_with_its_parents(api: Api) -> None:
    dataset = await api.dataset()
    await put_images(api, dataset, "top.jpg", "train/good/1.jpg", "train/good/2.jpg", "train/bad/1.jpg", "tést 1/a.png")
    answer = await (await api.login("owner")).get(path(dataset, "structure"))
    assert answer.status_code == 200
    assert answer.json() == {
        "dataset_id": dataset.id,
        "total_files": 5,
        "total_size_bytes": 50,
        "folders": [
            {"path": "/", "name": "(루트)", "file_count": 1, "total_size_bytes": 10, "depth": 0},
            {"path": "train/", "name": "train", "file_count": 3, "total_size_bytes": 30, "depth": 1},
            {"path": "train/bad/", "name": "bad", "file_count": 1, "total_size_bytes": 10, "depth": 2},
            {"path": "train/good/", "name": "good", "file_count": 2, "total_size_bytes": 20, "depth": 2},
            {"path": "tést 1/", "name": "tést 1", "file_count": 1, "total_size_bytes": 10, "depth": 1},
        ],
        "is_complete": True,
    }


async def test_an_empty_dataset_has_no_folders(api: Api) -> None:
    dataset = await api.dataset()
    answer = await (await api.login("owner")).get(path(dataset, "structure"))
    assert answer.json() == {
        "dataset_id": dataset.id,
        "total_files": 0,
        "total_size_bytes": 0,
        "folders": [],
        "is_complete": True,
    }


async def test_the_preview_tells_duplicates_from_new_files(api: Api) -> None:
    dataset = await api.dataset()
    await put_images(api, dataset, "train/1.jpg", "한글/가.jpg")
    other = await api.dataset()
    await put_images(api, other, "train/2.jpg")
    decomposed = unicodedata.normalize("NFD", "한글/가.jpg")  # as macOS names it; stored normalised
    body = await preview(await api.login("owner"), dataset, "train/1.jpg", "train/2.jpg", "train/1.png", decomposed)
    assert body["dataset_id"] == dataset.id
    assert body["target_folder"] == ""
    assert body["current_structure"]["total_files"] == 2
    assert body["new_files"] == [
        {"filename": "2.jpg", "path": "train/2.jpg", "size": 5, "status": "new"},
        {"filename": "1.png", "path": "train/1.png", "size": 5, "status": "new"},
    ]
    assert [(file["path"], file["status"]) for file in body["duplicate_files"]] == [
        ("train/1.jpg", "duplicate"),
        ("한글/가.jpg", "duplicate"),
    ]
    assert body["summary"] == {"total_new": 2, "total_duplicates": 2, "total_files": 4}


async def test_names_are_judged_as_the_upload_judges_them(api: Api) -> None:
    dataset = await api.dataset()
    await put_images(api, dataset, "train/1.jpg")
    owner = await api.login("owner")
    names = [
        "../1.jpg",
        "/1.jpg",
        "a/../1.jpg",
        "a/.1.jpg",
        "__MACOSX/1.jpg",
        "x" * 256,
        "a\u202e.jpg",
        "train/1.jpg",
        "2.jpg",
    ]
    body = await preview(owner, dataset, *names, ".hidden.zip")
    assert [file["path"] for file in body["new_files"]] == ["2.jpg", ".hidden.zip"]
    assert [file["path"] for file in body["refused_files"]] == names[:7]
    assert body["refused_total"] == 7
    assert body["summary"]["total_files"] == 10
    files = [("files", (name, picture())) for name in names]
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files)
    assert [one["reason"] for one in answer.json()["failed"]] == [one["reason"] for one in body["refused_files"]]


@pytest.mark.parametrize("target", ["train", "train/", "train//"])
async def test_the_target_folder_is_applied_once(api: Api, target: str) -> None:
    dataset = await api.dataset()
    await put_images(api, dataset, "train/1.jpg")
    body = await preview(await api.login("owner"), dataset, "train/1.jpg", "1.jpg", "training/1.jpg", target=target)
    assert [file["path"] for file in body["duplicate_files"]] == ["train/1.jpg", "train/1.jpg"]
    assert [file["path"] for file in body["new_files"]] == ["train/training/1.jpg"]
    assert body["target_folder"] == target


async def test_keys_of_a_mapping_may_be_missing(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    answer = await owner.post(
        path(dataset, "preview"), json={"file_mappings": [{}, {"more": 1}, {"filename": "a.jpg"}]}
    )
    assert [file["path"] for file in answer.json()["new_files"]] == ["", "", "a.jpg"]
    assert answer.json()["new_files"][0] == {"filename": "", "path": "", "size": 0, "status": "new"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"file_mappings": None},
        {"file_mappings": [1]},
        {"file_mappings": [{"size": -1}]},
        {"file_mappings": [{"size": 2**64}]},
        {"file_mappings": [{"relative_path": "x" * 1001}]},
        {"file_mappings": [], "target_folder": 1},
        {"file_mappings": [{}] * 50_001},
    ],
)
async def test_a_bad_preview_is_422(api: Api, body: dict[str, Any]) -> None:
    dataset = await api.dataset()
    answer = await (await api.login("owner")).post(path(dataset, "preview"), json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_a_nul_in_a_path_is_422(api: Api) -> None:
    dataset = await api.dataset()
    body = {"file_mappings": [{"relative_path": "a\0.jpg"}]}
    assert (await (await api.login("owner")).post(path(dataset, "preview"), json=body)).status_code == 422


async def test_the_largest_wizard_fits_and_costs_three_statements(api: Api) -> None:
    dataset = await api.dataset(images=1000)
    owner = await api.login("owner")
    for number in (1, 10, 50_000):
        with api.count() as statements:
            body = await preview(owner, dataset, *(f"train/good/{n:04d}.jpg" for n in range(number)))
        assert statements.value == 3
        assert body["summary"]["total_duplicates"] == min(number, 1000)


@pytest.mark.parametrize("images", [1, 10, 1000])
async def test_the_structure_costs_two_statements(api: Api, images: int) -> None:
    dataset = await api.dataset(images=images)
    owner = await api.login("owner")
    with api.count() as statements:
        assert (await owner.get(path(dataset, "structure"))).json()["total_files"] == images
    assert statements.value == 2


async def test_who_may_browse(api: Api) -> None:
    dataset = await api.dataset(members=ROLES)
    public = await api.dataset(visibility="public")
    expected = {"owner": 200, "admin": 200, "reviewer": 200, "annotator": 403, "viewer": 403, "stranger": 404}
    for account, status in expected.items():
        client = await api.login(account)
        assert (await client.get(path(dataset, "structure"))).status_code == status
        assert (await client.post(path(dataset, "preview"), json={"file_mappings": []})).status_code == status
    stranger = await api.login("stranger")
    assert (await stranger.get(path(public, "structure"))).status_code == 403
    assert (await stranger.get(path(Dataset("ds_0", ""), "structure"))).status_code == 404
    async with api.client() as nobody:
        assert (await nobody.get(path(dataset, "structure"))).status_code == 401
