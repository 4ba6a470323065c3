"""Which columns the gateway reads: an allow-list, met with what the database has and the role may read."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import asyncpg
import msgspec

from user_gateway.columns import WHOLE_NUMBERS, Column, expected, expression

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

# One statement, which is one round trip. Nothing in it waits for a lock on the tables. A row of the kind "unique" names
# a column that an index keeps unique by itself.
_EVERYTHING = """
SELECT 'column' AS kind, c.relname::text AS relation, a.attname::text AS name,
       format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL) AS type,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable, a.attnotnull AS required
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.oid IN (to_regclass('public.users'), to_regclass('public.profiles')) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'unique', 'profiles', a.attname::text, '', true, true
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass('public.profiles') AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL
"""

# The highest cost among the oldest accounts and the newest, where a cost that was raised or lowered shows: every check
# of a password takes as long as that. Not of all accounts: a million took 1.7 s, in the way of the proof. What the
# sample misses is learned when such a hash is first checked.
_HIGHEST_COST = r"""
SELECT max(substring(hashed_password FROM '^\$2[abxy]\$(\d\d)\$')::int) AS cost
FROM ((SELECT hashed_password::text FROM public.users ORDER BY id LIMIT 500)
      UNION ALL (SELECT hashed_password::text FROM public.users ORDER BY id DESC LIMIT 500)) AS sample
"""

USUAL_COST = 12
"""bcrypt's and passlib's default, for a database without accounts, and until the sample was read."""


class CatalogError(Exception):
    """The User DB has not what the gateway needs; the text says which columns or grants."""


class Catalog(msgspec.Struct, frozen=True):
    """Where each column is read: `sources` maps a column to its SQL expression over `users u` and `profiles p`."""

    sources: Mapping[str, str]
    joins: str
    columns: tuple[str, ...]
    readable_beyond: tuple[str, ...]
    withheld: tuple[str, ...]
    """Columns of the allow-list that are there and that the role may not read."""
    unfit: tuple[str, ...]
    """Columns whose type does not fit, each with its type and the ones that would; answered as not set."""
    email_may_be_null: bool

    @property
    def profile_source(self) -> str:
        """Which tables hold the profile columns."""
        return "users+profiles" if self.joins else "users"

    @property
    def verifies(self) -> bool:
        """Whether the role may read the password hashes."""
        return f"users.{PASSWORD}" in self.columns


class _Table(msgspec.Struct):
    """What is known of one table: the columns that may be read, those that may not, and those that cannot be."""

    alias: str
    readable: dict[str, Column] = {}
    withheld: list[str] = []
    unfit: list[str] = []

    def source(self, name: str) -> str | None:
        """Give the SQL of a column that can be read and fits."""
        column = self.readable.get(name)
        return expression(self.alias, column) if column is not None else None


async def read(connection: Connection) -> Catalog:
    """Read the catalog as the role sees it.

    Raises CatalogError when a required column cannot be read, or has a type of which no answer can be made.
    """
    rows = await connection.fetch(_EVERYTHING)
    users, profiles = _table(rows, "users", "u"), _table(rows, "profiles", "p")
    _require(users)
    unique = any(row["kind"] == "unique" and row["name"] == "user_id" for row in rows)
    joined = _joined_columns(profiles, users)
    read_columns = {f"users.{column}" for column in (*REQUIRED, PASSWORD, *PROFILE) if users.source(column)}
    read_columns |= {f"profiles.{column}" for column in joined}
    every = {f"users.{column}" for column in users.readable} | {f"profiles.{column}" for column in profiles.readable}
    wanted = {*read_columns, "profiles.user_id", *_named(users, PROFILE), *_named(profiles, PROFILE)}
    return Catalog(
        sources={column: _source(column, users, profiles, joined) for column in (*REQUIRED, *PROFILE)},
        joins=_join(joined, unique=unique) if joined else "",
        columns=tuple(sorted(read_columns)),
        readable_beyond=tuple(sorted(every - wanted)),
        withheld=tuple(users.withheld + (profiles.withheld if profiles.readable else [])),
        unfit=tuple(users.unfit + profiles.unfit),
        email_may_be_null=not users.readable["email"].required,
    )


async def password_cost(connection: Connection, seconds: float) -> int:
    """Read the highest cost of a sample of hashes, within `seconds`. Raises what asyncpg raises."""
    cost = await connection.fetchval(_HIGHEST_COST, timeout=seconds)
    return cost if isinstance(cost, int) else USUAL_COST


def _table(rows: Sequence[asyncpg.Record], name: str, alias: str) -> _Table:
    table = _Table(alias)
    allowed = (*REQUIRED, PASSWORD, *PROFILE) if name == "users" else ("user_id", *PROFILE)
    for row in rows:
        if row["kind"] != "column" or row["relation"] != name:
            continue
        column = Column(row["name"], row["type"], row["readable"], row["required"])
        if not column.readable:
            table.withheld += [f"{name}.{column.name}"] if column.name in allowed else []
            continue
        table.readable[column.name] = column
        fits = column.type in WHOLE_NUMBERS if column.name == "user_id" else expression(alias, column) is not None
        if column.name in allowed and not fits:
            table.unfit.append(f"{name}.{column.name} is {column.type}, expected {expected(column.name)}")
    return table


def _require(users: _Table) -> None:
    if missing := [column for column in REQUIRED if column not in users.readable]:
        raise CatalogError(
            f"the role of USER_DB_URL cannot read users.{', users.'.join(missing)}: "
            "grant SELECT on them (`labeler db roles users` prints the grants)"
        )
    if any(users.source(column) is None for column in REQUIRED):
        raise CatalogError(f"the User DB cannot be answered from: {'; '.join(users.unfit)}")


def _named(table: _Table, columns: Sequence[str]) -> list[str]:
    name = "users" if table.alias == "u" else "profiles"
    return [f"{name}.{column}" for column in columns if column in table.readable]


def _joined_columns(profiles: _Table, users: _Table) -> list[str]:
    key = profiles.readable.get("user_id")
    if key is None or key.type not in WHOLE_NUMBERS:
        return []
    return [
        column for column in PROFILE if profiles.source(column) and not (column in _ACCOUNT and users.source(column))
    ]


def _source(column: str, users: _Table, profiles: _Table, joined: list[str]) -> str:
    own = users.source(column) or "NULL"
    if column not in joined:
        return own
    theirs = profiles.source(column) or "NULL"
    if own == "NULL":
        return theirs
    # A profile that is there wins with its NULLs too: a cleared field must not show its old value again.
    return f"CASE WHEN p.user_id IS NULL THEN {own} ELSE {theirs} END"


def _join(joined: list[str], *, unique: bool) -> str:
    if unique:
        return " LEFT JOIN public.profiles AS p ON p.user_id = u.id"
    # Nothing forbids two profiles of one user: take one, always the same, so that no user appears twice.
    columns = ", ".join(["user_id", *joined])
    return (
        f" LEFT JOIN LATERAL (SELECT {columns} FROM public.profiles WHERE user_id = u.id"  # noqa: S608 - allow-listed names
        f" ORDER BY {columns} LIMIT 1) AS p ON true"
    )
