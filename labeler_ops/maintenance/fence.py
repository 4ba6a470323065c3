"""The switch and the fence.

The switch is a row that the API's processes obey within a second: they refuse writes with a 503 that says when to come
back. The fence is what makes it true: a trigger on every table that refuses every write, also of a process that missed
the switch, a job, somebody with psql. It is built in one transaction that holds every table against writers. So when it
stands, the last write is committed and no other follows. It costs nothing while it does not stand.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import TypeAlias

import asyncpg
import msgspec

from labeler_api.db.failures import FAILURES
from labeler_ops.connecting import Connection, connected
from labeler_ops.database.own_objects import OWN_RELATIONS
from labeler_ops.errors import DatabaseError

LockedWork: TypeAlias = Callable[[Connection], Awaitable[None]]

NAME = "maintenance_fence"
CHANNEL = "maintenance"
MOVED = "The database is being moved."
"""What users are told during a move."""
SQLSTATE = "LM001"  # of our own class: no driver takes it for something that a retry would mend

# Below deadlock_timeout (1 s): in a deadlock with a writer the fence gives up, never the writer.
_LOCK_MILLISECONDS = 700
_PAUSE_SECONDS = 0.1
# An autovacuum gives way to a lock that has waited for deadlock_timeout, not to a shorter wait; and after a restore, or
# a table's copy, there always is one, which on a large table takes minutes. This lock is in nobody else's way: it waits
# long enough, and holds the next autovacuum off until the other lock is there.
_WAIT_LONGER = """
    SELECT set_config('lock_timeout', (setting::int + 500)::text, true) FROM pg_settings WHERE name = 'deadlock_timeout'
"""

_TABLES = f"""
    SELECT format('%I.%I', n.nspname, c.relname) {OWN_RELATIONS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relpersistence <> 't' AND (n.nspname, c.relname) <> ('public', 'maintenance')
    ORDER BY 1
"""
_FENCED = "SELECT count(*) FROM pg_trigger WHERE tgname = $1 AND NOT tgisinternal"
# What a subscription applies is let through: a fenced source is kept up with the target that took over from it. The
# server itself says what kind of process this is, so no session can pretend to be one. (For rows the worker asks no
# trigger of a statement; for TRUNCATE it does.)
_FUNCTION = f"""
    CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        IF EXISTS (SELECT FROM pg_stat_activity
                   WHERE pid = pg_backend_pid() AND backend_type LIKE 'logical replication%') THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'The labeler is in maintenance mode: nothing can be written.' USING ERRCODE = '{SQLSTATE}';
    END $body$
"""
SWITCH = """
    INSERT INTO maintenance AS m (mode, reason, changed_by, since) VALUES ($1, $2, $3, now())
    ON CONFLICT (only_row) DO UPDATE
        SET mode = excluded.mode, reason = excluded.reason, changed_by = excluded.changed_by,
            since = CASE WHEN m.mode = excluded.mode THEN m.since ELSE excluded.since END
"""
_STATE = "SELECT mode, reason, changed_by, since FROM maintenance"
_WRITERS = """
    SELECT a.pid, coalesce(nullif(a.application_name, ''), 'unnamed') AS program,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted
                    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
    ORDER BY a.xact_start
"""


class Writer(msgspec.Struct, frozen=True):
    """A transaction that has written and is not over."""

    pid: int
    program: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid}, for {self.seconds:.1f} s)"


class State(msgspec.Struct, frozen=True):
    """How things stand. `fenced` of `tables` carry the fence."""

    mode: str
    reason: str | None
    changed_by: str | None
    since: datetime | None
    fenced: int
    tables: int
    writers: list[Writer]

    @property
    def stands(self) -> bool:
        """Whether nothing can be written."""
        return self.tables > 0 and self.fenced == self.tables


async def status(url: str) -> State:
    """Read the switch, the fence, and who is writing now. Raises DatabaseError when the database cannot be asked."""
    async with _connected(url) as connection:
        return await _state(connection)


async def on(url: str, *, reason: str, by: str, patience: float = 60.0) -> State:
    """Switch on, build the fence, and return when no write is left. Safe to repeat.

    Raises DatabaseError when writers did not end within `patience` seconds; they are named, the switch is then on,
    the fence not built, and calling again goes on waiting. A database without tables is refused, and left as it is.
    """
    async with _connected(url) as connection:
        if not await tables_of(connection):
            name = await connection.fetchval("SELECT current_database()")
            raise DatabaseError(
                f"the database {name!r} has no tables, so there is no writing to stop and nothing was changed: is it "
                "the right one? `labeler db upgrade` makes the tables of a new one"
            )
        if await _has_switch(connection):
            await connection.execute(SWITCH, "on", reason, by)
            await connection.execute(f"NOTIFY {CHANNEL}, 'on'")
        await patiently(connection, _build, patience)
        return await _state(connection)


async def off(url: str, *, by: str, patience: float = 60.0) -> State:
    """Take the fence down, then switch off. Safe to repeat. Raises DatabaseError when readers hold it too long."""
    async with _connected(url) as connection:
        await patiently(connection, _remove, patience)
        if await _has_switch(connection):
            await connection.execute(SWITCH, "off", None, by)
            await connection.execute(f"NOTIFY {CHANNEL}, 'off'")
        return await _state(connection)


async def patiently(connection: Connection, work: LockedWork, patience: float) -> None:
    """Try with short waits for locks, so that nobody queues behind us for long, until it is done."""
    until = monotonic() + patience
    while True:
        try:
            async with connection.transaction():
                await _without_autovacuum(connection)
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
                return await work(connection)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if monotonic() > until:
                writers = [str(_writer(row)) for row in await connection.fetch(_WRITERS)]
                said = "; ".join(writers) or "somebody holds a table"
                raise DatabaseError(f"after {patience:.0f} s there still is at work: {said}") from error
            await asyncio.sleep(_PAUSE_SECONDS)


async def _without_autovacuum(connection: Connection) -> None:
    if tables := await tables_of(connection):
        await connection.execute(_WAIT_LONGER)
        await connection.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE UPDATE EXCLUSIVE MODE")


async def _build(connection: Connection) -> None:
    tables = await tables_of(connection)
    await connection.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
    await connection.execute(_FUNCTION)
    for table in tables:
        await connection.execute(
            f"CREATE OR REPLACE TRIGGER {NAME} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {NAME}()"
        )
        # Also where a session pretends to be a replica, which skips ordinary triggers.
        await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {NAME}")


async def _remove(connection: Connection) -> None:
    await connection.execute(f"DROP FUNCTION IF EXISTS {NAME}() CASCADE")


async def tables_of(connection: Connection) -> Sequence[str]:
    """Name every table of ours as SQL wants it: all but the switch's own, an extension's, and parts of tables."""
    return [row[0] for row in await connection.fetch(_TABLES)]


async def _has_switch(connection: Connection) -> bool:
    """Whether the schema has the switch; production's own has not, and is fenced all the same."""
    return await connection.fetchval("SELECT to_regclass('public.maintenance')") is not None


async def _state(connection: Connection) -> State:
    row = await connection.fetchrow(_STATE) if await _has_switch(connection) else None
    return State(
        mode=row["mode"] if row else "off",
        reason=row["reason"] if row else None,
        changed_by=row["changed_by"] if row else None,
        since=row["since"] if row else None,
        fenced=await connection.fetchval(_FENCED, NAME),
        tables=len(await tables_of(connection)),
        writers=[_writer(row) for row in await connection.fetch(_WRITERS)],
    )


def _writer(row: asyncpg.Record) -> Writer:
    return Writer(row["pid"], row["program"], row["seconds"] or 0.0)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    async with connected(url, settings={"application_name": "labeler maintenance"}) as connection:
        try:
            yield connection
        except FAILURES as error:
            raise DatabaseError(f"maintenance mode could not be switched: {error}") from error
