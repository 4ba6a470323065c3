"""SQL of storage browsing: the paths of images are read from their rows."""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row

_FOLDERS = """
    SELECT COALESCE(folder_path, '') AS folder, count(*) AS files, sum(size)::bigint AS bytes
    FROM image_metadata WHERE dataset_id = $1 GROUP BY 1
"""

_PRESENT = "SELECT s3_key FROM image_metadata WHERE dataset_id = $1 AND s3_key = ANY ($2::text[])"


async def folders(connection: ReadConnection, dataset_id: str) -> list[Row]:
    """Count the images that lie directly in each folder, with their bytes."""
    return await connection.fetch(_FOLDERS, dataset_id)


async def present(connection: ReadConnection, dataset_id: str, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image of the dataset has."""
    return {row["s3_key"] for row in await connection.fetch(_PRESENT, dataset_id, list(keys))}
