"""What replication does not carry: definitions, and where sequences stand."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from labeler_ops.backup import db_settings
from labeler_ops.backup.clients import Clients
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.verify import sequences, structure
from labeler_ops.database.verify.session import opened

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
_SEQUENCES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
"""
_SHOWN = 3


async def copy_definitions(clients: Clients, source: str, target: str, file: Path) -> None:
    """Make the source's tables on the empty target, all or none. Raises DatabaseRefused."""
    await clients.run("pg_dump", *_DUMP, f"--file={file}", url=source)
    name = urlsplit(target).path.removeprefix("/")
    await clients.run("pg_restore", *_RESTORE, f"--dbname={name}", str(file), url=target)
    await db_settings.carry(source, target)


async def copy_sequences(
    ours: "asyncpg.Connection[asyncpg.Record]", theirs: "asyncpg.Connection[asyncpg.Record]"
) -> int:
    """Set every sequence to where it stands on a side that nobody writes to; how many."""
    names = [row[0] for row in await ours.fetch(_SEQUENCES)]
    for name in names:
        at = await ours.fetchrow(f"SELECT last_value, is_called FROM {name}")  # noqa: S608 - a sequence's quoted name
        assert at is not None  # noqa: S101 - a sequence is a relation of one row
        await theirs.execute("SELECT setval($1::text::regclass, $2, $3)", name, at["last_value"], at["is_called"])
    return len(names)


async def require_same(ours: str, theirs: str, *, with_sequences: bool) -> None:
    """Compare definitions, which takes no time; a table or column that was made meanwhile is not replicated.

    With sequences also that each gives the same number next on both sides, and a free one. Raises DatabaseRefused.
    """
    async with opened("source", ours, 1) as here, opened("target", theirs, 1) as there:
        found = [str(one) for one in await structure.compare(here, there)]
        if with_sequences:
            found += await sequences.compare(here, there)
    if found:
        first = "; ".join(found[:_SHOWN])
        raise DatabaseRefused(f"the two sides are not defined alike ({len(found)} differences): {first}")
