"""SQL of the images that an export or a version is about: where their bytes are, and what is known of them."""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import AsyncIterator

from labeler_api.db.pool import Row, Snapshot
from labeler_api.images.checksums.checksum import CHECKSUM, VERSION
from labeler_api.versions.exporting.store import OF_IMAGES, Chosen, Version
from labeler_api.versions.publishing.store import OF_VERSION

_PREFETCH = 1000  # rows of some 300 bytes

_KNOWN = f"i.dataset_id, i.s3_key, {VERSION} AS version, {CHECKSUM} AS checksum"

# By code point, as the files are. A row without a key has no image.
_CHOSEN = f"""
    SELECT c.image_id, c.annotations, {_KNOWN},
           CASE WHEN i.id IS NULL THEN c.image_id
                ELSE concat_ws('/', NULLIF(i.folder_path, ''), i.file_name) END AS file_name
    FROM (
        SELECT a.image_id, count(*)::int AS annotations FROM annotations a
        WHERE a.project_id = $1 AND a.task_type = ANY ($3::varchar[]) AND ($4 OR a.annotation_state <> 'draft')
            {OF_IMAGES}
        GROUP BY a.image_id
    ) AS c
    LEFT JOIN image_metadata i ON i.dataset_id = $2 AND i.id = c.image_id
    WHERE c.image_id COLLATE "C" > $6::text COLLATE "C"
    ORDER BY c.image_id COLLATE "C"
"""

# A version keeps the objects of its images when they are deleted (deletion/store_images). Of those that have the id and
# the size now, and of the deleted ones, it is the one that was there when the version was made; else any of them: a
# script may upload the same files every night.
_FROZEN = f"""
    WITH frozen AS (
        SELECT snapshot_data ->> 'image_id' AS image_id, count(*)::int AS annotations,
               min(snapshot_data -> 'image' ->> 'file_name') AS file_name,
               min((snapshot_data -> 'image' ->> 'width')::int) AS width,
               min((snapshot_data -> 'image' ->> 'height')::int) AS height
        FROM ({OF_VERSION}) AS rows GROUP BY 1
    )
    SELECT c.image_id, c.file_name, c.annotations, i.*
    FROM frozen c LEFT JOIN LATERAL (
        SELECT {_KNOWN} FROM (
            SELECT i.*, 0::bigint AS deletion FROM image_metadata i WHERE i.dataset_id = $2 AND i.id = c.image_id
            UNION ALL
            SELECT i.*, d.id
            FROM deleted_images d CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, d.image) i
            WHERE d.dataset_id = $2 AND d.image_id = c.image_id
        ) AS i
        WHERE c.width = 0 OR i.width IS NULL OR (i.width, i.height) = (c.width, c.height)
        ORDER BY i.last_modified <= $3::timestamptz DESC, i.deletion = 0 DESC, i.deletion DESC LIMIT 1
    ) AS i ON true
    WHERE c.image_id COLLATE "C" > $4::text COLLATE "C"
    ORDER BY c.image_id COLLATE "C"
"""


def chosen(snapshot: Snapshot, selection: Chosen, after: str) -> AsyncIterator[Row]:
    """Yield the image of each annotation once, in the order of the files, from behind an id on.

    Rows of (image_id, file_name, annotations, dataset_id, s3_key, version, checksum): no key where there is no image,
    no checksum where none is noted.
    """
    return snapshot.cursor(_CHOSEN, *selection.parameters, after, prefetch=_PREFETCH)


def frozen(snapshot: Snapshot, version: Version, after: str) -> AsyncIterator[Row]:
    """Yield the image of each annotation of a version, as `chosen` does."""
    where = (version.id, version.dataset_id, version.created_at)
    return snapshot.cursor(_FROZEN, *where, after, prefetch=_PREFETCH)
