"""Which indexes the gateway's statements would use, and which of them the User DB lacks."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import asyncpg
import msgspec

from user_gateway.catalog import Catalog

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_FEW = 10_000
"""So few accounts are read as fast as an index. Below this number nothing is reported."""

# Seconds that one call reads where the index is missing, measured for a million accounts (benchmarks/users.py).
_BY_ADDRESS_SECONDS = 0.2
_SEARCH_SECONDS = 0.6
_PROFILE_SECONDS = 0.1

# What an index is on is spelled by PostgreSQL, which looks at the table for that: it may wait for a lock.
_INDEXES = """
SELECT c.relname::text AS relation, pg_get_indexdef(i.indexrelid, n, true) AS of, o.opcname::text AS operators,
       n = 1 AS first
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid CROSS JOIN generate_series(1, i.indnkeyatts) AS n
     JOIN pg_opclass AS o ON o.oid = i.indclass[n - 1]
WHERE c.oid IN (to_regclass('public.users'), to_regclass('public.profiles')) AND i.indisvalid AND i.indpred IS NULL
"""
# The planner's estimate; -1 before the first ANALYZE, then what fits into the file with 200 bytes a row.
_ROWS = """
SELECT coalesce(max(CASE WHEN reltuples < 0 THEN pg_relation_size(oid) / 200 ELSE reltuples END), 0)::bigint
FROM pg_class WHERE oid = to_regclass('public.users')
"""


class Missing(msgspec.Struct, frozen=True):
    """An index that is not there: on what, and what each call costs without it."""

    on: str
    costs: str


async def missing(connection: Connection, catalog: Catalog, seconds: float) -> Sequence[Missing]:
    """List the indexes that would be used, within `seconds`; none for a few accounts. Raises what asyncpg raises."""
    rows = int(await connection.fetchval(_ROWS, timeout=seconds))
    if rows < _FEW:
        return ()
    found = await connection.fetch(_INDEXES, timeout=seconds)
    plain = {(row["relation"], _spelled(row["of"])) for row in found if row["first"]}
    trigrams = {_spelled(row["of"]) for row in found if row["operators"].endswith("trgm_ops")}
    lacking = []
    if ("users", "loweremail") not in plain:
        lacking.append(
            Missing(
                "users (lower(email))", f"{_cost(_BY_ADDRESS_SECONDS, rows)} a look-up of an address in other letters"
            )
        )
    # A name that a profile may hold is a CASE over two tables, and no index is on that.
    searched = [column for column in ("full_name", "email") if not catalog.sources[column].startswith(("NULL", "CASE"))]
    if unindexed := [column for column in searched if column not in trigrams]:
        names = ", ".join(f"users ({column} gin_trgm_ops)" for column in unindexed)
        lacking.append(Missing(names, f"{_cost(_SEARCH_SECONDS, rows)} a search"))
    if catalog.joins and ("profiles", "user_id") not in plain:
        lacking.append(Missing("profiles (user_id)", f"{_cost(_PROFILE_SECONDS, rows)} for each user shown"))
    return lacking


def _spelled(of: str) -> str:
    """Write `lower((email)::text)` and `lower(email)` alike: PostgreSQL adds casts and brackets as types need them."""
    return re.sub(r"::text|[()]", "", of)


def _cost(per_million_seconds: float, rows: int) -> str:
    return f"about {per_million_seconds * rows / 1_000_000:.2g} s"
