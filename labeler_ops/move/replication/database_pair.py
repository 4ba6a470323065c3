"""The two databases of a replication, connected, the channels between them in both directions, and how these stand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import msgspec

from labeler_ops.connecting import Connection, connect_directly
from labeler_ops.errors import DatabaseError
from labeler_ops.move.replication.channel import Channel, Flow, drop_publication, drop_subscription
from labeler_ops.reporter import Reporter
from labeler_ops.runs import endpoint_name

# What the publication, the subscription and, with the database's number, the slot are called.
FORTH = "labeler_move"
BACK = "labeler_back"

# Log that a slot keeps beyond this is worth a word: disks of small plans are 5 GB.
_KEPT_BYTES = 2**30

_SLOTS = """
    SELECT slot_name, active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS kept
    FROM pg_replication_slots WHERE database = current_database() ORDER BY 1
"""


class DatabaseUnreachable(DatabaseError):
    """One of the databases cannot be connected to."""


@dataclass(frozen=True)
class Urls:
    """Where the databases are, for this tool and, where that differs, for the other database's server."""

    source: str
    target: str
    source_seen: str | None = None
    target_seen: str | None = None

    @property
    def places(self) -> dict[str, str]:
        """Both by host, port and name: what a run is known by."""
        return {"source": endpoint_name(self.source), "target": endpoint_name(self.target)}

    @property
    def seen(self) -> list[str | None]:
        """Where each server finds the other, without passwords."""
        return [endpoint_name(url) if url else None for url in (self.source_seen, self.target_seen)]


@dataclass(frozen=True)
class DatabasePair:
    """Both, connected."""

    source: Connection
    target: Connection
    urls: Urls

    @property
    def forward(self) -> Channel:
        """From the source to the target."""
        return Channel(FORTH, self.source, self.target, self.urls.source_seen or self.urls.source, ("source", "target"))

    @property
    def backward(self) -> Channel:
        """From the target to the source, once the target is written to."""
        return Channel(BACK, self.target, self.source, self.urls.target_seen or self.urls.target, ("target", "source"))


@asynccontextmanager
async def opened(urls: Urls) -> AsyncIterator[DatabasePair]:
    """Connect to both. Raises DatabaseUnreachable."""
    async with AsyncExitStack() as stack:
        source = await side(stack, "source", urls.source)
        target = await side(stack, "target", urls.target)
        yield DatabasePair(source, target, urls)


async def side(stack: AsyncExitStack, called: str, url: str) -> Connection:
    """Connect to one. Raises DatabaseUnreachable."""
    try:
        connection = await connect_directly(called, url)
    except DatabaseError as error:
        raise DatabaseUnreachable(str(error)) from error
    stack.push_async_callback(connection.close, timeout=5)
    # Making a slot waits for transactions as for locks, and has a limit of its own.
    await connection.execute(
        "SET lock_timeout = 0; SET statement_timeout = 0; SET application_name = 'labeler replicate'"
    )
    return connection


class ReplicationStatus(msgspec.Struct, frozen=True):
    """Both directions, and what somebody should look at."""

    forth: Flow
    back: Flow
    lines: list[str]
    warnings: list[str]


async def replication_status(urls: Urls) -> ReplicationStatus:
    """Connect, and look at both servers. Raises DatabaseUnreachable."""
    async with opened(urls) as sides:
        forth, back = await sides.forward.flow(), await sides.backward.flow()
        warnings = [
            *(_warnings("source", await sides.source.fetch(_SLOTS))),
            *(_warnings("target", await sides.target.fetch(_SLOTS))),
        ]
        return ReplicationStatus(forth, back, [sides.forward.describe(forth), sides.backward.describe(back)], warnings)


def _warnings(called: str, slots: Sequence[asyncpg.Record]) -> list[str]:
    found = []
    for slot in slots:
        text = f"the slot {slot['slot_name']} on the {called}"
        if not slot["active"]:
            more = "and more with every write, until `labeler move finalize` or `rollback`"
            found.append(f"nobody reads {text}: it keeps {slot['kept']:,} bytes of log, {more}")
        elif slot["kept"] > _KEPT_BYTES:
            found.append(f"{text} keeps {slot['kept']:,} bytes of log")
    return found


async def drop_everything(urls: Urls, reporter: Reporter) -> list[str]:
    """Drop both channels, or what is on one side while the other is away; which are. Raises DatabaseError if both."""
    away = []
    async with AsyncExitStack() as stack:
        for called, url, subscription, publication in (
            ("target", urls.target, FORTH, BACK),
            ("source", urls.source, BACK, FORTH),
        ):
            try:
                connection = await side(stack, called, url)
            except DatabaseUnreachable as error:
                away.append(called)
                text = "`labeler move rollback --leftovers` when it is back: a slot that is left there fills its disk"
                reporter.line(f"{error}. {text}")
                continue
            await drop_subscription(connection, subscription)
            await drop_publication(connection, publication)
    if len(away) == 2:  # noqa: PLR2004 - both
        raise DatabaseError("neither database can be reached: nothing was dropped")
    return away
