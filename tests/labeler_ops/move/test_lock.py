"""Two operators at once: the second is told who the first is, and a killed one is in nobody's way."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.errors import DatabaseError
from labeler_ops.move import lock
from tests.labeler_ops.move.conftest import until_held_up
from tests.labeler_ops.move.moving import begun, rows
from tests.labeler_ops.move.operator import Order, ended, start


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has been killed here: there is nothing to wait for."""
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.0)


async def test_a_second_operator_is_refused_by_name_until_the_first_is_gone(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(tmp_path, rows(source, target))
    (tmp_path / "second").mkdir()
    holder = await asyncpg.connect(source)
    await holder.execute("BEGIN; LOCK TABLE annotations")
    process = start(Order(first.run.directory, rows(source, target)))
    try:
        await until_held_up(source)
        assert process.pid is not None
        with pytest.raises(DatabaseError, match=rf"on run {first.run.id} already: .*process {process.pid}\b"):
            async with lock.exclusive(first.run.directory, target):
                pytest.fail("two of one run")
        with pytest.raises(DatabaseError, match=rf"labeler move by .*process {process.pid}\).*from 127\.0\.0\.1"):
            async with lock.exclusive(tmp_path / "second", target):
                pytest.fail("two towards one target")
        process.kill()
        assert await ended(process) < 0
        monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 30.0)  # the server notices in its own time
        async with lock.exclusive(first.run.directory, target):
            assert str(os.getpid()) in (first.run.directory / "lock").read_text()
    finally:
        holder.terminate()


async def test_a_lock_that_was_lost_and_is_another_s_stops_the_work(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_CALL_EVERY", 0.02)
    other = await asyncpg.connect(target)

    async def work() -> None:
        async with lock.exclusive(tmp_path, target):
            waiting = asyncio.create_task(other.execute("SELECT pg_advisory_lock($1)", lock._KEY))
            await _cut(target)
            await waiting
            await asyncio.Event().wait()

    try:
        with pytest.raises(DatabaseError, match="somebody is at work"):
            await asyncio.wait_for(work(), 30)
    finally:
        other.terminate()


async def test_a_lock_that_was_lost_is_taken_again(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_CALL_EVERY", 0.02)
    async with asyncio.timeout(30), lock.exclusive(tmp_path, target):
        before = await _cut(target)
        while await _holder(target) in {None, before}:
            pass


async def test_a_database_that_is_away_is_an_error_only_where_it_is_needed(target: str, tmp_path: Path) -> None:
    away = target.rpartition("/")[0] + "/not_there"
    async with lock.exclusive(tmp_path, if_there=[away]):
        pass
    with pytest.raises(DatabaseError, match="not_there"):
        await lock.exclusive(tmp_path, away).__aenter__()


async def _cut(dsn: str) -> int:
    """End the session that holds the lock, as a proxy that loses patience does."""
    pid = await _holder(dsn)
    assert pid is not None
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    finally:
        await connection.close()
    return pid


async def _holder(dsn: str) -> int | None:
    connection = await asyncpg.connect(dsn)
    try:
        held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = $1::bigint & 4294967295"
        found: int | None = await connection.fetchval(held, lock._KEY)
        return found
    finally:
        await connection.close()
