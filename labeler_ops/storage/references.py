"""The keys that the Labeler DB refers to, as far as the schema has them: today's and the one before the upgrade."""

from collections.abc import AsyncIterator

from labeler_ops.connecting import connected

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


# The older schema does not say which thumbnails there are. The upgrade writes this key; not every image has one.
_THUMBNAILS_OF_BEFORE = r"""
    SELECT DISTINCT regexp_replace(replace(s3_key, '/images/', '/thumbnails/'), '\.[^./]*$', '') || '.jpg'
    FROM public.image_metadata
"""


async def references(dsn: str) -> AsyncIterator[tuple[str, str, str]]:
    """Yield (bucket, key, where it stands), in one snapshot. Raises DatabaseError when it cannot be read.

    An older schema does not have it: it is only guessed there, and may be missing.
    """
    async with (
        connected(dsn, "the Labeler DB cannot be read", prepared=False) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for table, column, bucket in _COLUMNS:
            if await connection.fetchval(_HAS, f"public.{table}", column):
                # Names of our own, from above.
                sql = f"SELECT DISTINCT {column} FROM public.{table} WHERE {column} <> ''"  # noqa: S608
                async for (key,) in connection.cursor(sql, prefetch=_BATCH):
                    yield bucket, key, f"{table}.{column}"
        if await connection.fetchval(_HAS, "public.image_metadata", "s3_key") and not await connection.fetchval(
            _HAS, "public.image_metadata", "thumbnail_key"
        ):
            async for (key,) in connection.cursor(_THUMBNAILS_OF_BEFORE, prefetch=_BATCH):
                yield "datasets", key, ""
