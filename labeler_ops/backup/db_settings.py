"""Settings that a database has for everybody who connects (`ALTER DATABASE … SET`), which no dump of it holds."""

import re
from collections.abc import Mapping

import asyncpg

from labeler_ops.connecting import Connection, connected
from labeler_ops.errors import DatabaseError

_READ = """
    SELECT split_part(s, '=', 1) AS name, substr(s, strpos(s, '=') + 1) AS value
    FROM pg_db_role_setting r CROSS JOIN unnest(r.setconfig) s
    WHERE r.setrole = 0 AND r.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1
"""
_OF_ROLES = """
    SELECT string_agg(DISTINCT setrole::regrole::text, ', ') FROM pg_db_role_setting
    WHERE setrole <> 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_NAME = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)*", re.ASCII)
# PostgreSQL keeps the values of these as a list of quoted names, which a string would make one name of.
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_LIST = re.compile(r'(?:"(?:[^"]|"")*"|[\w$]+)(?:, (?:"(?:[^"]|"")*"|[\w$]+))*')


async def read(connection: Connection) -> Mapping[str, str]:
    """The settings of the database that we are connected to."""
    return {row["name"]: row["value"] for row in await connection.fetch(_READ)}


async def of_roles(connection: Connection) -> str | None:
    """The roles that have settings of their own in this database: they belong to the server, and are not moved."""
    found: str | None = await connection.fetchval(_OF_ROLES)
    return found


async def carry(source: str, target: str) -> None:
    """Give a database the settings of another. Raises DatabaseError when our role may not."""
    async with connected(source) as connection:
        settings = await read(connection)
    await give(target, settings)


async def give(url: str, settings: Mapping[str, str]) -> None:
    """Give a database settings. Raises DatabaseError when our role may not."""
    if not settings:
        return
    async with connected(url) as connection:
        try:
            await put(connection, settings)
        except asyncpg.PostgresError as error:
            raise DatabaseError(f"the settings of the source cannot be given to the copy: {error}") from error


async def put(connection: Connection, settings: Mapping[str, str], role: str | None = None) -> None:
    """Set them for everybody who connects from now on, or for one role (quoted). Raises what asyncpg raises."""
    name = await connection.fetchval("SELECT format('%I', current_database())")
    whose = f"ROLE {role} IN DATABASE {name}" if role else f"DATABASE {name}"
    for key, value in settings.items():
        await connection.execute(f"ALTER {whose} SET {_spelled(key)} = {await _value(connection, key, value)}")


def _spelled(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DatabaseError(f"the setting {name!r} of the source is not spelled as settings are")
    return name


async def _value(connection: Connection, name: str, value: str) -> str:
    if name.lower() in _LISTS and _LIST.fullmatch(value):
        return value
    return str(await connection.fetchval("SELECT quote_literal($1::text)", value))
