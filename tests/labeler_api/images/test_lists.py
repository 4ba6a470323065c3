"""The preview, the pages of a project's images, and the summary of a dataset."""

import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture, upload

IMAGE_KEYS = {
    "id",
    "key",
    "filename",
    "file_name",
    "folder_path",
    "size",
    "last_modified",
    "url",
    "thumbnail_url",
    "width",
    "height",
}


async def budget(api: Api, path: str) -> int:
    with api.count() as counted:
        answer = await (await api.login("owner")).get(path)
    assert answer.status_code == 200
    return counted.value


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/api/v1/projects/{p}/images?limit=200", 1),
        ("/api/v1/datasets/{d}/images?limit=200", 1),
        ("/api/v1/datasets/{d}/images?limit=200&random=false", 1),
        ("/api/v1/datasets/{d}/summary", 1),
    ],
)
async def test_statements_do_not_grow_with_the_images(api: Api, path: str, statements: int) -> None:
    for number in (1, 10, 1000):
        dataset = await api.dataset(images=number, tasks=["detection"])
        where = path.format(p=dataset.project_id, d=dataset.id)
        assert await budget(api, where) == statements


async def test_a_page_of_images(api: Api) -> None:
    dataset = await api.dataset(images=7)
    owner = await api.login("owner")
    answer = await owner.get(f"/api/v1/projects/{dataset.project_id}/images", params={"limit": 3, "offset": 2})
    body = answer.json()
    assert {"images", "total", "dataset_id", "project_id"} == set(body)
    assert body["total"] == 7
    assert body["dataset_id"] == dataset.id
    assert body["project_id"] == dataset.project_id
    assert [image["id"] for image in body["images"]] == dataset.image_ids[2:5]
    image = body["images"][0]
    assert set(image) == IMAGE_KEYS
    assert image["key"] == f"datasets/{dataset.id}/images/train/good/0002.jpg"
    assert image["filename"] == image["file_name"] == "train/good/0002.jpg"
    assert image["folder_path"] == "train/good"
    assert image["size"] == 1000
    assert image["width"] == 640
    assert image["height"] == 480
    assert image["last_modified"].endswith("Z")
    assert image["url"].startswith(f"http://api.test/media/images/{dataset.id}/train/good/0002?")
    assert image["thumbnail_url"].startswith(f"http://api.test/media/thumbnails/{dataset.id}/train/good/0002?")


async def test_cursors_lead_through_all_of_them(api: Api) -> None:
    dataset = await api.dataset(images=10)
    owner, path = await api.login("owner"), f"/api/v1/projects/{dataset.project_id}/images"
    found, params = [], {"limit": 4}
    for _ in range(3):
        answer = await owner.get(path, params=params)
        found += [image["id"] for image in answer.json()["images"]]
        assert answer.json()["total"] == 10
        if cursor := answer.headers.get("x-next-cursor"):
            params = {"limit": 4, "cursor": cursor}
    assert found == dataset.image_ids
    assert "x-next-cursor" not in answer.headers


async def test_an_unchanged_page_is_a_304(api: Api) -> None:
    dataset = await api.dataset(images=3)
    owner, path = await api.login("owner"), f"/api/v1/projects/{dataset.project_id}/images"
    first = await owner.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    condition = {"If-None-Match": first.headers["etag"]}
    assert (await owner.get(path, headers=condition)).status_code == 304
    await upload(owner, dataset, ("new.jpg", picture()))
    assert (await owner.get(path, headers=condition)).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=201", 400),
        ("limit=200", 200),
        ("limit=-1", 422),
        ("offset=-1", 422),
        ("limit=x", 422),
        ("offset=99999999999999999999", 422),
        ("offset=1000", 200),
        ("cursor=nonsense", 422),
        ("unknown=1", 200),
    ],
)
async def test_paging_that_is_out_of_range(api: Api, query: str, status: int) -> None:
    dataset = await api.dataset(images=1)
    answer = await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}/images?{query}")
    assert answer.status_code == status


async def test_the_preview(api: Api) -> None:
    dataset = await api.dataset(images=30)
    owner, path = await api.login("owner"), f"/api/v1/datasets/{dataset.id}/images"
    first = (await owner.get(path, params={"limit": 8, "offset": 0, "random": "false"})).json()
    assert [image["id"] for image in first] == dataset.image_ids[:8]
    assert set(first[0]) == {"id", "file_name", "width", "height", "url", "thumbnail_url"}
    assert first[0]["file_name"] == first[0]["id"]
    drawn = [[image["id"] for image in (await owner.get(path, params={"limit": 8})).json()] for _ in range(6)]
    assert all(len(set(ids)) == 8 and set(ids) <= set(dataset.image_ids) for ids in drawn)
    assert len({tuple(ids) for ids in drawn}) > 1
    assert len((await owner.get(path)).json()) == 12
    assert len((await owner.get(path, params={"limit": 100_000})).json()) == 30
    assert (await owner.get(path, params={"limit": -1})).status_code == 422
    empty = await api.dataset()
    assert (await owner.get(f"/api/v1/datasets/{empty.id}/images")).json() == []


async def test_the_preview_of_many_is_drawn_from_all_of_them(api: Api) -> None:
    dataset = await api.dataset(images=2000)
    owner = await api.login("owner")
    seen: set[str] = set()
    for _ in range(10):
        images = (await owner.get(f"/api/v1/datasets/{dataset.id}/images", params={"limit": 50})).json()
        assert len(images) == 50
        seen |= {image["id"] for image in images}
    assert len(seen) > 300


async def test_the_summary(api: Api) -> None:
    dataset = await api.dataset(images=15, tasks=["detection", "classification"])
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO image_annotation_status (project_id, image_id, task_type, status)"
            " VALUES ($1, $2, 'detection', $3)",
            [
                (dataset.project_id, dataset.image_ids[0], "in-progress"),
                (dataset.project_id, dataset.image_ids[1], "completed"),
                (dataset.project_id, dataset.image_ids[2], "completed"),
            ],
        )
        await tx.execute(
            "UPDATE annotation_projects SET annotated_images = 3, total_annotations = 9 WHERE id = $1",
            dataset.project_id,
        )
    body = (await (await api.login("owner")).get(f"/api/v1/datasets/{dataset.id}/summary")).json()
    thumbnails, updated_at = body.pop("thumbnails"), body.pop("updated_at")
    assert body == {
        "dataset_id": dataset.id,
        "name": "Dataset 1",
        "total_images": 15,
        "total_bytes": 15_000,
        "annotated_images": 3,
        "total_annotations": 9,
        "tasks": [
            {"task_type": "detection", "not_started": 12, "in_progress": 1, "completed": 2},
            {"task_type": "classification", "not_started": 15, "in_progress": 0, "completed": 0},
        ],
    }
    assert updated_at.endswith("Z")
    assert [image["image_id"] for image in thumbnails] == dataset.image_ids[:12]
    assert set(thumbnails[0]) == {"image_id", "file_name", "url", "thumbnail_url"}
    assert thumbnails[0]["file_name"] == "train/good/0000.jpg"


async def test_a_dataset_without_a_project_has_a_summary_and_a_preview(api: Api) -> None:
    dataset = await api.dataset(images=2)
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM annotation_projects WHERE id = $1", dataset.project_id)
    owner = await api.login("owner")
    body = (await owner.get(f"/api/v1/datasets/{dataset.id}/summary")).json()
    assert body["total_images"] == 2
    assert body["tasks"] == []
    assert body["total_annotations"] == 0
    assert len((await owner.get(f"/api/v1/datasets/{dataset.id}/images")).json()) == 2


PATHS = ["/api/v1/projects/{p}/images", "/api/v1/datasets/{d}/images", "/api/v1/datasets/{d}/summary"]


@pytest.mark.parametrize("path", PATHS)
async def test_who_may_see(api: Api, path: str) -> None:
    roles = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
    private, public = await api.dataset(members=roles), await api.dataset(visibility="public")

    async def ask(account: str | None, dataset: Dataset) -> int:
        client = await api.login(account) if account else api.client()
        return (await client.get(path.format(p=dataset.project_id, d=dataset.id))).status_code

    for account in ("owner", "reviewer", "annotator", "viewer", "admin"):
        assert await ask(account, private) == 200
    assert await ask("stranger", private) == 404
    assert await ask("stranger", public) == 200
    assert await ask(None, public) == 401


@pytest.mark.parametrize("path", PATHS)
async def test_either_id_is_taken(api: Api, path: str) -> None:
    dataset = await api.dataset(images=1)
    swapped = path.format(p=dataset.id, d=dataset.project_id)
    assert (await (await api.login("owner")).get(swapped)).status_code == 200


async def test_every_page_is_that_part_of_the_list(api: Api) -> None:
    """Whichever end of the list it is read from; and the page of statuses lines up with it."""
    dataset = await api.dataset(images=7, tasks=["detection"])
    owner = await api.login("owner")
    path = f"/api/v1/projects/{dataset.project_id}/images"
    for limit in (1, 2, 3, 7, 8):
        for offset in (*range(9), 2**31 - 1):
            params = {"limit": limit, "offset": offset}
            found = (await owner.get(path, params=params)).json()
            assert [image["id"] for image in found["images"]] == dataset.image_ids[offset : offset + limit], params
            assert found["total"] == 7
            statuses = (await owner.get(f"{path}/status", params=params)).json()["statuses"]
            assert [status["image_id"] for status in statuses] == dataset.image_ids[offset : offset + limit], params
