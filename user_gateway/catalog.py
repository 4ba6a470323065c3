"""Which columns the gateway reads: an allow-list, met with what the database has and the role may read."""

from collections.abc import Mapping
from typing import TypeAlias

import asyncpg
import msgspec

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

REQUIRED = ("id", "email", "is_active")
"""Columns of `users` without which there is nothing to serve."""

PROFILE = (
    "full_name",
    "company",
    "division",
    "department",
    "organization_id",
    "system_role",
    "avatar_name",
    "badge_color",
    "created_at",
    "updated_at",
)
"""Columns that may be absent, and that a `profiles` table may hold in the place of `users`."""

PASSWORD = "hashed_password"  # noqa: S105 - the name of a column
"""Column of `users` that VerifyCredentials reads and no answer holds."""

_ACCOUNT = ("system_role", "created_at", "updated_at")  # facts of the account: `users` wins where it has them
_NOT_TEXT = ("id", "is_active", "organization_id", "created_at", "updated_at")

_COLUMNS = """
SELECT c.relname, a.attname
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.oid IN (to_regclass('public.users'), to_regclass('public.profiles'))
  AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')
"""

_PROFILES_UNIQUE = """
SELECT EXISTS (
  SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = to_regclass('public.profiles') AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL
    AND a.attname = 'user_id')
"""

# The highest cost among the oldest accounts and the newest, where a cost that was raised or lowered shows: every check
# of a password takes as long as that. Not of all accounts: a million took 1.7 s, in the way of the proof. What the
# sample misses is learned when such a hash is first checked.
_HIGHEST_COST = r"""
SELECT max(substring(hashed_password FROM '^\$2[abxy]\$(\d\d)\$')::int) AS cost
FROM ((SELECT hashed_password::text FROM public.users ORDER BY id LIMIT 500)
      UNION ALL (SELECT hashed_password::text FROM public.users ORDER BY id DESC LIMIT 500)) AS sample
"""
_USUAL_COST = 12  # bcrypt's and passlib's default, for a database without accounts


class CatalogError(Exception):
    """The User DB has not what the gateway needs; the text says which columns or grants."""


class Catalog(msgspec.Struct, frozen=True):
    """Where each column is read: `sources` maps a column to its SQL expression over `users u` and `profiles p`."""

    sources: Mapping[str, str]
    joins: str
    columns: tuple[str, ...]
    readable_beyond: tuple[str, ...]
    password_cost: int

    @property
    def profile_source(self) -> str:
        """Which tables hold the profile columns."""
        return "users+profiles" if self.joins else "users"

    @property
    def verifies(self) -> bool:
        """Whether the role may read the password hashes."""
        return f"users.{PASSWORD}" in self.columns


async def read(connection: Connection) -> Catalog:
    """Read the catalog as the role sees it. Raises CatalogError when a required column cannot be read."""
    rows = await connection.fetch(_COLUMNS)
    users = {row["attname"] for row in rows if row["relname"] == "users"}
    profiles = {row["attname"] for row in rows if row["relname"] == "profiles"}
    if missing := [column for column in REQUIRED if column not in users]:
        raise CatalogError(
            f"the role of USER_DB_URL cannot read users.{', users.'.join(missing)}: "
            "grant SELECT on them (`labeler db roles users` prints the grants)"
        )
    joined = _joined_columns(profiles, users)
    read_columns = {f"users.{column}" for column in (*REQUIRED, PASSWORD, *PROFILE) if column in users}
    read_columns |= {f"profiles.{column}" for column in joined}
    every = {f"users.{column}" for column in users} | {f"profiles.{column}" for column in profiles}
    return Catalog(
        sources={column: _source(column, users, joined) for column in (*REQUIRED, *PROFILE)},
        joins=await _join(connection, joined) if joined else "",
        columns=tuple(sorted(read_columns)),
        readable_beyond=tuple(sorted(every - read_columns - {"profiles.user_id"})),
        password_cost=await _password_cost(connection) if PASSWORD in users else _USUAL_COST,
    )


def _joined_columns(profiles: set[str], users: set[str]) -> list[str]:
    if "user_id" not in profiles:
        return []
    return [column for column in PROFILE if column in profiles and not (column in _ACCOUNT and column in users)]


def _source(column: str, users: set[str], joined: list[str]) -> str:
    cast = "" if column in _NOT_TEXT else "::text"  # system_role may be an enum, an address citext
    own = f"u.{column}{cast}" if column in users else "NULL"
    if column not in joined:
        return own
    if own == "NULL":
        return f"p.{column}{cast}"
    # A profile that is there wins with its NULLs too: a cleared field must not show its old value again.
    return f"CASE WHEN p.user_id IS NULL THEN {own} ELSE p.{column}{cast} END"


async def _join(connection: Connection, joined: list[str]) -> str:
    if await connection.fetchval(_PROFILES_UNIQUE):
        return " LEFT JOIN public.profiles AS p ON p.user_id = u.id"
    # Nothing forbids two profiles of one user: take one, always the same, so that no user appears twice.
    columns = ", ".join(["user_id", *joined])
    return (
        f" LEFT JOIN LATERAL (SELECT {columns} FROM public.profiles WHERE user_id = u.id"  # noqa: S608 - allow-listed names
        f" ORDER BY {columns} LIMIT 1) AS p ON true"
    )


async def _password_cost(connection: Connection) -> int:
    cost = await connection.fetchval(_HIGHEST_COST)
    return cost if isinstance(cost, int) else _USUAL_COST
