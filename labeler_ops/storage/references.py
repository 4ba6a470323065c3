"""The keys that the Labeler DB refers to, as far as the schema has them: today's and the one before the upgrade."""

from collections.abc import AsyncIterator

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused

_BATCH = 5000  # rows a round trip

# Of each column the table, its name, and the bucket that its keys are in.
_COLUMNS = (
    ("image_metadata", "s3_key", "datasets"),
    ("image_metadata", "thumbnail_key", "datasets"),
    ("image_metadata", "rendition_key", "datasets"),
    ("deleted_images", "s3_key", "datasets"),
    ("deleted_images", "thumbnail_key", "datasets"),
    ("deleted_images", "rendition_key", "datasets"),
    ("datasets", "annotation_path", "datasets"),
    ("annotation_versions", "export_path", "annotations"),
)
_HAS = """
    SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT attisdropped)
"""


async def references(dsn: str) -> AsyncIterator[tuple[str, str, str]]:
    """Yield (bucket, key, where it stands), in one snapshot. Raises DatabaseRefused when it cannot be read."""
    try:
        connection = await asyncpg.connect(dsn, timeout=20, statement_cache_size=0)
    except FAILURES as error:
        raise DatabaseRefused(f"the Labeler DB cannot be read: {error}") from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for table, column, bucket in _COLUMNS:
                if await connection.fetchval(_HAS, f"public.{table}", column):
                    # Names of our own, from above.
                    sql = f"SELECT DISTINCT {column} FROM public.{table} WHERE {column} <> ''"  # noqa: S608
                    async for (key,) in connection.cursor(sql, prefetch=_BATCH):
                        yield bucket, key, f"{table}.{column}"
    finally:
        await connection.close(timeout=5)
