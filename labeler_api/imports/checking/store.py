"""SQL that finds the images which a file names."""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row
from labeler_api.images.checksums.checksum import ORIENTATION

# `path` is the image's, with its extension. Each of the two joins is by equality, so that it is hashed.
_EXACT = f"""
    WITH named AS (SELECT DISTINCT name FROM unnest($2::text[]) AS n (name)),
    held AS (
        SELECT id, width, height, {ORIENTATION} AS orientation,
               concat_ws('/', NULLIF(folder_path, ''), file_name) AS path
        FROM image_metadata i WHERE dataset_id = $1
    )
    SELECT n.name, h.id, h.width, h.height, h.orientation, true AS by_path FROM named n JOIN held h ON h.path = n.name
    UNION ALL
    SELECT n.name, h.id, h.width, h.height, h.orientation, false FROM named n JOIN held h ON h.id = n.name
"""

# An image is found by each end of its path that begins at a folder: a/b/c.jpg by b/c.jpg, b/c, c.jpg and c.
_BY_TAIL = f"""
    WITH named AS (SELECT DISTINCT name FROM unnest($2::text[]) AS n (name)),
    held AS (
        SELECT id, width, height, {ORIENTATION} AS orientation,
               concat_ws('/', NULLIF(folder_path, ''), file_name) AS path
        FROM image_metadata i WHERE dataset_id = $1
    ),
    split AS (
        SELECT id, string_to_array(id, '/') AS segments FROM held
        UNION
        SELECT id, string_to_array(path, '/') FROM held
    ),
    tails AS (
        SELECT s.id, array_to_string(s.segments[k:], '/') AS tail
        FROM split s, generate_series(2, cardinality(s.segments)) AS k
    ),
    found AS (
        SELECT n.name, min(t.id) AS id, count(DISTINCT t.id)::int AS number
        FROM named n JOIN tails t ON t.tail = n.name GROUP BY n.name
    )
    SELECT f.name, f.id, f.number, h.width, h.height, h.orientation FROM found f JOIN held h ON h.id = f.id
"""


async def exact(connection: ReadConnection, dataset_id: str, names: Sequence[str]) -> list[Row]:
    """Find images whose whole path (`by_path`), or whose id, is one of the names."""
    return await connection.fetch(_EXACT, dataset_id, list(names))


async def by_tail(connection: ReadConnection, dataset_id: str, names: Sequence[str]) -> list[Row]:
    """Find images whose path or id ends in one of the names; with the `number` of images that do."""
    return await connection.fetch(_BY_TAIL, dataset_id, list(names))
