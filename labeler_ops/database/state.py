"""Which revision a database stands at, asked without loading Alembic."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from labeler_ops.connecting import Connection, connected


@asynccontextmanager
async def opened(dsn: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Connection]:
    """Lend a connection to a Labeler DB. Raises DatabaseRefused with what PostgreSQL says."""
    said = {"timezone": "UTC", **(settings or {})}  # no pooler takes these
    async with connected(dsn, "the Labeler DB cannot be reached", settings=said) as connection:
        yield connection


async def revision(dsn: str) -> str | None:
    """Read the revision; None for a database that has none."""
    async with opened(dsn) as connection:
        if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
            return None
        found = await connection.fetchval("SELECT string_agg(version_num, ', ') FROM public.alembic_version")
        return None if found is None else str(found)
