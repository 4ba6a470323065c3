"""The job queue: jobs come with their transaction, survive whoever works on them, and are never lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from structlog.testing import capture_logs

from labeler_api.context import Services
from labeler_api.db.pool import Database
from labeler_api.jobs import queue
from labeler_api.jobs import worker as jobs
from labeler_api.jobs.worker import Handler, Periodic, Worker
from labeler_api.settings import load
from labeler_ops.database.upgrade import upgrade
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer
from service_kit.settings import SettingsError
from tests.fixtures.api import Api
from tests.fixtures.waiting import until

NOW = timedelta(0)


class Notes:
    """A handler that notes what it was given."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    async def __call__(self, _services: Services, payload: bytes) -> None:
        self.payloads.append(payload)


@asynccontextmanager
async def worker(api: Api, dsn: str, handler: Handler, *periodic: Periodic) -> AsyncIterator[Worker]:
    """A worker that takes a dead one's job over after a second."""
    settings = msgspec.structs.replace(api.services.settings, jobs_lease_seconds=1.0)
    services = replace(api.services, settings=settings)
    async with jobs.working(services, dsn, {"job": handler}, periodic) as running:
        yield running


async def queued(db: Database) -> int:
    async with db.read() as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM pgqueuer")
    return number


async def add(db: Database, payload: bytes = b"one", *, kind: str = "job", after: timedelta = NOW) -> None:
    async with db.begin() as tx:
        await jobs.enqueue(tx, kind, payload, after=(after,))


async def test_the_migration_makes_what_the_library_wants(labeler_dsn: str) -> None:
    connection = await asyncpg.connect(labeler_dsn)
    try:
        plan = await queue.queries(AsyncpgDriver(connection)).plan_upgrade()
    finally:
        await connection.close()
    assert list(plan.statements) == []


async def test_a_job_comes_with_its_transaction_or_not_at_all(
    api: Api, labeler_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHANNEL", "FUNCTION", "TRIGGER", "QUEUE_TABLE", "PGQUEUER_PREFIX"):
        monkeypatch.setenv(name, "elsewhere")  # the library reads these; we must not
    notes = Notes()
    async with worker(api, labeler_dsn, notes):
        with pytest.raises(ZeroDivisionError):
            await _enqueue_and_fail(api.db)
        with api.count() as statements:
            await add(api.db, b"committed")
        assert statements.value == 1
        await until(lambda: notes.payloads == [b"committed"])
    assert await queued(api.db) == 0


async def _enqueue_and_fail(db: Database) -> None:
    async with db.begin() as tx:
        await jobs.enqueue(tx, "job", b"rolled back")
        raise ZeroDivisionError


async def test_several_workers_share_the_jobs(api: Api, labeler_dsn: str) -> None:
    first, second = Notes(), Notes()
    for number in range(40):
        await add(api.db, str(number).encode())
    async with worker(api, labeler_dsn, first), worker(api, labeler_dsn, second):
        await until(lambda: len(first.payloads) + len(second.payloads) >= 40)
    assert sorted(int(payload) for payload in first.payloads + second.payloads) == list(range(40))
    assert await queued(api.db) == 0


async def test_a_failing_job_is_tried_again_and_seen(
    api: Api, labeler_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FIRST_RETRY_SECONDS", 0.01)
    tries = 0

    async def handler(_services: Services, _payload: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError(f"not yet: {tries}")

    with capture_logs() as logs:
        async with worker(api, labeler_dsn, handler):
            await add(api.db)
            await until(lambda: tries == 3)
    assert await queued(api.db) == 0
    failures = [entry for entry in logs if entry["event"] == "a job failed and will be tried again"]
    assert [(entry["log_level"], entry["attempts"], entry["job"]) for entry in failures] == [
        ("error", 1, "job"),
        ("error", 2, "job"),
    ]


def test_the_wait_grows_to_an_hour_and_stays_there_for_years() -> None:
    waits = [jobs._backoff(attempts).total_seconds() for attempts in (0, 1, 5, 9, 10, 100_000)]
    assert waits == [5, 10, 160, 2560, 3600, 3600]


async def test_a_worker_that_stops_hands_its_job_on(api: Api, labeler_dsn: str) -> None:
    began, notes = asyncio.Event(), Notes()

    async def endless(_services: Services, _payload: bytes) -> None:
        began.set()
        await asyncio.Event().wait()

    await add(api.db)
    async with worker(api, labeler_dsn, endless):
        await asyncio.wait_for(began.wait(), 20)
        async with worker(api, labeler_dsn, notes) as other:
            await other.stop()  # paused, as for maintenance: takes nothing
    assert await queued(api.db) == 1
    assert notes.payloads == []
    async with worker(api, labeler_dsn, notes):
        await until(lambda: notes.payloads == [b"one"])


async def test_a_periodic_job_is_there_once_and_comes_again(api: Api, labeler_dsn: str) -> None:
    times = 0

    async def handler(_services: Services, _payload: bytes) -> timedelta:
        nonlocal times
        times += 1
        return timedelta(hours=24) if times > 1 else NOW

    periodic = Periodic("job", NOW)
    async with worker(api, labeler_dsn, handler, periodic), worker(api, labeler_dsn, handler, periodic):
        await until(lambda: times == 2)
    async with api.db.read() as connection:
        rows = await connection.fetch(
            "SELECT status::text, execute_after > now() + interval '23 h' AS later FROM pgqueuer"
        )
    assert [(row["status"], row["later"]) for row in rows] == [("queued", True)]


async def test_a_job_that_the_library_set_aside_is_taken_up(api: Api, labeler_dsn: str) -> None:
    notes = Notes()
    await add(api.db)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE pgqueuer SET status = 'failed'")
    async with worker(api, labeler_dsn, notes):
        await until(lambda: notes.payloads == [b"one"])


async def test_a_clock_that_was_set_back_holds_no_job(api: Api, labeler_dsn: str) -> None:
    """The heartbeat of a dead process lies an hour ahead; its job waits for a lease, and no hour."""
    notes = Notes()
    await add(api.db)
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(),"
            " heartbeat = now() + interval '1 h'"
        )
    async with worker(api, labeler_dsn, notes):
        await until(lambda: notes.payloads == [b"one"])


async def test_jobs_of_an_unknown_kind_are_seen(api: Api, labeler_dsn: str) -> None:
    async with api.db.begin() as tx:
        await jobs.enqueue(tx, "from.the.future", b"")
    with capture_logs() as logs:
        async with worker(api, labeler_dsn, Notes()):
            await until(lambda: any(entry.get("job") == "from.the.future" for entry in logs))
    assert 'labeler_jobs_due{kind="unknown"} 1.0' in api.services.instruments.metrics.text().decode()
    assert await queued(api.db) == 1


async def test_the_log_of_the_queue_keeps_a_month(api: Api, labeler_dsn: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)"
            " SELECT now() - n * interval '1 day', n, 'successful', 0, 'job' FROM generate_series(100, 1, -1) n"
        )

    async def kept() -> bool:
        async with api.db.read() as connection:
            days: int = await connection.fetchval("SELECT count(*) FROM pgqueuer_log")
            return days in {29, 30}

    async with worker(api, labeler_dsn, Notes()):
        await until(kept)


@pytest.mark.destructive
async def test_a_restart_of_postgresql_interrupts_and_nothing_more(
    api: Api, postgres: PostgresServer, tmp_path: Path
) -> None:
    server = PostgresServer(postgres.install, tmp_path / "data", free_port(), durable=False)
    await server.initialise()
    await server.start()
    dsn = server.dsn("postgres")
    await upgrade(dsn)
    db = await Database.connect(dsn)
    began, tries = asyncio.Event(), 0

    async def handler(_services: Services, _payload: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            began.set()
            await asyncio.Event().wait()

    try:
        async with worker(api, dsn, handler):
            await add(db)
            await asyncio.wait_for(began.wait(), 20)
            await server.stop()
            await server.start()
            await until(lambda: tries == 2, 60)
            await until(lambda: _empty(dsn), 30)
    finally:
        await db.close()
        await server.stop()


async def _empty(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM pgqueuer"))
    finally:
        await connection.close()


def test_the_worker_can_have_a_database_url_of_its_own() -> None:
    pooled = {"LABELER_DB_URL": "postgresql://u:p@pooler:6432/labeler"}
    assert load(pooled).jobs_db_url == "postgresql://u:p@pooler:6432/labeler"
    direct = pooled | {"LABELER_DB_UNPOOLED_URL": "postgres://u:p@db:5432/labeler", "JOBS": "off"}
    assert load(direct).jobs_db_url == "postgresql://u:p@db:5432/labeler"
    assert load(direct).jobs == "off"
    for wrong in ({"JOBS": "perhaps"}, {"JOBS_LEASE_SECONDS": "0"}, {"LABELER_DB_UNPOOLED_URL": "mysql://x"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            load(pooled | wrong)
