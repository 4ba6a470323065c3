"""What is copied: before the stop the tables and their rows, while everybody works; in it where sequences stand."""

import asyncio
import getpass
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from labeler_ops.backup import clients, db_settings
from labeler_ops.backup.clients import Clients
from labeler_ops.connecting import Connection
from labeler_ops.database.own_objects import OWN_RELATIONS
from labeler_ops.database.verify import sequences, structure
from labeler_ops.database.verify.session import opened
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move.replication.channel import Channel, Flow
from labeler_ops.move.replication.database_pair import DatabasePair
from labeler_ops.reporter import Reporter

_POLL_SECONDS = 0.2
_FAILURES = 5
_STUCK_SECONDS = 120.0  # the servers try again every five seconds
# A table that is copied is without its slot for milliseconds, when all is well.
_IN_VAIN_SECONDS = 15.0
# A backlog that is applied in about a second: what is left is waited for at the switch.
_NEAR_BYTES = 16 * 2**20
_OURS_AT_WORK = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'labeler move' AND datname = current_database()
"""
_BYTES = f"SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint {OWN_RELATIONS} AND c.relkind = 'r'"

_DUMP = (
    "--format=custom",
    "--schema-only",
    "--no-owner",
    "--no-acl",
    "--no-publications",
    "--no-subscriptions",
    "--encoding=UTF8",
)
_RESTORE = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-acl")
_SEQUENCES = f"SELECT format('%I.%I', n.nspname, c.relname) {OWN_RELATIONS} AND c.relkind = 'S'"
_SHOWN = 3


async def make_tables(sides: DatabasePair, file: Path) -> None:
    """Make the source's tables on the target, and keep an API that is deployed too early from writing there."""
    # A restore outlives its killed caller. It is one transaction: its tables are all there, or none.
    await sides.target.fetch(_OURS_AT_WORK)
    if not await fence.tables_of(sides.target):
        tools = clients.find(sides.target.get_server_version().major)
        await _copy_definitions(tools, sides.urls.source, sides.urls.target, file)
    await require_same(sides.urls.source, sides.urls.target, with_sequences=False)
    # The fence is the source's: replication has to fill the target.
    if await sides.target.fetchval("SELECT to_regclass('public.maintenance')") is not None:
        await sides.target.execute(fence.SWITCH, "on", fence.MOVED, getpass.getuser())


async def copied(sides: DatabasePair, reporter: Reporter) -> int:
    """Wait until every table is copied and the target is near; how many tables. Raises DatabaseError if it stops."""
    tables = await _tables_copied(sides, reporter)
    await sides.target.execute("ANALYZE")
    await _near(sides.forward, reporter)
    return tables


async def _tables_copied(sides: DatabasePair, reporter: Reporter) -> int:
    channel, whole = sides.forward, await _bytes(sides.source)
    flow = best = await channel.flow()
    since = well = monotonic()
    while not flow.ready:
        reporter.progress(await _bytes(sides.target), whole)
        lost = await channel.failed_copies()
        well = well if lost else monotonic()
        _require_slots(lost if monotonic() - well > _IN_VAIN_SECONDS else [])
        if flow.copied > best.copied:
            best, since = flow, monotonic()
        # Servers try again by themselves, and on a busy source they have to: only what stays is a reason to stop.
        stuck = flow.errors - best.errors >= _FAILURES and monotonic() - since > _STUCK_SECONDS
        _require_flow(channel, flow, stuck=stuck)
        await asyncio.sleep(_POLL_SECONDS)
        flow = await channel.flow()
    return flow.tables


async def _near(channel: Channel, reporter: Reporter) -> None:
    flow = best = await channel.flow()
    first, since = flow.lag or 0, monotonic()
    while flow.lag is None or flow.lag > _NEAR_BYTES:
        reporter.progress(first - (flow.lag or 0), first)
        if (flow.lag or 0) < (best.lag or 0):
            best, since = flow, monotonic()
        _require_flow(channel, flow, stuck=monotonic() - since > _STUCK_SECONDS)
        await asyncio.sleep(_POLL_SECONDS)
        flow = await channel.flow()
    reporter.line(channel.describe(flow))


def _require_slots(lost: list[str]) -> None:
    if lost:
        raise DatabaseError(
            f"the target crashed at the end of the copy of {', '.join(lost)}, and its server waits in vain for a slot "
            "that is gone: `labeler move rollback` gives the move up, and the source serves on; then an empty target, "
            "a new run"
        )


def _require_flow(channel: Channel, flow: Flow, *, stuck: bool) -> None:
    if stuck or not flow.subscribed or flow.slot in {None, "lost"}:
        raise DatabaseError(channel.describe(flow))


async def _bytes(connection: Connection) -> int:
    size: int = await connection.fetchval(_BYTES)
    return size


async def _copy_definitions(clients: Clients, source: str, target: str, file: Path) -> None:
    """Make the source's tables on the empty target, all or none. Raises DatabaseError."""
    await clients.run("pg_dump", *_DUMP, f"--file={file}", url=source)
    name = urlsplit(target).path.removeprefix("/")
    await clients.run("pg_restore", *_RESTORE, f"--dbname={name}", str(file), url=target)
    await db_settings.carry(source, target)


async def copy_sequences(ours: Connection, theirs: Connection) -> int:
    """Set every sequence to where it stands on a side that nobody writes to; how many."""
    names = [row[0] for row in await ours.fetch(_SEQUENCES)]
    for name in names:
        at = await ours.fetchrow(f"SELECT last_value, is_called FROM {name}")  # noqa: S608 - a sequence's quoted name
        assert at is not None  # noqa: S101 - a sequence is a relation of one row
        await theirs.execute("SELECT setval($1::text::regclass, $2, $3)", name, at["last_value"], at["is_called"])
    return len(names)


async def require_same(ours: str, theirs: str, *, with_sequences: bool) -> None:
    """Compare definitions, which takes no time; a table or column that was made meanwhile is not replicated.

    With sequences also that each gives the same number next on both sides, and a free one. Raises DatabaseError.
    """
    async with opened("source", ours, 1) as here, opened("target", theirs, 1) as there:
        found = [str(one) for one in await structure.compare(here, there)]
        if with_sequences:
            found += await sequences.compare(here, there)
    if found:
        first = "; ".join(found[:_SHOWN])
        raise DatabaseError(f"the two sides are not defined alike ({len(found)} differences): {first}")
