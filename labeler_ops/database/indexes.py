"""Indexes of the User DB that make the gateway's look-ups and searches fast.

The platform owns the tables: their owner makes the indexes, and nothing but speed depends on them.
"""

from collections.abc import Mapping, Sequence

from labeler_ops.connecting import connected
from labeler_ops.database.roles import existing_columns

_TRIGRAMS = "CREATE EXTENSION IF NOT EXISTS pg_trgm"

# (name, table, column that must be there, what is indexed)
_INDEXES = (
    ("labeler_users_lower_email", "users", "email", "(lower(email::text))"),
    ("labeler_users_email_trigrams", "users", "email", "USING gin ((email::text) gin_trgm_ops)"),
    ("labeler_users_full_name_trigrams", "users", "full_name", "USING gin ((full_name::text) gin_trgm_ops)"),
    ("labeler_profiles_user_id", "profiles", "user_id", "(user_id)"),
)

# An index whose making was interrupted: it is kept up to date by every write, and no statement uses it.
_BROKEN = """
SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
"""


def indexes_sql(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """List the statements for the tables and columns that there are. None of them blocks reads or writes."""
    statements = [
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON public.{table} {what}"
        for name, table, column, what in _INDEXES
        # A name that a profile may hold is a CASE over two tables for the gateway, and no index is on that.
        if column in columns.get(table, ()) and (column != "full_name" or column not in columns.get("profiles", ()))
    ]
    # The planner knows nothing of what an index on an expression holds until then.
    return [_TRIGRAMS, *statements, "ANALYZE public.users"]


async def apply_indexes(dsn: str) -> list[str]:
    """Run them one by one, each for itself: CONCURRENTLY allows no transaction.

    Takes as long as the tables are large; what was made stays, and running it again goes on from there. Raises
    DatabaseError when the database cannot be reached, and what asyncpg raises.
    """
    async with connected(dsn) as connection:
        names = [name for name, *_ in _INDEXES]
        for row in await connection.fetch(_BROKEN, names):
            await connection.execute(f"DROP INDEX CONCURRENTLY public.{row[0]}")
        statements = indexes_sql(await existing_columns(connection, "users"))
        for statement in statements:
            await connection.execute(statement)
    return statements
