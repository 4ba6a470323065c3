"""Images go away and come back while others draw on them, import, publish, and upload them anew."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import at, box, check_counters, create_annotation
from tests.fixtures.annotation_files import boxes, coco, imported, stored
from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import counters, noise, upload
from tests.fixtures.rows import rows
from tests.fixtures.waiting import number_waiting, waiting
from tests.races.test_imports import FREE, MEMBERS, NAMED, NAMES, project_with_members, standing_import
from tests.races.test_progress import _check_history, _wrong_statuses

BUSY = {200, 404, 409, 423}
AT_ONCE = 10


def images(dataset: Dataset, action: str) -> str:
    return f"/api/v1/datasets/{dataset.id}/images/{action}"


async def delete(client: httpx.AsyncClient, dataset: Dataset, *numbers: int) -> httpx.Response:
    return await client.post(images(dataset, "delete"), json={"image_ids": [dataset.image_ids[n] for n in numbers]})


async def restore(client: httpx.AsyncClient, dataset: Dataset, *deletion_ids: int) -> httpx.Response:
    return await client.post(images(dataset, "restore"), json={"deletion_ids": list(deletion_ids)})


async def deletions(cluster: Cluster, dataset: Dataset) -> list[int]:
    """What lies in the bin, the first deletion first."""
    found = await rows(cluster.api, "SELECT id FROM deleted_images WHERE dataset_id = $1 ORDER BY id", dataset.id)
    return [row["id"] for row in found]


async def check(cluster: Cluster, dataset: Dataset) -> None:
    """What is stored is what a recount says, nothing is drawn on an image that is not there, or held there."""
    await check_counters(cluster.api, dataset)
    assert await _wrong_statuses(cluster, dataset) == []
    await _check_history(cluster, dataset)
    (counted,) = await rows(
        cluster.api, "SELECT count(*)::int AS n FROM image_metadata WHERE dataset_id = $1", dataset.id
    )
    assert (await counters(cluster.api, dataset)).of_dataset == counted["n"]
    for table in ("annotations", "image_annotation_status", "image_locks"):
        stray = await rows(
            cluster.api,
            f"SELECT image_id FROM {table} t WHERE project_id = $1 AND NOT EXISTS"
            " (SELECT FROM image_metadata i WHERE i.dataset_id = $2 AND i.id = t.image_id)",
            dataset.project_id,
            dataset.id,
        )
        assert stray == [], table


async def test_ten_delete_one_image_and_ten_bring_it_back(cluster: Cluster) -> None:
    dataset = await project_with_members(cluster)
    clients = cluster.clients("reviewer")
    await create_annotation(clients[0], box(dataset))
    gone = await asyncio.gather(*(delete(clients[n % 2], dataset, 0) for n in range(AT_ONCE)))
    assert sorted(answer.status_code for answer in gone) == [200] + [404] * (AT_ONCE - 1)
    await check(cluster, dataset)
    (deletion,) = await deletions(cluster, dataset)
    back = await asyncio.gather(*(restore(clients[n % 2], dataset, deletion) for n in range(AT_ONCE)))
    assert sorted(answer.status_code for answer in back) == [200] + [404] * (AT_ONCE - 1)
    await check(cluster, dataset)
    assert await deletions(cluster, dataset) == []


async def test_lists_that_overlap(cluster: Cluster) -> None:
    """Each image goes once, whichever of the lists it is in."""
    dataset = await project_with_members(cluster)
    clients = cluster.clients("reviewer")
    await create_annotation(clients[0], box(dataset))
    lists = [(0, 1, 2), (2, 1, 3), (4, 3, 0), (3, 2, 1, 0)]
    answers = await asyncio.gather(*(delete(clients[n % 2], dataset, *some) for n, some in enumerate(lists)))
    assert {answer.status_code for answer in answers} <= {200, 404}
    taken = Counter(one["image_id"] for answer in answers for one in answer.json().get("images", []))
    assert taken == Counter(dataset.image_ids)
    await check(cluster, dataset)


async def test_nobody_waits_who_is_at_another_image(cluster: Cluster) -> None:
    """A save that stands still has its image, and the project's row; another image is deleted beside it."""
    dataset = await project_with_members(cluster)
    client = cluster.client("reviewer")
    await create_annotation(client, box(dataset, 1))
    async with cluster.api.db.begin() as tx:
        await tx.fetch("SELECT 1 FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE", dataset.project_id)
        await tx.fetch(
            "SELECT 1 FROM image_metadata WHERE dataset_id = $1 AND id = $2 FOR NO KEY UPDATE",
            dataset.id,
            dataset.image_ids[0],
        )
        answer = await delete(client, dataset, 1, 2)
        assert answer.status_code == 200, answer.text
        (deletion, _) = await deletions(cluster, dataset)
        back = await restore(client, dataset, deletion)
        assert back.status_code == 200, back.text
        shown = await client.get(f"/api/v1/projects/{dataset.project_id}")
        assert shown.json()["total_images"] == 4
        assert shown.json()["total_annotations"] == 1
    await check(cluster, dataset)


async def test_a_save_that_is_under_way_is_waited_for(cluster: Cluster) -> None:
    """It is in by then, and its lock is in the way: 423; its own author's deletion takes it along."""
    dataset = await project_with_members(cluster)
    admin, annotator = cluster.client("reviewer"), cluster.client("annotator", 1)
    async with cluster.api.db.begin() as tx:
        await tx.fetch(
            "SELECT 1 FROM image_metadata WHERE dataset_id = $1 AND id = $2 FOR NO KEY UPDATE",
            dataset.id,
            dataset.image_ids[0],
        )
        saving = asyncio.create_task(annotator.post("/api/v1/annotations", json=box(dataset)))
        await waiting(cluster.api)
        deleting = asyncio.create_task(delete(admin, dataset, 0))
        await waiting(cluster.api, 2)
    saved, gone = await asyncio.gather(saving, deleting)
    assert saved.status_code == 200
    assert gone.status_code == 423
    assert gone.json()["lock"]["user_id"] == USER_IDS["annotator"]
    await check(cluster, dataset)


@pytest.mark.parametrize("what", ["save", "acquire", "confirm", "restore", "upload"])
async def test_who_comes_while_an_image_goes_finds_it_gone(cluster: Cluster, what: str) -> None:
    dataset = await project_with_members(cluster)
    admin, annotator = cluster.client("reviewer"), cluster.client("annotator", 1)
    annotation = await create_annotation(annotator, box(dataset))
    lock = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}"
    assert (await annotator.delete(lock)).status_code == 200
    deeds: dict[str, Any] = {
        "save": lambda: annotator.put(at(annotation), json={"notes": "x"}),
        "acquire": lambda: annotator.post(f"{lock}/acquire", json={}),
        "confirm": lambda: admin.post(at(annotation, "/confirm"), json={}),
        "restore": lambda: annotator.post(at(annotation, "/restore"), json={"revision": 1}),
        "upload": lambda: upload(admin, dataset, (f"{dataset.image_ids[0]}.jpg", noise(60, 40))),
    }
    async with cluster.api.db.begin() as tx:
        # The deletion wants to change this very row, at its end.
        await tx.fetch("SELECT 1 FROM datasets WHERE id = $1 FOR NO KEY UPDATE", dataset.id)
        deleting = asyncio.create_task(delete(admin, dataset, 0))
        await waiting(cluster.api)
        deed = asyncio.create_task(deeds[what]())
        await waiting(cluster.api, 2)
    gone, done = await asyncio.gather(deleting, deed)
    assert gone.status_code == 200, gone.text
    assert done.status_code == (200 if what == "upload" else 404), done.text
    if what == "upload":
        assert done.json()["images"][0]["replaced"] is False
    await check(cluster, dataset)


async def test_a_batch_goes_on_without_the_image_that_goes(cluster: Cluster) -> None:
    dataset = await project_with_members(cluster)
    admin, annotator = cluster.client("reviewer"), cluster.client("annotator", 1)
    async with cluster.api.db.begin() as tx:
        await tx.fetch("SELECT 1 FROM datasets WHERE id = $1 FOR NO KEY UPDATE", dataset.id)
        deleting = asyncio.create_task(delete(admin, dataset, 0))
        await waiting(cluster.api)
        body = {"annotations": [box(dataset, 0), box(dataset, 1)]}
        batch = asyncio.create_task(annotator.post("/api/v1/annotations/batch", json=body))
        await waiting(cluster.api, 2)
    gone, answer = await asyncio.gather(deleting, batch)
    assert gone.status_code == 200, answer.text
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] == 1
    assert answer.json()["failed"] == 1
    assert answer.json()["errors"][0].startswith("Index 0: The dataset has no image")
    await check(cluster, dataset)


async def test_uploads_over_images_that_go(cluster: Cluster) -> None:
    """Whoever has an image goes on to the dataset, and never the other way: nobody waits in a ring."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    await create_annotation(cluster.client("owner"), box(dataset))
    clients = cluster.clients("owner")
    names = [f"d/{number}.jpg" for number in range(6)]
    dataset.image_ids = [name.removesuffix(".jpg") for name in names]
    before = await deadlocks(cluster)

    async def upload_all(turn: int) -> list[int]:
        files = [(name, noise(40 + turn, 30)) for name in names]
        return [(await upload(clients[n % 2], dataset, *files)).status_code for n in range(4)]

    async def delete_all(turn: int) -> list[int]:
        return [(await delete(clients[(turn + n) % 2], dataset, *range(6))).status_code for n in range(6)]

    answers = await asyncio.gather(*(work(turn) for turn in range(2) for work in (upload_all, delete_all)))
    assert Counter(status for some in answers for status in some).keys() <= {200, 404}, answers
    assert await deadlocks(cluster) == before
    await check(cluster, dataset)


async def test_an_upload_that_waits_for_an_image_has_nothing_that_a_deletion_needs(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=2, members=MEMBERS)
    clients = cluster.clients("owner")
    await create_annotation(clients[0], box(dataset, 1))
    async with cluster.api.db.begin() as tx:
        await tx.fetch(
            "SELECT 1 FROM image_metadata WHERE dataset_id = $1 AND id = $2 FOR NO KEY UPDATE",
            dataset.id,
            dataset.image_ids[0],
        )
        files = [(f"{name}.jpg", noise(40, 30)) for name in dataset.image_ids]
        uploading = asyncio.create_task(upload(clients[0], dataset, *files))
        await waiting(cluster.api)
        deleting = asyncio.create_task(delete(clients[1], dataset, 1))
        while not deleting.done():
            assert await number_waiting(cluster.api) <= 1, "only the upload waits"
        gone = await deleting
        assert gone.status_code == 200, gone.text
        assert not uploading.done()
    uploaded = await uploading
    replaced = {image["id"]: image["replaced"] for image in uploaded.json()["images"]}
    assert replaced == {dataset.image_ids[0]: True, dataset.image_ids[1]: False}
    await check(cluster, dataset)


async def deadlocks(cluster: Cluster) -> int:
    (row,) = await rows(cluster.api, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    number: int = row["deadlocks"]
    return number


async def test_beside_an_import(cluster: Cluster) -> None:
    """An image that an import is at work on stays until it is done; the others go."""
    dataset = await project_with_members(cluster)
    client = cluster.client("admin")
    async with standing_import(cluster, dataset) as task:
        refused = await delete(client, dataset, NAMED)
        assert refused.status_code == 423, refused.text
        assert refused.json()["lock"]["user_id"] == USER_IDS["reviewer"]
        assert (await delete(client, dataset, FREE)).status_code == 200
    assert (await task).status_code == 200
    await check(cluster, dataset)
    assert (await delete(client, dataset, NAMED)).status_code == 200
    await check(cluster, dataset)


async def test_an_import_that_has_read_of_an_image_which_goes(cluster: Cluster) -> None:
    """Between the file and the marks: nothing is drawn on what is not there."""
    dataset = await project_with_members(cluster)
    client = cluster.client("admin")
    await stored(cluster.api, dataset, coco(boxes(1, 2), NAMES))
    async with cluster.api.db.begin() as tx:
        await tx.fetch("SELECT 1 FROM datasets WHERE id = $1 FOR NO KEY UPDATE", dataset.id)
        deleting = asyncio.create_task(delete(client, dataset, NAMED))
        await waiting(cluster.api)
        importing = asyncio.create_task(imported(cluster.client("reviewer", 1), dataset))
        await waiting(cluster.api, 2)  # it has read the file, and marked the image that is going
    gone, answer = await asyncio.gather(deleting, importing)
    assert gone.status_code == 200, gone.text
    assert answer.status_code == 409
    assert answer.json()["code"] == "image_deleted"
    assert await rows(cluster.api, "SELECT 1 FROM annotations WHERE project_id = $1", dataset.project_id) == []
    again = await imported(cluster.client("reviewer", 1), dataset)
    assert again.status_code == 200
    assert again.json()["imported"] == 1
    await check(cluster, dataset)


async def test_versions_are_what_they_were(cluster: Cluster) -> None:
    """Published while images go and come: each version is one state, and gives the same bytes for ever."""
    dataset = await project_with_members(cluster)
    clients = cluster.clients("admin")
    for image in range(5):
        await create_annotation(clients[0], box(dataset, image))
    url = f"/api/v1/projects/{dataset.project_id}/versions/publish"
    body = {"task_type": "detection", "export_format": "coco", "include_draft": True}
    files: dict[str, bytes] = {}

    async def publish() -> None:
        for _ in range(6):
            answer = await clients[0].post(url, json=body)
            assert answer.status_code == 200, answer.text
            version = answer.json()
            link = version["download_url"].removeprefix("http://api.test")
            files[link] = (await clients[0].get(link)).content
            assert version["annotation_count"] == version["image_count"] >= 3  # one box an image, and two may be gone

    async def go_and_come() -> None:
        for turn in range(12):
            answer = await delete(clients[turn % 2], dataset, turn % 5, (turn + 1) % 5)
            assert answer.status_code == 200, answer.text
            ids = [one["deletion_id"] for one in answer.json()["images"]]
            assert (await restore(clients[turn % 2], dataset, *ids)).status_code == 200

    await asyncio.gather(publish(), go_and_come())
    assert (await delete(clients[0], dataset, *range(5))).status_code == 200
    for link, content in files.items():
        assert (await clients[1].get(link)).content == content
    await check(cluster, dataset)


async def test_everything_at_once(cluster: Cluster) -> None:
    """A storm of saves, locks, deletions, restorations and imports; afterwards every count is a recount."""
    dataset = await project_with_members(cluster)
    met: Counter[int] = Counter()

    async def person(number: int) -> None:
        chance = seeded(20261129, number)
        account = ("annotator", "reviewer", "admin")[number % 3]
        client = cluster.client(account, number % 2)
        mine: list[dict[str, Any]] = []
        for _ in range(12):
            image = chance.randrange(5)
            deed = chance.random()
            if deed < 0.5 or account == "annotator":
                answer = await client.post("/api/v1/annotations", json=box(dataset, image))
                if answer.status_code == 200:
                    mine.append(answer.json())
                    await client.delete(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[image]}")
            elif deed < 0.7 and mine:
                answer = await client.post(at(chance.choice(mine), "/confirm"), json={})
            elif deed < 0.85:
                answer = await delete(client, dataset, image, (image + 1) % 5)
            else:
                waits = await deletions(cluster, dataset)
                answer = await restore(client, dataset, *waits[-1:]) if waits else await client.get("/health")
            met[answer.status_code] += 1
            assert answer.status_code in BUSY, answer.text

    await asyncio.gather(*(person(number) for number in range(12)))
    assert met[200] > 12, met
    await check(cluster, dataset)
    for deletion in reversed(await deletions(cluster, dataset)):
        assert (await restore(cluster.client("admin"), dataset, deletion)).status_code in {200, 409}
    await check(cluster, dataset)
