"""Deleting images, one or many, and bringing them back with all that was drawn on them."""

from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import httpx
import pytest

from labeler_api.db.tables import annotations, image_annotation_status, image_metadata
from labeler_api.deletion.images import store as images_store
from tests.fixtures import pictures
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import (
    MEMBERS,
    at,
    box,
    check_counters,
    create_annotation,
    history,
    hold,
    leave,
    locks,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.annotation_files import boxes, coco, imported, stored
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import done, workers
from tests.fixtures.image_deletion import delete_many
from tests.fixtures.pictures import media_path, noise, upload
from tests.fixtures.rows import rows

KEPT = "SELECT * FROM {} WHERE project_id = $1 ORDER BY id"


def address(dataset: Dataset, *, image: int = 0) -> str:
    return f"/api/v1/datasets/{dataset.id}/images/{quote(dataset.image_ids[image], safe='')}"


async def restore(client: httpx.AsyncClient, dataset: Dataset, *deletion_ids: int, **more: Any) -> httpx.Response:
    body = {"deletion_ids": list(deletion_ids)}
    return await client.post(f"/api/v1/datasets/{dataset.id}/images/restore", json=body, **more)


async def deleted(client: httpx.AsyncClient, dataset: Dataset, *images: int) -> list[int]:
    """Delete images that are expected to go; return the ids of the deletions."""
    answer = await delete_many(client, dataset, *(dataset.image_ids[image] for image in images))
    assert answer.status_code == 200, answer.text
    return [one["deletion_id"] for one in answer.json()["images"]]


async def check_all(api: Api, dataset: Dataset) -> None:
    """Every counter says what a count says."""
    await check_counters(api, dataset)
    number = len(await pictures.image_rows(api, dataset))
    counted = await pictures.counters(api, dataset)
    assert counted.of_dataset == number
    assert counted.of_project == number
    owner = await api.login("owner")
    assert (await owner.get(f"/api/v1/projects/{dataset.project_id}")).json()["total_images"] == number
    assert (await owner.get(f"/api/v1/projects/{dataset.project_id}/images")).json()["total"] == number


async def drawn_on(api: Api, dataset: Dataset) -> list[dict[str, Any]]:
    """A box, a polygon and a `no_object` on the first image, one of them confirmed; a box on the second."""
    annotator, reviewer = await api.login("annotator"), await api.login("reviewer")
    made_here = [
        await create_annotation(annotator, box(dataset)),
        await create_annotation(annotator, polygon(dataset)),
        await create_annotation(annotator, no_object(dataset, task="segmentation")),
        await create_annotation(annotator, box(dataset, 1)),
    ]
    assert (await reviewer.post(at(made_here[0], "/confirm"))).status_code == 200
    for image in (0, 1):
        await leave(api, dataset, "annotator", image)
    return made_here


async def test_an_image_goes_with_what_is_drawn_on_it(api: Api) -> None:
    dataset = await project_with_members(api)
    first, *_, elsewhere = await drawn_on(api, dataset)
    admin = await api.login("admin")
    answer = await admin.delete(address(dataset))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["deleted"] == 1
    assert body["annotations"] == 3
    assert body["missing"] == []
    assert [(one["image_id"], one["annotations"]) for one in body["images"]] == [(dataset.image_ids[0], 3)]
    assert sorted(await pictures.image_rows(api, dataset)) == dataset.image_ids[1:]
    assert (await admin.get(at(first))).status_code == 404
    assert (await admin.get(at(elsewhere))).status_code == 200
    assert await rows(api, "SELECT 1 FROM image_locks WHERE image_id = $1", dataset.image_ids[0]) == []
    await check_all(api, dataset)
    entries = await history(api, first["id"])
    assert [(one["action"], one["revision"]) for one in entries] == [("create", 1), ("confirm", 2), ("delete", 3)]
    assert entries[-1]["previous_state"]["version"] == 2
    assert entries[-1]["changed_by"] == USER_IDS["admin"]
    told = await admin.get(f"/api/v1/annotations/history/annotation/{first['id']}")
    assert [one["action"] for one in told.json()] == ["delete", "confirm", "create"]


async def test_it_comes_back_as_it_was(api: Api) -> None:
    dataset = await project_with_members(api)
    first, *_ = await drawn_on(api, dataset)
    admin = await api.login("admin")
    tables = ("annotations", "image_annotation_status")
    before = {table: await rows(api, KEPT.format(table), dataset.project_id) for table in tables}
    images = await pictures.image_rows(api, dataset)
    deletion_ids = await deleted(admin, dataset, 0, 1)
    answer = await restore(admin, dataset, *deletion_ids)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "dataset_id": dataset.id,
        "restored": 2,
        "annotations": 4,
        "image_ids": dataset.image_ids[:2],
        "missing": [],
    }
    assert await pictures.image_rows(api, dataset) == images
    after = {table: await rows(api, KEPT.format(table), dataset.project_id) for table in tables}
    for row in after["annotations"]:  # the deletion and the restoration are revisions of their own
        row["version"] -= 2
    assert after["annotations"] == before["annotations"]
    assert without_id(after["image_annotation_status"]) == without_id(before["image_annotation_status"])
    await check_all(api, dataset)
    entries = await history(api, first["id"])
    assert [one["action"] for one in entries] == ["create", "confirm", "delete", "restore"]
    assert entries[-1]["revision"] == 4
    assert entries[-1]["new_state"]["version"] == 4
    changed = await admin.put(at(first), json={"notes": "and goes on", "version": 4})
    assert changed.status_code == 200, changed.text
    assert await rows(api, "SELECT 1 FROM deleted_images") == await rows(api, "SELECT 1 FROM deleted_image_rows") == []


def without_id(statuses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = [{key: value for key, value in row.items() if key != "id"} for row in statuses]
    return sorted(plain, key=lambda row: (row["image_id"], row["task_type"]))


async def test_every_column_comes_back(api: Api) -> None:
    """Whoever adds a column says here what becomes of it."""
    assert set(images_store.IMAGE_COLUMNS) == {column.name for column in image_metadata.columns}
    assert {*images_store.ANNOTATION_COLUMNS, "version"} == {column.name for column in annotations.columns}
    assert {*images_store.STATUS_COLUMNS, "id"} == {column.name for column in image_annotation_status.columns}


async def test_many_go_at_once_and_what_is_missing_is_named(api: Api) -> None:
    dataset = await project_with_members(api, images=4)
    await drawn_on(api, dataset)
    admin = await api.login("admin")
    answer = await delete_many(admin, dataset, "no/such", *dataset.image_ids[:3], dataset.image_ids[0])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["deleted"] == 3
    assert body["annotations"] == 4
    assert body["missing"] == ["no/such"]
    assert sorted(await pictures.image_rows(api, dataset)) == dataset.image_ids[3:]
    await check_all(api, dataset)
    again = await delete_many(admin, dataset, *dataset.image_ids[:3])
    assert again.status_code == 404
    assert again.json()["code"] == "image_not_found"
    assert (await admin.delete(address(dataset))).status_code == 404
    await check_all(api, dataset)


@pytest.mark.parametrize("number", [0, 1001])
async def test_the_list_is_bounded(api: Api, number: int) -> None:
    dataset = await project_with_members(api)
    admin = await api.login("admin")
    assert (await delete_many(admin, dataset, *map(str, range(number)))).status_code == 422
    assert (await restore(admin, dataset, *range(1, number + 1))).status_code == 422


async def test_a_thousand_images_go_and_come_back(api: Api) -> None:
    dataset = await api.dataset(images=1000, tasks=["detection"], members=MEMBERS)
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, geometry, created_by, task_type)"
            " SELECT $1, id, 'bbox', '{}', 2, 'detection' FROM image_metadata, generate_series(1, 5)"
            " WHERE dataset_id = $2",
            dataset.project_id,
            dataset.id,
        )
    admin = await api.login("admin")
    with api.count() as few:
        two = await delete_many(admin, dataset, *dataset.image_ids[:2])
    with api.count() as counted:
        answer = await delete_many(admin, dataset, *dataset.image_ids[2:])
    assert answer.json()["deleted"] == 998
    assert answer.json()["annotations"] == 4990
    assert counted.value == few.value
    ids = [image["deletion_id"] for image in [*two.json()["images"], *answer.json()["images"]]]
    answer = await restore(admin, dataset, *ids)
    assert answer.json()["restored"] == 1000
    assert answer.json()["annotations"] == 5000
    number = await rows(api, "SELECT count(*) AS n FROM annotations WHERE project_id = $1", dataset.project_id)
    assert number == [{"n": 5000}]


async def test_somebody_elses_lock_is_in_the_way(api: Api) -> None:
    dataset = await project_with_members(api)
    admin = await api.login("admin")
    await hold(api, dataset, "annotator", 1)
    for answer in (
        await admin.delete(address(dataset, image=1)),
        await delete_many(admin, dataset, *dataset.image_ids),
    ):
        assert answer.status_code == 423
        assert answer.json()["code"] == "image_locked"
        assert answer.json()["lock"]["user_id"] == USER_IDS["annotator"]
        assert answer.json()["lock"]["user_name"]
    assert sorted(await pictures.image_rows(api, dataset)) == dataset.image_ids
    await leave(api, dataset, "annotator", 1)
    await hold(api, dataset, "admin", 1)
    assert (await admin.delete(address(dataset, image=1))).status_code == 200
    assert await locks(api, dataset) == {}
    lost = await admin.post(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[1]}/acquire", json={})
    assert lost.status_code == 404
    assert lost.json()["code"] == "image_not_found"


async def test_nothing_is_drawn_on_what_is_not_there(api: Api) -> None:
    dataset = await project_with_members(api)
    first, *_ = await drawn_on(api, dataset)
    admin, annotator = await api.login("admin"), await api.login("annotator")
    await deleted(admin, dataset, 0)
    assert (await annotator.post("/api/v1/annotations", json=box(dataset))).status_code == 404
    assert (await annotator.put(at(first), json={"notes": "x"})).status_code == 404
    assert (await annotator.post(at(first, "/restore"), json={"revision": 1})).status_code == 404
    assert (
        await admin.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm")
    ).status_code == 400
    await check_all(api, dataset)


async def test_lists_change_and_their_tags(api: Api) -> None:
    dataset = await project_with_members(api)
    await drawn_on(api, dataset)
    admin = await api.login("admin")
    lists = [
        f"/api/v1/projects/{dataset.project_id}/images",
        f"/api/v1/projects/{dataset.project_id}/images/status",
        f"/api/v1/annotations/project/{dataset.project_id}",
    ]
    tags = {url: (await admin.get(url)).headers["etag"] for url in lists}
    deletion_ids = await deleted(admin, dataset, 0)
    for url in lists:
        answer = await admin.get(url, headers={"If-None-Match": tags[url]})
        assert answer.status_code == 200, url
        assert dataset.image_ids[0] not in answer.text
        tags[url] = answer.headers["etag"]
    await restore(admin, dataset, *deletion_ids)
    for url in lists:
        answer = await admin.get(url, headers={"If-None-Match": tags[url]})
        assert answer.status_code == 200, url
        assert dataset.image_ids[0] in answer.text


async def test_the_bin_names_them_the_latest_first(api: Api) -> None:
    dataset = await project_with_members(api, images=5)
    await drawn_on(api, dataset)
    admin = await api.login("admin")
    ids = [deletion for image in (0, 1, 2) for deletion in await deleted(admin, dataset, image)]
    url = f"/api/v1/datasets/{dataset.id}/images/deleted"
    first = await admin.get(url, params={"limit": 2})
    assert [one["deletion_id"] for one in first.json()["images"]] == [ids[2], ids[1]]
    second = await admin.get(url, params={"limit": 2, "cursor": first.headers["x-next-cursor"]})
    (one,) = second.json()["images"]
    assert "x-next-cursor" not in second.headers
    assert one["deletion_id"] == ids[0]
    assert one["image_id"] == dataset.image_ids[0]
    assert one["annotations"] == 3
    assert one["file_name"] == f"{dataset.image_ids[0]}.jpg"
    assert one["folder_path"] == "train/good"
    assert one["deleted_by"] == USER_IDS["admin"]
    assert one["is_restorable"] is True
    assert one["deleted_by_name"]
    (days,) = await rows(api, "SELECT DISTINCT restorable_until - deleted_at AS days FROM deleted_images")
    assert days["days"].days == 30


async def test_its_picture_is_shown_to_who_may_bring_it_back(api: Api) -> None:
    dataset = await api.dataset(members=MEMBERS)
    content = noise(200, 150)
    owner, viewer = await api.login("owner"), await api.login("viewer")
    assert (await upload(owner, dataset, ("a/1.jpg", content))).status_code == 200
    dataset.image_ids = ["a/1"]
    seen = {}
    for account, client in (("owner", owner), ("viewer", viewer)):
        listed = await client.get(f"/api/v1/projects/{dataset.project_id}/images")
        seen[account] = media_path(listed.json()["images"][0]["url"])
        assert (await api.client().get(seen[account])).status_code == 200
    (deletion,) = await deleted(owner, dataset, 0)
    assert (await api.client().get(seen["viewer"])).status_code == 404
    answer = await api.client().get(seen["owner"])
    assert answer.status_code == 200
    assert answer.content == content
    listed = await owner.get(f"/api/v1/datasets/{dataset.id}/images/deleted")
    (one,) = listed.json()["images"]
    assert (await api.client().get(media_path(one["url"]))).content == content
    assert (await api.client().get(media_path(one["thumbnail_url"]))).status_code == 200
    # The same path again: each link leads to its own picture.
    other = noise(80, 60, seed=1)
    assert (await upload(owner, dataset, ("a/1.jpg", other))).status_code == 200
    listed = await viewer.get(f"/api/v1/projects/{dataset.project_id}/images")
    assert (await api.client().get(media_path(listed.json()["images"][0]["url"]))).content == other
    assert (await api.client().get(media_path(one["url"]))).content == content
    assert (await api.client().get(seen["viewer"])).status_code == 404
    refused = await restore(owner, dataset, deletion)
    assert refused.status_code == 409
    assert refused.json()["code"] == "image_exists"
    assert refused.json()["image_id"] == "a/1"


async def test_the_path_is_free_for_another_image(api: Api) -> None:
    """Two deletions of one id; each comes back when the id is free."""
    dataset = await api.dataset(members=MEMBERS, tasks=["detection"])
    owner = await api.login("owner")
    dataset.image_ids = ["a/1"]
    deletions, drawings = [], []
    for seed in (1, 2):
        assert (await upload(owner, dataset, ("a/1.jpg", noise(64, 48, seed)))).json()["images"][0]["replaced"] is False
        drawings.append(await create_annotation(owner, box(dataset)))
        deletions += await deleted(owner, dataset, 0)
    both = await restore(owner, dataset, *deletions)
    assert both.status_code == 400
    assert both.json()["code"] == "image_twice"
    for deletion, drawing in zip(deletions, drawings, strict=True):
        assert (await restore(owner, dataset, deletion)).status_code == 200
        listed = await owner.get(f"/api/v1/annotations/project/{dataset.project_id}", params={"image_id": "a/1"})
        assert [one["id"] for one in listed.json()] == [drawing["id"]]
        await check_all(api, dataset)
        await deleted(owner, dataset, 0)


async def test_another_image_may_have_its_path_under_another_id(api: Api) -> None:
    dataset = await api.dataset(members=MEMBERS)
    owner = await api.login("owner")
    await upload(owner, dataset, ("a/1.jpg", noise(64, 48)), ("a/1.png", pictures.picture(kind="PNG")))
    dataset.image_ids = ["a/1", "a/1.png"]
    as_jpg, as_png = await deleted(owner, dataset, 0, 1)
    assert (await upload(owner, dataset, ("a/1.png", pictures.picture(kind="PNG")))).json()["images"][0]["id"] == "a/1"
    for deletion in (as_jpg, as_png):
        refused = await restore(owner, dataset, deletion)
        assert refused.status_code == 409
        assert refused.json()["code"] == "image_exists"
    await check_all(api, dataset)


@pytest.mark.parametrize("id_has_extension", [False, True])
async def test_a_path_is_the_same_however_it_was_spelt(api: Api, id_has_extension: bool) -> None:
    """Rows of before have letters and accents apart, as macOS sends them."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    folder, name = normalize("NFD", "차량"), "é.jpg"
    image_id = f"{folder}/{name if id_has_extension else 'é'}"
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_metadata (dataset_id, id, file_name, folder_path, s3_key, size)"
            " VALUES ($1, $2, $3, $4, $5, 1)",
            dataset.id,
            image_id,
            name,
            folder,
            f"datasets/{dataset.id}/images/x.jpg",
        )
    dataset.image_ids = [image_id]
    [deletion] = await deleted(owner, dataset, 0)
    await upload(owner, dataset, ("차량/é.jpg", noise(64, 48)))
    refused = await restore(owner, dataset, deletion)
    assert refused.status_code == 409
    assert refused.json()["code"] == "image_exists"
    dataset.image_ids = ["차량/é"]
    [later] = await deleted(owner, dataset, 0)
    assert (await restore(owner, dataset, deletion)).status_code == 200
    refused = await restore(owner, dataset, later)
    assert refused.status_code == 409
    assert refused.json()["code"] == "image_exists"


async def test_a_request_that_is_sent_again(api: Api) -> None:
    dataset = await project_with_members(api)
    await drawn_on(api, dataset)
    admin = await api.login("admin")
    ids = dataset.image_ids[:2]
    answers = [await delete_many(admin, dataset, *ids, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    deletions = [one["deletion_id"] for one in answers[0].json()["images"]]
    back = [await restore(admin, dataset, *deletions, headers={"Idempotency-Key": "two"}) for _ in range(2)]
    assert [answer.status_code for answer in back] == [200, 200]
    assert back[0].json() == back[1].json()
    without = await restore(admin, dataset, *deletions)
    assert without.status_code == 404
    assert without.json()["code"] == "deletion_not_found"
    await check_all(api, dataset)


async def test_an_image_that_is_called_as_an_address_is(api: Api) -> None:
    dataset = await api.dataset(members=MEMBERS)
    owner = await api.login("owner")
    dataset.image_ids = ["delete", "deleted", "restore", "delete/restore"]
    await upload(owner, dataset, *((f"{name}.jpg", noise(40, 30)) for name in dataset.image_ids))
    for number, name in enumerate(dataset.image_ids):
        answer = await owner.delete(address(dataset, image=number))
        assert answer.status_code == 200
        assert answer.json()["images"][0]["image_id"] == name
    plain = await owner.get(f"/api/v1/datasets/{dataset.id}/images/delete")
    assert plain.status_code == 405
    assert plain.headers["allow"] == "POST"


async def test_what_is_over_or_of_another_dataset_does_not_come_back(api: Api) -> None:
    dataset, other = await project_with_members(api), await project_with_members(api)
    admin = await api.login("admin")
    old, new = await deleted(admin, dataset, 0, 1)
    (strange,) = await deleted(admin, other, 0)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE deleted_images SET restorable_until = now() WHERE id = $1", old)
    answer = await restore(admin, dataset, old, new, strange)
    assert answer.status_code == 200
    assert answer.json()["image_ids"] == [dataset.image_ids[1]]
    assert answer.json()["missing"] == [old, strange]
    listed = await admin.get(f"/api/v1/datasets/{dataset.id}/images/deleted")
    assert [one["is_restorable"] for one in listed.json()["images"]] == [False]


async def test_a_dataset_without_a_project(api: Api) -> None:
    dataset = await project_with_members(api)
    owner = await api.login("owner")
    assert (await owner.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 204
    deletion_ids = await deleted(owner, dataset, 0)
    assert sorted(await pictures.image_rows(api, dataset)) == dataset.image_ids[1:]
    assert (await restore(owner, dataset, *deletion_ids)).status_code == 200
    assert sorted(await pictures.image_rows(api, dataset)) == dataset.image_ids


async def test_a_project_that_goes_takes_its_annotations_along(api: Api) -> None:
    """The image comes back, into whatever project the dataset has by then."""
    dataset = await project_with_members(api)
    await drawn_on(api, dataset)
    owner = await api.login("owner")
    deletion_ids = await deleted(owner, dataset, 0)
    assert (await owner.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 204
    kept = await rows(api, "SELECT project_id FROM deleted_image_rows")
    assert {row["project_id"] for row in kept} == {dataset.project_id}, "they go later"
    dataset.project_id = (await owner.get(f"/api/v1/datasets/{dataset.id}/project")).json()["id"]
    answer = await restore(owner, dataset, *deletion_ids)
    assert answer.status_code == 200
    assert answer.json()["annotations"] == 0
    await check_all(api, dataset)


async def test_a_deleted_dataset_takes_its_bin_along(api: Api) -> None:
    dataset = await project_with_members(api)
    await drawn_on(api, dataset)
    owner = await api.login("owner")
    await deleted(owner, dataset, 0)
    (named,) = await rows(api, "SELECT name FROM datasets WHERE id = $1", dataset.id)
    answer = await owner.request(
        "DELETE",
        f"/api/v1/datasets/{dataset.id}",
        json={"dataset_name_confirmation": named["name"], "create_backup": True},
    )
    assert answer.status_code == 200, answer.text
    saved = answer.json()["backup"][-1]["rows"]
    assert saved["deleted_images"] == 1
    assert saved["deleted_image_rows"] == 5
    async with workers(api):
        await done(api)
    assert await rows(api, "SELECT 1 FROM deleted_images") == []


async def test_an_import_names_what_is_gone(api: Api) -> None:
    """A file about an image that is deleted: it is skipped with the others that the dataset does not have."""
    dataset = await project_with_members(api)
    admin = await api.login("admin")
    await stored(api, dataset, coco(boxes(1, 2), [f"{name}.jpg" for name in dataset.image_ids[:2]]))
    await deleted(admin, dataset, 0)
    answer = await imported(admin, dataset, force=True)
    assert answer.status_code == 200, answer.text
    assert answer.json()["imported"] == 1
    await check_all(api, dataset)
