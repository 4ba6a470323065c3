"""Many writers at once: counters and statuses are what a count says, and a budget of statements for each write."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import httpx

from labeler_api.projects.waiting_counters import REVISION, WAITING
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import (
    COUNTERS,
    MEMBERS,
    Draw,
    at,
    box,
    check_counters,
    create_annotation,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

DRAW: dict[str, Draw] = {"none": no_object, "outline": polygon}


async def work(client: httpx.AsyncClient, dataset: Dataset, image: int, seed: int) -> None:
    """Draw, edit, confirm and delete in some order, on one image; a 423 is somebody else's turn."""
    choose = random.Random(seed)
    mine: list[dict[str, object]] = []
    for _ in range(12):
        deed = choose.choice(["draw", "draw", "none", "outline", "edit", "confirm", "delete"])
        if not mine or deed in {"draw", "none", "outline"}:
            draw = DRAW.get(deed, box)
            response = await client.post("/api/v1/annotations", json=draw(dataset, image))
            if response.status_code == 200:
                mine.append(response.json())
        elif deed == "edit":
            response = await client.put(at(choose.choice(mine)), json={"notes": "x"})
        elif deed == "confirm":
            response = await client.post(at(choose.choice(mine), "/confirm"), json={})
        else:
            response = await client.delete(at(mine[-1]))
            if response.status_code == 200:
                mine.pop()
        assert response.status_code in {200, 423}, response.text


async def test_eight_writers_over_several_images(api: Api) -> None:
    dataset = await api.dataset(images=5, tasks=["detection", "segmentation"], members=MEMBERS)
    clients = [await api.login(account) for account in ("owner", "admin", "reviewer", "annotator")]
    # Two of each account, so that both share the images they hold; the images overlap between accounts.
    await asyncio.gather(*(work(clients[n % 4], dataset, (n % 4 + n // 4) % 5, seed=n) for n in range(8)))
    await check_counters(api, dataset)
    written = await rows(
        api, "SELECT array_agg(revision ORDER BY id) AS numbers FROM annotation_history GROUP BY annotation_id"
    )
    assert written
    assert all(row["numbers"] == list(range(1, len(row["numbers"]) + 1)) for row in written)


async def test_annotations_of_an_image_confirmed_side_by_side(api: Api) -> None:
    """Whoever confirms last confirms the image, whichever of them that is."""
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    bodies = [await create_annotation(client, box(dataset)) for _ in range(8)]
    await asyncio.gather(*(client.post(at(body, "/confirm"), json={}) for body in bodies))
    assert await rows(api, "SELECT status, total_annotations AS n FROM image_annotation_status") == [
        {"status": "completed", "n": 8}
    ]


async def test_a_draft_beside_the_last_confirm(api: Api) -> None:
    """In whichever order they land: an image with a draft is not confirmed."""
    dataset = await api.dataset(images=12, tasks=["detection"], members=MEMBERS)
    client = await api.login("reviewer")
    for image in range(12):
        body = await create_annotation(client, box(dataset, image))
        await asyncio.gather(
            client.post(at(body, "/confirm"), json={}), client.post("/api/v1/annotations", json=box(dataset, image))
        )
    await check_counters(api, dataset)
    assert await rows(api, "SELECT DISTINCT status FROM image_annotation_status") == [{"status": "in-progress"}]


async def test_the_last_annotations_deleted_side_by_side(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    bodies = [await create_annotation(client, box(dataset, number % 2)) for number in range(8)]
    answers = await asyncio.gather(*(client.delete(at(body)) for body in bodies * 2))
    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [404] * 8
    await check_counters(api, dataset)
    assert await rows(api, "SELECT * FROM image_annotation_status") == []
    (project,) = await rows(api, f"SELECT {COUNTERS} FROM annotation_projects p {WAITING}")
    assert project == {"total_annotations": 0, "annotated_images": 0}


async def test_projects_do_not_wait_for_each_other(api: Api) -> None:
    dataset, other = await project_with_members(api), await project_with_members(api)
    client = await api.login("annotator")
    async with api.db.begin() as tx:
        await tx.execute("SELECT FROM annotation_projects WHERE id = $1 FOR UPDATE", dataset.project_id)
        async with asyncio.timeout(10):
            await create_annotation(client, box(other))


async def test_writers_of_other_images_wait_for_nobody(api: Api) -> None:
    """Neither for who writes to an image, nor for who changes the project itself; and what they do counts at once."""
    dataset = await api.dataset(images=3, tasks=["detection"], members=MEMBERS)
    reviewer = await api.login("reviewer")
    first = await create_annotation(reviewer, box(dataset, 1))
    lists = f"/api/v1/annotations/project/{dataset.project_id}"
    async with api.db.begin() as tx, asyncio.timeout(10):
        await tx.execute("SELECT FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE", dataset.project_id)
        await tx.execute("SELECT FROM image_metadata WHERE id = $1 FOR NO KEY UPDATE", dataset.image_ids[0])
        tag = (await reviewer.get(lists)).headers["etag"]
        calls: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "create": lambda: reviewer.post("/api/v1/annotations", json=box(dataset, 2)),
            "update": lambda: reviewer.put(at(first), json={"notes": "moved"}),
            "batch": lambda: reviewer.post("/api/v1/annotations/batch", json={"annotations": [box(dataset, 1)] * 3}),
            "confirm": lambda: reviewer.post(at(first, "/confirm"), json={}),
            "confirm many": lambda: reviewer.post(
                "/api/v1/annotations/bulk-confirm", json={"annotation_ids": [first["id"]]}
            ),
            "unconfirm": lambda: reviewer.post(at(first, "/unconfirm"), json={}),
            "delete": lambda: reviewer.delete(at(first)),
            "restore": lambda: reviewer.post(at(first, "/restore"), json={"revision": 1}),
        }
        for name, call in calls.items():
            answer = await call()
            assert answer.status_code == 200, (name, answer.text)
            changed = await reviewer.get(lists, headers={"If-None-Match": tag})
            assert changed.status_code == 200, f"{name} left the list unchanged"
            tag = changed.headers["etag"]
        project = (await reviewer.get(f"/api/v1/projects/{dataset.project_id}")).json()
        assert project["total_annotations"] == 5
        assert project["annotated_images"] == 2
        assert project["last_updated_by"] == USER_IDS["reviewer"]
        await check_counters(api, dataset)
    revision = (await rows(api, f"SELECT {REVISION} AS n FROM annotation_projects p"))[0]["n"]
    await create_annotation(reviewer, box(dataset, 0))
    assert await rows(api, "SELECT * FROM project_changes") == [], "who finds the project free takes what waits along"
    assert (await rows(api, "SELECT revision FROM annotation_projects"))[0]["revision"] == revision + 1
    await check_counters(api, dataset)


async def test_statements_of_each_write(api: Api) -> None:
    dataset = await api.dataset(images=2, tasks=["detection"], members=MEMBERS)
    client = await api.login("reviewer")
    for number in (1, 10, 1000):
        async with api.db.begin() as tx:
            await tx.execute(
                "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
                " SELECT $1, $2, 'bbox', 'detection', '{\"bbox\": [1, 2, 3, 4]}', 3 FROM generate_series(1, $3::int)",
                dataset.project_id,
                dataset.image_ids[0],
                number,
            )
        body = await create_annotation(client, box(dataset))
        calls = {
            "create": (client.post("/api/v1/annotations", json=box(dataset)), 1),
            "get": (client.get(at(body)), 1),
            "update": (client.put(at(body), json={"notes": "x", "version": body["version"]}), 1),
            "confirm": (client.post(at(body, "/confirm"), json={}), 1),
            "unconfirm": (client.post(at(body, "/unconfirm"), json={}), 1),
            "confirm image": (
                client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm", json={}),
                4,
            ),
            "delete": (client.delete(at(body)), 1),
        }
        for name, (call, budget) in calls.items():
            with api.count() as count:
                response = await call
            assert response.status_code == 200, (name, response.text)
            assert count.value <= budget, (name, number, count.value)
