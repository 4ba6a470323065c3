"""SQL of storage browsing: the paths of images are read from their rows."""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row

_FOLDERS = """
    SELECT COALESCE(folder_path, '') AS folder, count(*) AS files, sum(size)::bigint AS bytes
    FROM image_metadata WHERE dataset_id = $1 GROUP BY 1
"""

_PRESENT = """
    SELECT path
    FROM (
        SELECT concat_ws('/', NULLIF(folder_path, ''), file_name) AS path FROM image_metadata WHERE dataset_id = $1
    ) AS held
    WHERE path = ANY ($2::text[])
"""


async def folders(connection: ReadConnection, dataset_id: str) -> list[Row]:
    """Count the images that lie directly in each folder, with their bytes."""
    return await connection.fetch(_FOLDERS, dataset_id)


async def present(connection: ReadConnection, dataset_id: str, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that an image of the dataset has."""
    return {row["path"] for row in await connection.fetch(_PRESENT, dataset_id, list(paths))}
