"""SQL that finds the images which a file names."""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Sequence

from labeler_api.db.long_lists import json_text
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.images.checksums.checksum import ORIENTATION

# The names are a JSON array (`db.long_lists`). IS TRUE keeps them in a hash, whatever statistics say of the dataset: a
# join with each name could come of IN alone. `path` is the image's, with its extension.
_EXACT = f"""
    WITH named AS MATERIALIZED (SELECT jsonb_array_elements_text($2::text::jsonb) AS name),
    held AS (
        SELECT id, width, height, {ORIENTATION} AS orientation,
               concat_ws('/', NULLIF(folder_path, ''), file_name) AS path
        FROM image_metadata i WHERE dataset_id = $1
    )
    SELECT path AS name, id, width, height, orientation, true AS by_path FROM held
    WHERE (path IN (SELECT name FROM named)) IS TRUE
    UNION ALL
    SELECT id, id, width, height, orientation, false FROM held
    WHERE (id IN (SELECT name FROM named)) IS TRUE
"""

# An image is found by each end of its path that begins at a folder: a/b/c.jpg by b/c.jpg, b/c, c.jpg and c.
_BY_TAIL = f"""
    WITH held AS (
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
        SELECT tail AS name, min(id) AS id, count(DISTINCT id)::int AS number
        FROM tails WHERE (tail IN (SELECT jsonb_array_elements_text($2::text::jsonb))) IS TRUE GROUP BY tail
    )
    SELECT f.name, f.id, f.number, h.width, h.height, h.orientation FROM found f JOIN held h ON h.id = f.id
"""


async def exact(connection: ReadConnection, dataset_id: str, names: Sequence[str]) -> list[Row]:
    """Find images whose whole path (`by_path`), or whose id, is one of the names."""
    return await connection.fetch(_EXACT, dataset_id, json_text(names))


async def by_tail(connection: ReadConnection, dataset_id: str, names: Sequence[str]) -> list[Row]:
    """Find images whose path or id ends in one of the names; with the `number` of images that do."""
    return await connection.fetch(_BY_TAIL, dataset_id, json_text(names))
