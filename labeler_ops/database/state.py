"""Which revision a database stands at, asked without loading Alembic."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from labeler_ops.connecting import Connection, connected
from labeler_ops.database.roles import DATABASES, Database
from labeler_ops.errors import DatabaseError

# A table that each of the three has had from its beginning.
_MARKS: Mapping[Database, str] = {"labeler": "annotation_projects", "users": "users", "platform": "organizations"}


@asynccontextmanager
async def opened(dsn: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Connection]:
    """Lend a connection to a Labeler DB. Raises DatabaseError with what PostgreSQL says."""
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


async def require_kind(connection: Connection, database: Database, name: str) -> None:
    """Raise DatabaseError where it is surely another of the three databases: its URL stood in the environment."""
    found = [one for one in DATABASES if await connection.fetchval("SELECT to_regclass($1)", f"public.{_MARKS[one]}")]
    if found and database not in found:
        raise DatabaseError(
            f"{name} has the tables of the database {found[0]!r}, and {database!r} was asked for: give its own URL"
        )
