"""One operator at a time: a run, and the database that is moved to, belong to one process until it ends.

A lock on the run's directory keeps a second process of this machine away, an advisory lock of PostgreSQL on the target
one of any machine. Both are the operating system's and the server's to release: a process that is killed leaves none.
"""

import asyncio
import fcntl
import getpass
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from labeler_api.db.failures import FAILURES
from labeler_ops.connecting import Connection, connect_directly
from labeler_ops.errors import DatabaseError
from labeler_ops.runs import endpoint_name
from labeler_ops.storage import store_variables
from labeler_ops.storage.access import StorageAccess, StorageError

# Any number that no other program uses. It is the same for every move, so two moves of one database exclude each other.
_KEY = 0x1AB_E1E2_0E0E
# The server notices a killed process within milliseconds, the kernel at once; a person who resumes waits no longer.
_PATIENCE_SECONDS = 3.0
_LOOK_EVERY = 0.05
_CALL_EVERY = 15.0  # seconds; also keeps proxies from taking the line for dead
_ANSWER_SECONDS = 15.0  # a server that is busy restoring answers later than usual
# An operator whose machine went away without a word is noticed within two minutes and a half.
_KEEPALIVE = {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "15", "tcp_keepalives_count": "6"}
_TAKE = "SELECT pg_try_advisory_lock($1)"
_HOLDER = """
    SELECT a.application_name, a.pid, coalesce(host(a.client_addr), 'the server itself') AS host,
           to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = $1
"""


@asynccontextmanager
async def exclusive(directory: Path, *urls: str, if_there: Sequence[str] = ()) -> AsyncIterator[None]:
    """Keep others away from a run and from these databases; from those of `if_there` where they can be reached.

    Raises DatabaseError with who is at work already; also in the middle, when a lock was lost and taken by another.
    """
    with _run(directory):
        connections = {url: await _taken(url) for url in urls}
        for url in if_there:
            with suppress(_Away):
                connections[url] = await _taken(url)
        work = asyncio.current_task()
        watch = asyncio.create_task(_watch(connections, work))
        try:
            yield
        except asyncio.CancelledError:
            if watch.done() and not watch.cancelled() and (lost := watch.exception()) and work is not None:
                work.uncancel()
                raise lost from None
            raise
        finally:
            watch.cancel()
            await asyncio.wait({watch})
            for connection in connections.values():
                connection.terminate()  # the end of the session is the end of the lock


@contextmanager
def exclusive_copy(root: Path, store: StorageAccess) -> Iterator[None]:
    """Be the only one on this machine who copies to a store: two writers of a key would undo each other's work."""
    name = hashlib.sha256(store_variables.store_name(store).encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".storage-{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a killed process lets go of it
        except OSError:
            raise StorageError(
                f"another copy to {store_variables.store_name(store)} is at work: wait for it, or end it"
            ) from None
        yield


class _Away(DatabaseError):
    """A database cannot be reached."""


@contextmanager
def _run(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("a+") as file:
        until = monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if monotonic() > until:
                    file.seek(0)
                    raise DatabaseError(
                        f"somebody is at work on run {directory.name} already: {file.read().strip() or 'unknown'}. "
                        "Wait until it has ended"
                    ) from error
        file.truncate(0)
        file.write(_who())
        file.flush()
        yield  # the kernel takes the lock back with the file


async def _taken(url: str) -> Connection:
    """Take a database's lock. Raises DatabaseError with who has it."""
    connection = await _connected(url)
    try:
        until = monotonic() + _PATIENCE_SECONDS
        while not await connection.fetchval(_TAKE, _KEY):
            if monotonic() > until:
                raise DatabaseError(await _said(connection, url))
            await asyncio.sleep(_LOOK_EVERY)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _watch(connections: dict[str, Connection], work: "asyncio.Task[Any] | None") -> None:
    """Keep the locks over a restart of a server; stop the work when one is another's by then."""
    try:
        while True:
            await asyncio.sleep(_CALL_EVERY)
            for url, connection in connections.items():
                if not await _answers(connection):
                    connection.terminate()
                    with suppress(_Away):  # it is tried again in the next round
                        connections[url] = await _taken(url)
    except DatabaseError:
        if work is not None:
            work.cancel()
        raise


async def _answers(connection: Connection) -> bool:
    """Whether the session that holds a lock is there; not asked of one that was given up in a round before."""
    if connection.is_closed():
        return False
    try:
        await connection.fetchval("SELECT 1", timeout=_ANSWER_SECONDS)
    except FAILURES:
        return False
    return True


async def _connected(url: str) -> Connection:
    try:
        connection = await connect_directly("database", url)
    except DatabaseError as error:
        raise _Away(str(error)) from error
    for name, value in {"application_name": f"labeler move by {_who()}"[:63], **_KEEPALIVE}.items():
        await connection.execute("SELECT set_config($1, $2, false)", name, value)  # PostgreSQL keeps 63 bytes of a name
    return connection


async def _said(connection: Connection, url: str) -> str:
    holder = await connection.fetchrow(_HOLDER, _KEY)
    if holder is None:  # it ended this moment
        return f"somebody was at work on {endpoint_name(url)}: try again"
    return (
        f"somebody is at work on {endpoint_name(url)} already: {holder['application_name'] or 'unnamed'}, "
        f"from {holder['host']}, process {holder['pid']} of the server, since {holder['since']} UTC. "
        "Wait until it has ended"
    )


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
