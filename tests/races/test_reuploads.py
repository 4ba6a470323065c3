"""Servers that end in the middle of sixty re-uploads: each image is the old one or the new one, whole."""

import asyncio
import hashlib

import httpx
import pytest

from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import noise, upload

IMAGES = 60
TOGETHER = 6
_ROWS = "SELECT * FROM image_metadata WHERE dataset_id = $1 ORDER BY id"


def pictures(first: int) -> list[tuple[str, bytes]]:
    return [(f"d/{number}.jpg", noise(120 + first + number, 90)) for number in range(IMAGES)]


async def mismatched(cluster: Cluster, dataset: Dataset, allowed: dict[str, set[str]]) -> list[str]:
    """The ids of images whose object is not what their row says, or neither the old nor the new picture."""
    found = []
    async with cluster.api.db.read() as connection:
        rows = await connection.fetch(_ROWS, dataset.id)
    assert len(rows) == IMAGES
    for row in rows:
        async with cluster.api.services.objects.open("datasets", row["s3_key"]) as stream:
            content = await stream.read()
        digest = hashlib.sha256(content).hexdigest()
        same = (row["size"], row["content_sha256"]) == (len(content), digest)
        async with cluster.api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
            await stream.read()
        if not same or digest not in allowed[row["id"]]:
            found.append(row["id"])
    return found


async def begun(cluster: Cluster) -> tuple[Dataset, dict[str, set[str]], list[tuple[str, bytes]]]:
    """Sixty images that are acknowledged, what each may be afterwards, and what comes in their place."""
    dataset = await cluster.api.dataset()
    old, new = pictures(0), pictures(100)
    answer = await upload(cluster.client("owner"), dataset, *old)
    assert answer.json()["images_uploaded"] == IMAGES, answer.text
    allowed: dict[str, set[str]] = {}
    for name, content in (*old, *new):
        allowed.setdefault(name.rpartition(".")[0], set()).add(hashlib.sha256(content).hexdigest())
    return dataset, allowed, new


async def reuploads(
    cluster: Cluster, dataset: Dataset, new: list[tuple[str, bytes]]
) -> list[httpx.Response | Exception]:
    """Upload all of it, a few images a request, over and over until somebody fails."""

    async def work(part: list[tuple[str, bytes]], client: httpx.AsyncClient) -> httpx.Response | Exception:
        while True:
            try:
                answer = await upload(client, dataset, *part)
            except httpx.TransportError as error:
                return error
            if answer.status_code != 200:
                return answer

    size = IMAGES // TOGETHER
    parts = [new[start : start + size] for start in range(0, IMAGES, size)]
    return await asyncio.gather(*(work(part, cluster.client("owner")) for part in parts))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 2.0])
async def test_a_database_that_is_killed(mortal: Cluster, durable: PostgresServer, seconds: float) -> None:
    dataset, allowed, new = await begun(mortal)
    work = asyncio.create_task(reuploads(mortal, dataset, new))
    await asyncio.sleep(seconds)
    durable.kill()
    assert durable.process is not None
    assert await durable.process.ended(30)
    answers = await work
    for answer in answers:
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) >= 1, answer.text
    await durable.start()
    await mortal.processes[0].ready()
    assert await mismatched(mortal, dataset, allowed) == []
    assert (await upload(mortal.client("owner"), dataset, *new)).json()["images_uploaded"] == IMAGES


@pytest.mark.slow
async def test_an_api_that_is_killed(mortal: Cluster) -> None:
    dataset, allowed, new = await begun(mortal)
    for seconds in (0.1, 0.4, 0.9):
        work = asyncio.create_task(reuploads(mortal, dataset, new))
        await asyncio.sleep(seconds)
        await mortal.processes[0].kill()
        assert all(isinstance(answer, httpx.TransportError) for answer in await work)
        assert await mismatched(mortal, dataset, allowed) == []
        mortal.processes[0].launch()
        await mortal.processes[0].ready()
