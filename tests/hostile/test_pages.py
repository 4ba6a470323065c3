"""Pages of annotations as large as somebody could make them: two megabytes each, and many readers."""

import asyncio
from typing import Any

import httpx

from tests.fixtures.datasets import Dataset
from tests.hostile.attacked import Attacked

_ROWS = 200
_PAGE_BYTES = 8 * 2**20
_MEMBERS = {"annotator": "annotator", "viewer": "viewer", "admin": "admin"}


async def _large(attacked: Attacked) -> Dataset:
    """A project as it was stored before there was a bound: two hundred annotations of two megabytes, and history."""
    dataset = await attacked.api.dataset(tasks=["detection"], images=2, members=_MEMBERS)
    async with attacked.api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations"
            " (project_id, image_id, annotation_type, task_type, geometry, attributes, created_by)"
            " SELECT $1, $2, 'bbox', 'detection', '{\"type\": \"bbox\", \"bbox\": [1, 2, 3, 4]}',"
            " jsonb_build_object('x', repeat(md5(n::text), 62500)), 2 FROM generate_series(1, $3::int) n",
            dataset.project_id,
            dataset.image_ids[0],
            _ROWS,
        )
        await tx.execute(
            "INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by)"
            " SELECT id, project_id, image_id, 'create', to_jsonb(a), 2 FROM annotations a WHERE project_id = $1",
            dataset.project_id,
        )
    return dataset


async def _pages(client: httpx.AsyncClient, url: str, parameters: dict[str, Any], most: int) -> list[int]:
    """Read pages by cursor; return the ids of their rows."""
    ids: list[int] = []
    cursor = ""
    for _ in range(most):
        answer = await client.get(url, params={**parameters, "cursor": cursor})
        while answer.status_code in {429, 503}:
            await asyncio.sleep(int(answer.headers["Retry-After"]))
            answer = await client.get(url, params={**parameters, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= _PAGE_BYTES
        ids += [row["id"] for row in answer.json()]
        cursor = answer.headers["X-Next-Cursor"]
    return ids


async def test_four_readers_of_annotations(attacked: Attacked) -> None:
    dataset = await _large(attacked)
    url = f"/api/v1/annotations/project/{dataset.project_id}"
    async with attacked.bystander():
        read = await asyncio.gather(
            *(
                _pages(attacked.client(account), url, {"skip": 0, "limit": 1000}, most=3)
                for account in ("owner", "annotator", "viewer", "admin")
            )
        )
    assert all(len(ids) >= 6 and ids == sorted(set(ids)) for ids in read)


async def test_readers_of_one_image_and_of_the_history(attacked: Attacked) -> None:
    dataset = await _large(attacked)
    annotations = f"/api/v1/annotations/project/{dataset.project_id}"
    history = f"/api/v1/annotations/history/project/{dataset.project_id}"
    async with attacked.bystander():
        await asyncio.gather(
            _pages(attacked.client("owner"), annotations, {"image_id": dataset.image_ids[0], "limit": 1000}, most=2),
            _pages(attacked.client("viewer"), annotations, {"image_id": dataset.image_ids[0], "limit": 1000}, most=2),
            _pages(attacked.client("admin"), history, {"limit": 100}, most=2),
            _pages(attacked.client("annotator"), history, {"limit": 100}, most=2),
        )


async def test_clients_that_do_not_read(attacked: Attacked) -> None:
    """A hundred requests for full pages, whose answers nobody takes from the socket."""
    dataset = await _large(attacked)
    request = (
        f"GET /api/v1/annotations/project/{dataset.project_id}?limit=1000 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {attacked.token('owner')}\r\n\r\n"
    ).encode()
    host, _, port = attacked.url.removeprefix("http://").partition(":")
    async with attacked.bystander():
        sockets = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(request)
            sockets.append((reader, writer))
        await asyncio.sleep(3)
        for _, writer in sockets:
            writer.transport.abort()
