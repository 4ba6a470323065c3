"""Who owns the moved Labeler DB: the role that serves, and not the superuser who moved it."""

import os
import secrets
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.roles import ROLES, apply_roles

PRIVATE = "TARGET_PRIVATE_ADDRESS"
"""The variable with the address, `host:port`, that the services reach the target by."""

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NOT_EXTENSION_S = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {}.oid AND e.deptype = 'e')"
# A sequence of a column and the type of a table go with the table; what was handed over before is left alone.
_HAND_OVER = f"""
    SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, $1::text)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_NOT_EXTENSION_S.format("c")}
      AND pg_get_userbyid(c.relowner) <> $1
      AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1::text)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OURS} AND p.prokind IN ('f', 'p', 'w') AND p.proname <> 'maintenance_fence'
      AND {_NOT_EXTENSION_S.format("p")} AND pg_get_userbyid(p.proowner) <> $1
    UNION ALL
    SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, $1::text)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE {_OURS} AND t.typtype IN ('e', 'd') AND {_NOT_EXTENSION_S.format("t")}
    UNION ALL
    SELECT format('ALTER SCHEMA %I OWNER TO %I', n.nspname, $1::text) FROM pg_namespace n
    WHERE {_OURS} AND n.nspname <> 'public' AND {_NOT_EXTENSION_S.format("n")}
"""  # noqa: S608 - constants of ours

_OWNERS = """
    SELECT string_agg(DISTINCT tableowner, ', ') FROM pg_tables
    WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'
"""


async def served(target: str) -> str:
    """Give everything to the role that serves, and return its URL as the services reach the target.

    A target that is moved to by a plain role belongs to that role already. The serving role's password is the
    environment's LABELER_ROLE_PASSWORD, else a new one each time. Raises DatabaseRefused.
    """
    try:
        connection = await asyncpg.connect(target, timeout=20)
        try:
            superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            encrypted = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        finally:
            await connection.close(timeout=5)
        url = await _handed_over(target) if superuser else target
    except FAILURES as error:
        raise DatabaseRefused(f"the target cannot be given to the role {ROLES['labeler']}: {error}") from error
    return _as_reached(url, encrypted=encrypted)


async def owner(target: str) -> str | None:
    """Who owns the tables now; several are named one after the other."""
    connection = await asyncpg.connect(target, timeout=20)
    try:
        found: str | None = await connection.fetchval(_OWNERS)
        return found
    finally:
        await connection.close(timeout=5)


async def _handed_over(target: str) -> str:
    role = ROLES["labeler"]
    password = os.environ.get("LABELER_ROLE_PASSWORD") or secrets.token_urlsafe(24)
    await apply_roles(target, "labeler", password=password)
    connection = await asyncpg.connect(target, timeout=20)
    try:
        async with connection.transaction():
            for (statement,) in await connection.fetch(_HAND_OVER, role):
                await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
    parts = urlsplit(target)
    return parts._replace(netloc=f"{role}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}").geturl()


def _as_reached(url: str, *, encrypted: bool) -> str:
    """The private address where one is named; else the one of the move, where TLS that was there has to stay."""
    parts = urlsplit(url)
    if private := os.environ.get(PRIVATE):
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{private}", query="").geturl()
    if encrypted and "sslmode" not in parse_qs(parts.query):
        return parts._replace(query="&".join(filter(None, (parts.query, "sslmode=require")))).geturl()
    return url
