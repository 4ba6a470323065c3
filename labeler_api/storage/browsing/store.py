"""SQL of storage browsing: the paths of images are read from their rows."""

from collections.abc import Sequence

from labeler_api.db import page_bytes
from labeler_api.db.long_lists import json_text
from labeler_api.db.pool import ReadConnection, Row

# By path, so that a folder comes before its subfolders. A page ends at some rows and bytes; sums are of all.
_FOLDERS = page_bytes.page(
    """
    WITH every AS MATERIALIZED (
        SELECT COALESCE(folder_path, '') AS folder, count(*) AS files, sum(size)::bigint AS bytes
        FROM image_metadata WHERE dataset_id = $1 GROUP BY 1
    )
    SELECT folder, files, bytes, (SELECT sum(files) FROM every)::bigint AS all_files,
           (SELECT sum(bytes) FROM every)::bigint AS all_bytes
    FROM every ORDER BY folder COLLATE "C" LIMIT $2
    """,
    'folder COLLATE "C"',
    kept=("files", "bytes", "all_files", "all_bytes"),
    text=("folder",),
)

# $2 is a JSON array (`db.long_lists`). IS TRUE keeps the paths in a hash: a join with each of them could come of IN.
_PRESENT = """
    SELECT path
    FROM (
        SELECT normalize(concat_ws('/', NULLIF(folder_path, ''), file_name)) AS path
        FROM image_metadata WHERE dataset_id = $1
    ) AS held
    WHERE (path IN (SELECT jsonb_array_elements_text($2::text::jsonb))) IS TRUE
"""


async def folders(connection: ReadConnection, dataset_id: str, limit: int) -> tuple[list[Row], bool]:
    """Count the images that lie directly in each folder, with their bytes; and whether that ended early."""
    return page_bytes.taken(await connection.fetch(_FOLDERS, dataset_id, limit))


async def present(connection: ReadConnection, dataset_id: str, paths: Sequence[str]) -> list[Row]:
    """Return those of the paths that an image of the dataset has, a row each."""
    return await connection.fetch(_PRESENT, dataset_id, json_text(paths))
