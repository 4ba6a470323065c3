"""The database that a backup is restored into: made where it is missing, and never written over by accident."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import unquote, urlsplit

import asyncpg

from labeler_ops.backup.record import BackupRecord
from labeler_ops.backup.transport import require_encrypted
from labeler_ops.connecting import Connection, connected
from labeler_ops.database.own_objects import OWN_RELATIONS, USER_SCHEMA, not_of_an_extension
from labeler_ops.errors import DatabaseError

_ENTRANCE = "postgres"  # the database that is there on every server

_THINGS = f"""
    SELECT (SELECT count(*) {OWN_RELATIONS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
         + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE {USER_SCHEMA} AND {not_of_an_extension("p", "pg_proc")})
         + (SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE {USER_SCHEMA} AND t.typtype IN ('d', 'e') AND {not_of_an_extension("t", "pg_type")})
         + (SELECT count(*) FROM pg_namespace n
            WHERE {USER_SCHEMA} AND n.nspname <> 'public' AND {not_of_an_extension("n", "pg_namespace")})
         + (SELECT count(*) FROM pg_largeobject_metadata)
"""  # noqa: S608 - constants of ours
# A new schema belongs to the role that made it. So the former owner gets it back, and others may use it as before.
_PUBLIC = """
    WITH public AS (SELECT nspowner, nspacl FROM pg_namespace WHERE nspname = 'public')
    SELECT format('GRANT %s ON SCHEMA public TO %s', x.privilege_type,
                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END)
    FROM public CROSS JOIN aclexplode(nspacl) x WHERE x.grantee <> nspowner
    UNION ALL SELECT format('ALTER SCHEMA public OWNER TO %I', pg_get_userbyid(nspowner)) FROM public
"""
_SCHEMAS = f"""
    SELECT quote_ident(n.nspname) FROM pg_namespace n WHERE {USER_SCHEMA} AND {not_of_an_extension("n", "pg_namespace")}
"""  # noqa: S608 - constants of ours
_OTHERS = """
    SELECT string_agg(DISTINCT coalesce(nullif(application_name, ''), usename), ', ') FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_CREATE = """
    SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',
                  $1::text, $2::text, $3::text, $4::text)
"""


def database_name(url: str) -> str:
    """Give the name of a URL's database."""
    return unquote(urlsplit(url).path.removeprefix("/"))


async def server_major(url: str, environ: Mapping[str, str] = os.environ) -> int:
    """Give the major version of a URL's server, whether its database is there or not. Raises DatabaseError."""
    async with _connected(url, environ) as connection:
        if connection is not None:
            return connection.get_server_version().major
    async with _connected(_entrance(url), environ) as connection:
        if connection is None:
            raise DatabaseError(f"the server has neither {database_name(url)!r} nor {_ENTRANCE!r}")
        return connection.get_server_version().major


async def prepare_target(
    url: str, record: BackupRecord, *, replace: str | None, environ: Mapping[str, str] = os.environ
) -> bool:
    """Make the database or see that it is empty; True when it was made. Raises DatabaseError, and changed nothing.

    `replace` is the name of a database that may be emptied: nobody types it by mistake.
    """
    async with _connected(url, environ) as connection:
        if connection is not None:
            await _emptied(connection, database_name(url), replace, record)
            return False
    async with _connected(_entrance(url), environ) as connection:
        if connection is None:
            raise DatabaseError(f"the server has neither {database_name(url)!r} nor {_ENTRANCE!r}")
        try:
            await connection.execute(
                await connection.fetchval(_CREATE, database_name(url), record.encoding, record.collate, record.ctype)
            )
        except asyncpg.PostgresError as error:
            raise DatabaseError(
                f"the database {database_name(url)!r} is not there and cannot be made: {error}"
            ) from error
    return True


async def drop_target(url: str) -> None:
    """Take a database away that we made ourselves."""
    async with connected(_entrance(url)) as connection:
        name = await connection.fetchval("SELECT quote_ident($1)", database_name(url))
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _emptied(connection: Connection, name: str, replace: str | None, record: BackupRecord) -> None:
    encoding = await connection.fetchval(
        "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
    )
    if encoding != record.encoding:
        raise DatabaseError(f"the database {name!r} is in {encoding}, the backup in {record.encoding}")
    if not await connection.fetchval(_THINGS):
        return
    if replace != name:
        raise DatabaseError(
            f"the database {name!r} is not empty, and nothing was changed. Give a new name in --into, or, to lose what "
            f"it holds, --replace {name}"
        )
    if others := await connection.fetchval(_OTHERS):
        raise DatabaseError(f"the database {name!r} is in use by {others}: stop that first; nothing was changed")
    await empty(connection)


async def empty(connection: Connection) -> None:
    """Remove every schema that is no extension's, and the large objects, at once; `public` is made again as it was."""
    async with connection.transaction():
        public = [row[0] for row in await connection.fetch(_PUBLIC)]
        for (schema,) in await connection.fetch(_SCHEMAS):
            await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        for statement in ("CREATE SCHEMA public", *public):
            await connection.execute(statement)
        await connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")


def _entrance(url: str) -> str:
    return urlsplit(url)._replace(path=f"/{_ENTRANCE}").geturl()


@asynccontextmanager
async def _connected(url: str, environ: Mapping[str, str]) -> "AsyncIterator[Connection | None]":
    """Connect; None where the server has no such database."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connected(url, "the target cannot be reached"))
        except DatabaseError as error:
            if not isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):
                raise
            yield None
            return
        await require_encrypted(url, connection, environ)
        yield connection
