"""Which revision a database stands at, asked without loading Alembic."""

from collections.abc import Mapping

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused

_CONNECT_SECONDS = 30.0  # a managed database that sleeps takes up to ten seconds to wake


async def connect(dsn: str, settings: Mapping[str, str] | None = None) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection, with settings that no pooler takes. Raises DatabaseRefused with what PostgreSQL says."""
    try:
        said = {"timezone": "UTC", **(settings or {})}
        return await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, server_settings=said)
    except (*FAILURES, ValueError) as error:
        raise DatabaseRefused(f"the Labeler DB cannot be reached: {error or type(error).__name__}") from error


async def revision(dsn: str) -> str | None:
    """Read the revision; None for a database that has none."""
    connection = await connect(dsn)
    try:
        if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
            return None
        found = await connection.fetchval("SELECT string_agg(version_num, ', ') FROM public.alembic_version")
        return None if found is None else str(found)
    finally:
        await connection.close()
