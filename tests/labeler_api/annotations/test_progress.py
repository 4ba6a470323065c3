"""The statuses of images (30) and the statistics of tasks (31)."""

from typing import Any

import pytest

from labeler_api.annotations.progress import store as progress_store
from tests.fixtures.annotating import MEMBERS, at, box, create_annotation, no_object, polygon, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.frontend_uploads import upload

KEYS = {
    "id", "project_id", "image_id", "task_type", "status", "first_modified_at", "last_modified_at", "confirmed_at",
    "total_annotations", "confirmed_annotations", "draft_annotations", "is_image_confirmed", "has_no_object",
}  # fmt: skip


def url(dataset: Dataset, what: str = "images/status") -> str:
    return f"/api/v1/projects/{dataset.project_id}/{what}"


async def statuses(api: Api, dataset: Dataset, **params: Any) -> list[dict[str, Any]]:
    response = await (await api.login("viewer")).get(url(dataset), params=params)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["project_id"] == dataset.project_id
    assert body["total"] == len(dataset.image_ids)
    found: list[dict[str, Any]] = body["statuses"]
    assert all(item.keys() == KEYS for item in found)
    return found


async def test_an_image_that_nobody_began(api: Api) -> None:
    dataset = await project_with_members(api, images=1)
    assert await statuses(api, dataset, task_type="detection") == [
        {
            "id": 0,
            "project_id": dataset.project_id,
            "image_id": dataset.image_ids[0],
            "task_type": "detection",
            "status": "not-started",
            "first_modified_at": None,
            "last_modified_at": None,
            "confirmed_at": None,
            "total_annotations": 0,
            "confirmed_annotations": 0,
            "draft_annotations": 0,
            "is_image_confirmed": False,
            "has_no_object": False,
        }
    ]


async def test_one_entry_an_image_in_the_order_of_the_images(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 2))
    first = await create_annotation(client, box(dataset, 1))
    await create_annotation(client, polygon(dataset, 1))
    await client.post(at(first, "/confirm"), json={})
    found = await statuses(api, dataset, task_type="detection")
    assert [item["image_id"] for item in found] == dataset.image_ids
    assert [item["status"] for item in found] == ["not-started", "completed", "in-progress"]
    assert [item["total_annotations"] for item in found] == [0, 1, 1]
    assert found[1]["first_modified_at"] == first["created_at"]
    assert found[1]["is_image_confirmed"] is True
    assert found[1]["confirmed_at"] >= found[1]["last_modified_at"]
    assert found[1]["id"] > 0
    assert [item["status"] for item in await statuses(api, dataset, task_type="segmentation")] == [
        "not-started",
        "in-progress",
        "not-started",
    ]
    assert [item["status"] for item in await statuses(api, dataset, task_type="geometry")] == ["not-started"] * 3


async def test_without_a_task_the_tasks_are_taken_together(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 0))
    outline = await create_annotation(client, polygon(dataset, 0))
    await client.post(at(outline, "/confirm"), json={})
    await create_annotation(client, box(dataset, 1))
    await create_annotation(client, polygon(dataset, 1))
    await client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[1]}/confirm", json={})
    found = await statuses(api, dataset)
    assert [item["task_type"] for item in found] == [None] * 3
    assert [item["status"] for item in found] == ["in-progress", "completed", "not-started"]
    assert [
        (item["total_annotations"], item["confirmed_annotations"], item["draft_annotations"]) for item in found
    ] == [
        (2, 1, 1),
        (2, 2, 0),
        (0, 0, 0),
    ]
    assert [item["confirmed_at"] is not None for item in found] == [False, True, False]


async def test_has_no_object(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    await create_annotation(client, no_object(dataset, 0, "detection"))
    await create_annotation(client, no_object(dataset, 1, "segmentation"))
    await create_annotation(client, box(dataset, 2))
    for params, expected in (
        ({}, [True, True, False]),
        ({"task_type": "detection"}, [True, False, False]),
        ({"task_type": "segmentation"}, [False, True, False]),
    ):
        assert [item["has_no_object"] for item in await statuses(api, dataset, **params)] == expected


async def test_pages_line_up_with_those_of_the_images(api: Api) -> None:
    dataset = await api.dataset(images=7, tasks=["detection"], members=MEMBERS)
    assert [item["image_id"] for item in await statuses(api, dataset, limit=3, offset=3)] == dataset.image_ids[3:6]
    assert await statuses(api, dataset, limit=200, offset=7) == []
    assert [item["image_id"] for item in await statuses(api, dataset)] == dataset.image_ids


async def test_behind_the_page_stands_every_other_image_that_somebody_began(api: Api) -> None:
    dataset = await api.dataset(images=9, tasks=["detection", "segmentation"], members=MEMBERS)
    client = await api.login("reviewer")
    for image in (8, 5, 1):
        await create_annotation(client, box(dataset, image))
    await client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[8]}/confirm", json={})
    await create_annotation(client, polygon(dataset, 6))
    everything = {item["image_id"]: item for item in await statuses(api, dataset, task_type="detection", limit=200)}
    assert len(everything) == 9
    for offset, behind in ((0, [5, 8]), (3, [1, 8]), (6, [1, 5]), (9, [1, 5, 8])):
        found = await statuses(api, dataset, task_type="detection", limit=3, offset=offset)
        page = [*range(offset, min(offset + 3, 9)), *behind]
        assert [item["image_id"] for item in found] == [dataset.image_ids[number] for number in page]
        assert found == [everything[item["image_id"]] for item in found], "each entry is what it is on its own page"
    in_any = await statuses(api, dataset, limit=3)
    assert [item["image_id"] for item in in_any] == [dataset.image_ids[number] for number in (0, 1, 2, 5, 6, 8)]
    alone = {item["image_id"]: item for item in await statuses(api, dataset, limit=200)}
    assert in_any == [alone[item["image_id"]] for item in in_any]


async def test_what_stands_behind_keeps_the_order_of_the_images_and_its_bound(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await api.dataset(images=60, tasks=["detection"], members=MEMBERS)
    client = await api.login("reviewer")
    body = {"annotations": [box(dataset, number) for number in range(59, -1, -1)]}
    assert (await client.post("/api/v1/annotations/batch", json=body)).json()["failed"] == 0
    async with api.db.begin() as tx:  # neither the ids nor the rows are in this order
        await tx.execute("UPDATE image_metadata SET uploaded_at = now() - hashtext(id) * interval '1 second'")
    listed = await (await api.login("viewer")).get(
        f"/api/v1/projects/{dataset.project_id}/images", params={"limit": 200}
    )
    order = [image["id"] for image in listed.json()["images"]]
    assert order != dataset.image_ids
    assert [item["image_id"] for item in await statuses(api, dataset, limit=2, offset=1)] == [
        *order[1:3],
        order[0],
        *order[3:],
    ]
    monkeypatch.setattr(progress_store, "MOST_BEHIND", 7)
    found = await statuses(api, dataset, limit=2, task_type="detection")
    assert [item["image_id"] for item in found] == order[:9]


async def test_equal_times_are_ordered_by_id(api: Api) -> None:
    dataset = await api.dataset(images=7, tasks=["detection"], members=MEMBERS)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET uploaded_at = now()")
    pages = [await statuses(api, dataset, limit=2, offset=offset) for offset in range(0, 8, 2)]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [item["image_id"] for page in pages for item in page] == dataset.image_ids


async def test_cursor(api: Api) -> None:
    dataset = await api.dataset(images=7, tasks=["detection"], members=MEMBERS)
    client = await api.login("viewer")
    seen, cursor = [], ""
    while cursor is not None:
        body = (await client.get(url(dataset), params={"limit": 3, "cursor": cursor})).json()
        seen += [item["image_id"] for item in body["statuses"]]
        cursor = body["next_cursor"]
    assert seen == dataset.image_ids


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": 0}, 400),
        ({"limit": 201}, 400),
        ({"limit": -1}, 422),
        ({"offset": -1}, 422),
        ({"limit": "x"}, 422),
        ({"cursor": "x"}, 422),
        ({"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgIngiXQ"}, 422),
        ({"task_type": "x" * 51}, 422),
    ],
)
async def test_paging_that_is_refused(api: Api, params: dict[str, Any], status: int) -> None:
    dataset = await project_with_members(api)
    response = await (await api.login("viewer")).get(url(dataset), params=params)
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


async def test_a_page_that_a_cursor_leads_to_stands_alone(api: Api) -> None:
    dataset = await api.dataset(images=7, tasks=["detection"], members=MEMBERS)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 6))
    first = (await client.get(url(dataset), params={"limit": 3})).json()
    assert [item["image_id"] for item in first["statuses"]] == [*dataset.image_ids[:3], dataset.image_ids[6]]
    second = (await client.get(url(dataset), params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [item["image_id"] for item in second["statuses"]] == dataset.image_ids[3:6]
    assert second["total"] == 7


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_statements(api: Api, number: int) -> None:
    dataset = await api.dataset(images=number, tasks=["detection"], members=MEMBERS)
    await create_annotation(await api.login("annotator"), box(dataset, number - 1))
    client = await api.login("viewer")
    for limit in (200, 1):
        with api.count() as count:
            answer = await client.get(url(dataset), params={"limit": limit})
        assert count.value == 1, "what stands behind the page comes with it"
        with api.count() as count:
            headers = {"If-None-Match": answer.headers["etag"]}
            assert (await client.get(url(dataset), params={"limit": limit}, headers=headers)).status_code == 304
        assert count.value == 1, "nothing but the access and the revisions"
    with api.count() as count:
        await client.get(url(dataset, "stats"))
    assert count.value == 1


async def test_revisions_of_another_request_hide_nothing(api: Api) -> None:
    """A tag that somebody put together names the right revisions, and not this list."""
    dataset, client = await project_with_members(api), await api.login("viewer")
    whole = await client.get(url(dataset))
    revisions = whole.headers["etag"].partition("-")[0]
    answer = await client.get(url(dataset), headers={"If-None-Match": f'{revisions}-{"0" * 32}"'})
    assert answer.status_code == 200
    assert answer.json() == whole.json()


async def test_the_etag_follows(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    first = await client.get(url(dataset))
    assert first.headers["cache-control"] == "private, no-cache"
    headers = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(url(dataset), headers=headers)).status_code == 304
    await create_annotation(client, box(dataset))
    assert (await client.get(url(dataset), headers=headers)).status_code == 200


async def test_the_etag_follows_what_is_asked_for_and_what_changes_it(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    asked: list[dict[str, Any]] = [
        {},
        {"limit": 2},
        {"limit": 2, "offset": 1},
        {"task_type": "detection"},
        {"cursor": (await client.get(url(dataset), params={"limit": 1})).json()["next_cursor"]},
    ]
    tags = [(await client.get(url(dataset), params=params)).headers["etag"] for params in asked]
    assert len(set(tags)) == len(tags)
    first = await create_annotation(client, box(dataset))
    image = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}"
    for method, path in (
        ("POST", at(first, "/confirm")),
        ("POST", at(first, "/unconfirm")),
        ("POST", f"{image}/confirm"),
        ("POST", f"{image}/unconfirm"),
        ("DELETE", at(first)),
    ):
        tag = (await client.get(url(dataset))).headers["etag"]
        assert (await client.get(url(dataset), headers={"If-None-Match": tag})).status_code == 304
        assert (await client.request(method, path)).status_code == 200
        assert (await client.get(url(dataset), headers={"If-None-Match": tag})).status_code == 200


async def test_an_image_that_is_added_shows_although_nobody_drew(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("owner")
    headers = {"If-None-Match": (await client.get(url(dataset))).headers["etag"]}
    answer = await upload(client, dataset.id, "new.jpg")
    assert answer.status_code == 200, answer.text
    after = await client.get(url(dataset), headers=headers)
    assert after.status_code == 200
    assert after.json()["total"] == 4


async def test_stats(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 0))
    done = await create_annotation(client, box(dataset, 1))
    await client.post(at(done, "/confirm"), json={})
    # The stored counter may lag behind; what counts is the images.
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_projects SET total_images = 99")
    assert (await client.get(url(dataset, "stats"))).json() == {
        "project_id": dataset.project_id,
        "total_images": 3,
        "task_stats": [
            {
                "task_type": "detection",
                "total_images": 3,
                "not_started": 1,
                "in_progress": 1,
                "completed": 0,
                "confirmed": 1,
            },
            {
                "task_type": "segmentation",
                "total_images": 3,
                "not_started": 3,
                "in_progress": 0,
                "completed": 0,
                "confirmed": 0,
            },
        ],
    }


async def test_progress_never_exceeds_the_images(api: Api) -> None:
    """The dashboard adds `completed` and `confirmed`."""
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    for image in range(3):
        await create_annotation(client, box(dataset, image))
        await client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[image]}/confirm", json={})
    line = (await client.get(url(dataset, "stats"))).json()["task_stats"][0]
    assert line["completed"] + line["confirmed"] == line["total_images"] == 3
    assert line["not_started"] == 0
    assert line["in_progress"] == 0


async def test_stats_of_a_project_without_tasks(api: Api) -> None:
    dataset = await api.dataset(images=3, members=MEMBERS)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 0))
    await create_annotation(client, polygon(dataset, 0))
    await create_annotation(client, box(dataset, 1))
    await client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[1]}/confirm", json={})
    assert (await client.get(url(dataset, "stats"))).json()["task_stats"] == [
        {"task_type": "default", "total_images": 3, "not_started": 1, "in_progress": 1, "completed": 0, "confirmed": 1}
    ]


async def test_either_id_of_the_project(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("viewer")
    for what in ("images/status", "stats"):
        by_dataset = await client.get(f"/api/v1/projects/{dataset.id}/{what}")
        assert by_dataset.json() == (await client.get(url(dataset, what))).json()
