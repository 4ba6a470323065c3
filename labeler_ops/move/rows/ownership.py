"""The roles that services come to a moved database by, and their URLs for the new environment.

The Labeler DB belongs to the role that serves, and not to the superuser who moved it. The User DB and the Platform DB
belong to the platform: our services read them by a role of their own, which no dump brings along.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from labeler_api.db.failures import FAILURES
from labeler_ops.connecting import Connection, PoolerAnswers, connected, connected_directly
from labeler_ops.database.roles import ROLES, Database, apply_roles
from labeler_ops.errors import DatabaseError
from labeler_ops.move.rows.grants import THINGS

VARIABLES: Mapping[Database, str] = {
    "labeler": "LABELER_DB_URL",
    "users": "USER_DB_URL",
    "platform": "PLATFORM_DB_URL",
}
"""What the services call the URL of each."""

PRIVATE = "TARGET_PRIVATE_ADDRESS"
"""The variable with the address, `host:port`, that the services reach the target by."""

_LOOK_SECONDS = 3.0  # nobody writes meanwhile, and a private network does not answer from outside
# What was handed over before is left alone.
_HAND_OVER = f"""
    WITH {THINGS} SELECT format('ALTER %s %s OWNER TO %I', kind, name, $1::text) FROM things
    WHERE NOT goes_along AND pg_get_userbyid(owner) <> $1
"""  # noqa: S608 - constants of ours

_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_OWNERS = """
    SELECT string_agg(DISTINCT tableowner, ', ') FROM pg_tables
    WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'
"""


async def served(target: str, private: str | None = None) -> dict[str, str]:
    """Give everything to the role that serves, and return the services' variables, at their `private` address if any.

    A target that is moved to by a plain role belongs to that role already. Raises DatabaseError.
    """
    try:
        url = await _handed_over(target) if await _is_superuser(target) else target
        reached = await _as_reached(url, target, private)
        if not (private and await _is_pooler(reached)):
            return direct(reached)
        unpooled = await _as_reached(url, target, None)
        return {VARIABLES["labeler"]: reached, "DB_STATEMENT_CACHE": "false", "LABELER_DB_UNPOOLED_URL": unpooled}
    except FAILURES as error:
        raise DatabaseError(f"the target cannot be given to the role {ROLES['labeler']}: {error}") from error


def direct(url: str) -> dict[str, str]:
    """The services' variables for a Labeler DB that is reached without a pooler; a former one is forgotten."""
    return {VARIABLES["labeler"]: url, "DB_STATEMENT_CACHE": "true", "LABELER_DB_UNPOOLED_URL": ""}


async def of_the_source(source: str, report_line: Callable[[str], None]) -> dict[str, str]:
    """The services' variables for the source, as the move reaches it; says so where that is as a superuser."""
    with suppress(DatabaseError):  # it may be away by now
        if await _is_superuser(source):
            report_line(
                f"{VARIABLES['labeler']} of the way back is the move's own, a superuser's: give the services the URL "
                "that they had before"
            )
    return direct(source)


async def reader(database: Database, target: str, private: str | None = None) -> dict[str, str]:
    """Make the role that our services read a copy by, and return their variable.

    Raises DatabaseError when our role may not, or when a pooler answers where the services would connect.
    """
    try:
        reached = await _as_reached(await _role(target, database), target, private)
        if private and await _is_pooler(reached):
            raise DatabaseError(f"{PRIVATE} leads to a pooler: {VARIABLES[database]} has to be the unpooled address")
        return {VARIABLES[database]: reached}
    except FAILURES as error:
        raise DatabaseError(
            f"the services' role {ROLES[database]} cannot be made on the target: {error}. Give the URL of a superuser "
            "(Railway's postgres is one)"
        ) from error


async def may_make_roles(target: Connection) -> bool:
    """Say whether our role may make the reader's."""
    return bool(await target.fetchval(_SUPERUSER))


async def owner(target: str) -> str | None:
    """Who owns the tables now; several are named one after the other."""
    found: str | None = await _value(target, _OWNERS)
    return found


async def _is_superuser(target: str) -> bool:
    return bool(await _value(target, _SUPERUSER))


async def _value(url: str, query: str) -> Any:
    async with connected(url) as connection:
        return await connection.fetchval(query)


async def _role(target: str, database: Database) -> str:
    """Make a role with its grants; the target's URL for it.

    Its password is the environment's LABELER_ROLE_PASSWORD, else a new one each time: a role belongs to its whole
    server, so where it serves from another database there, too, the password has to stay.
    """
    password = os.environ.get("LABELER_ROLE_PASSWORD") or secrets.token_urlsafe(24)
    await apply_roles(target, database, password=password)
    parts = urlsplit(target)
    login = f"{ROLES[database]}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


async def _handed_over(target: str) -> str:
    url = await _role(target, "labeler")
    async with connected(target) as connection, connection.transaction():
        for (statement,) in await connection.fetch(_HAND_OVER, ROLES["labeler"]):
            await connection.execute(statement)
    return url


async def _is_pooler(url: str) -> bool:
    """Whether a pooler answers there. An address that cannot be reached from here is taken for a server's."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS), connected_directly("target", url):
            return False
    except PoolerAnswers:
        return True
    except (DatabaseError, TimeoutError):
        return False


async def _as_reached(url: str, target: str, private: str | None) -> str:
    """The private address where one is named; else the one of the move, where TLS that was there has to stay."""
    parts = urlsplit(url)
    if private:
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{private}", query="").geturl()
    if "sslmode" not in parse_qs(parts.query) and await _value(target, _ENCRYPTED):
        return parts._replace(query="&".join(filter(None, (parts.query, "sslmode=require")))).geturl()
    return url
