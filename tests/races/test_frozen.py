"""A process that freezes in the middle of a write, or whose machine vanishes: nobody waits for it for long."""

import asyncio
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from labeler_api.db.stalled_transactions import end_frozen
from labeler_api.errors import Unavailable
from tests.fixtures.annotating import box, check_counters, create_annotation
from tests.fixtures.api import Api
from tests.fixtures.api_processes import CROWD, ApiProcess, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.timing import check_within
from tests.fixtures.waiting import gone
from tests.fixtures.wire import HeldCommit

_BOUND_SECONDS = 30.0  # what one frozen process may cost the others of its project
_WRITERS = 10
_LOCK = "SELECT FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE"
_TOUCH = "UPDATE annotation_projects SET revision = revision + 1 WHERE id = $1"
_LOCK_IMAGE = "SELECT FROM image_metadata WHERE dataset_id = $1 AND id = $2 FOR NO KEY UPDATE"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


_PARSE = _message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 0))
_BIND = _message(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0))
_EXECUTE = _message(b"E", b"\0" + struct.pack("!I", 0))
_HALF = struct.pack("!cI", b"B", 1000) + b"\0\0"
# More than the sockets between the two take: the server waits until somebody reads.
_LARGE = _message(b"Q", b"SELECT repeat('x', 1000000) FROM generate_series(1, 200)\0")
STANDSTILLS = {
    "between two statements": b"",
    "in the middle of a message": _HALF,
    "between Parse and Bind": _PARSE,
    "between Bind and Execute": _PARSE + _BIND,
    "in the middle of Bind": _PARSE + _HALF,
    "between two executions": _PARSE + _BIND + _EXECUTE,
    "in the middle of an answer": _LARGE,
}
"""Where a client may stand still in an open transaction: what it sent last."""


async def test_a_process_frozen_in_the_middle_of_a_save(cluster: Cluster, tmp_path: Path) -> None:
    dataset, other = await _project(cluster), await _project(cluster)
    async with _frozen_at_its_commit(cluster, dataset, tmp_path) as saving:
        started = time.monotonic()
        writing = asyncio.gather(*(_write(cluster, dataset, number) for number in range(_WRITERS)))
        bystander = cluster.client("owner")
        slowest, saved = 0.0, 0
        while not writing.done():
            before = time.monotonic()
            await create_annotation(bystander, box([other, dataset][saved % 2], _WRITERS))
            slowest, saved = max(slowest, time.monotonic() - before), saved + 1
            await asyncio.sleep(0.2)
        answers = await writing
        check_within(slowest, 5.0, "neither another project nor another image has to do with it")
        assert answers[1:] == [200] * (_WRITERS - 1), "nor have other writers"
        await _writes_again(cluster, dataset, started, 0)
    answer = await saving
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    stored = await rows(cluster.api, "SELECT count(*) AS n FROM annotations WHERE project_id = $1", dataset.project_id)
    assert stored[0]["n"] == answers.count(200) + 1 + (saved // 2)
    await check_counters(cluster.api, dataset)
    await check_counters(cluster.api, other)


async def test_wherever_a_transaction_stands_still(cluster: Cluster) -> None:
    """All places at once, each in a project of its own."""
    await asyncio.gather(*(_stand_still(cluster, sent) for sent in STANDSTILLS.values()))


async def test_what_works_or_waits_is_left_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks after frozen ones ends neither long statements, nor who waits for a lock, nor a quiet reader."""
    monkeypatch.setattr("labeler_api.db.stalled_transactions._STILL_SECONDS", 0)
    dataset = await _project(cluster)
    api = cluster.api

    async def wait() -> int:
        async with api.db.begin() as tx:
            return await tx.execute(_TOUCH, dataset.project_id)

    async def work() -> int:
        async with api.db.read() as connection:
            await connection.fetchval("SELECT pg_sleep(1)")
            return 1

    async with api.db.begin() as tx, api.db.snapshot() as snapshot:
        await tx.execute(_LOCK, dataset.project_id)
        tasks = [asyncio.create_task(wait()), asyncio.create_task(work())]
        await asyncio.sleep(0.3)
        async with api.db.read() as connection:
            await end_frozen(connection)
        assert await snapshot.fetchval("SELECT 1") == 1
        await tx.execute(_TOUCH, dataset.project_id)
    assert await asyncio.gather(*tasks) == [1, 1]


async def test_a_write_that_stands_still_is_ended_by_the_server(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1)

    async def freeze() -> None:
        async with api.db.begin() as tx:
            assert await tx.fetchval("SHOW idle_in_transaction_session_timeout") == "15s"
            await tx.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            await tx.execute(_LOCK, dataset.project_id)
            await gone(api, await tx.fetchval("SELECT pg_backend_pid()"))
            await tx.execute(_TOUCH, dataset.project_id)

    with pytest.raises(Unavailable):
        await freeze()
    async with asyncio.timeout(10), api.db.begin() as tx:
        assert await tx.execute(_TOUCH, dataset.project_id) == 1
    async with api.db.read() as connection:
        assert (
            await connection.fetchval("SELECT revision FROM annotation_projects WHERE id = $1", dataset.project_id) == 1
        )


async def test_an_export_may_wait_for_its_reader(api: Api) -> None:
    """As long as an export may take, and no longer: a frozen one would keep dead rows for ever."""
    async with api.db.snapshot() as snapshot:
        assert await snapshot.fetchval("SHOW idle_in_transaction_session_timeout") == "10min"


async def _project(cluster: Cluster) -> Dataset:
    dataset = await cluster.api.dataset(tasks=["detection"], images=_WRITERS + 1)
    await cluster.admit(dataset)
    return dataset


async def _write(cluster: Cluster, dataset: Dataset, number: int) -> int:
    """Draw a box, as one of many people; an answer that is no box says when to come again."""
    user_id = CROWD[number]
    client = cluster.client_of(user_id, f"user{user_id}@example.com", number % len(cluster.processes))
    async with asyncio.timeout(_BOUND_SECONDS):
        answer = await client.post("/api/v1/annotations", json=box(dataset, number))
    if answer.status_code != 200:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0, answer.text
        assert answer.json()["code"] in {"lock_timeout", "project_busy", "database_busy"}, answer.text
    return answer.status_code


async def _writes_again(cluster: Cluster, dataset: Dataset, since: float, image: int) -> None:
    """Somebody who tries again and again is served within the bound, and so is everybody then."""
    async with asyncio.timeout(since + _BOUND_SECONDS - time.monotonic()):
        while await _write(cluster, dataset, image) != 200:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.1)


async def _stand_still(cluster: Cluster, sent: bytes) -> None:
    dataset = await _project(cluster)
    stood = asyncio.Event()
    over = asyncio.Event()

    async def freeze() -> None:
        with suppress(Unavailable):
            async with cluster.api.db.begin() as tx:
                await tx.execute(_LOCK_IMAGE, dataset.id, dataset.image_ids[_WRITERS])
                await tx.execute(_TOUCH, dataset.project_id)
                tx._connection._transport.pause_reading()  # nor does a process that stands still read
                tx._connection._transport.write(sent)
                stood.set()
                await over.wait()
                raise Unavailable("It woke up.")

    task = asyncio.create_task(freeze())
    await stood.wait()
    started = time.monotonic()
    answers = Counter(await asyncio.gather(*(_write(cluster, dataset, number) for number in range(_WRITERS))))
    assert answers == {200: _WRITERS}, "nobody else has to do with its image"
    await _writes_again(cluster, dataset, started, _WRITERS)
    over.set()
    await task
    assert await rows(
        cluster.api, "SELECT count(*) AS n FROM annotations WHERE project_id = $1", dataset.project_id
    ) == [{"n": answers[200] + 1}]
    await check_counters(cluster.api, dataset)


@asynccontextmanager
async def _frozen_at_its_commit(
    cluster: Cluster, dataset: Dataset, directory: Path
) -> AsyncIterator["asyncio.Task[httpx.Response]"]:
    """A process that has written all of a save, and is stopped before its COMMIT goes out; it wakes up at the end."""
    async with HeldCommit(cluster.processes[0].database) as wire:
        frozen = cluster.processes[0].sibling(directory / "frozen.log", LABELER_DB_URL=wire.dsn, JOBS="off")
        frozen.launch()
        try:
            await frozen.ready()
            wire.hold()
            saving = asyncio.create_task(_save(cluster, frozen, dataset))
            async with asyncio.timeout(_BOUND_SECONDS):
                await wire.held.wait()
            frozen.pause()
            free = await rows(cluster.api, f"{_LOCK} SKIP LOCKED", dataset.project_id)
            assert free == [], "the row of the project is locked"
            yield saving
            frozen.resume()
            wire.let_go()
            await asyncio.wait({saving})
        finally:
            await frozen.stop()
        assert "Traceback" not in frozen.log, frozen.log[-4000:]


async def _save(cluster: Cluster, process: ApiProcess, dataset: Dataset) -> httpx.Response:
    """A save with a key: it has a COMMIT. One without is a single statement, and nothing is open between two."""
    headers = {"Idempotency-Key": "frozen", "Authorization": f"Bearer {cluster.api.token(2, 'owner@example.com')}"}
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=120, trust_env=False) as client:
        return await client.post("/api/v1/annotations", json=box(dataset, 0))
