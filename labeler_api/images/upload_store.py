"""SQL of images: what an upload writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from labeler_api.db.pool import Row, WriteTransaction

# The project's row first, as every writer of annotations takes it, then the dataset's: uploads into one dataset
# decide their ids one after the other.
_LOCK = """
    WITH project AS (SELECT id FROM annotation_projects WHERE dataset_id = $1 FOR NO KEY UPDATE)
    UPDATE datasets
    SET images_revision = images_revision + 1, updated_at = now(), last_modified_at = now()
    WHERE id = $1 AND (SELECT count(*) FROM project) >= 0
"""

# An image keeps the id that it has; a new one gets its stem, or its whole path where another extension holds the
# stem, in the table or earlier in this batch. Who gets no id even so (a file named like another's whole path) is
# returned with a NULL one.
_SAVE = """
    WITH given AS (
        SELECT * FROM unnest(
            $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::int[], $9::int[],
            $10::text[], $11::text[], $12::text[]
        ) WITH ORDINALITY AS g (
            path, s3_key, stem, file_name, folder_path, size, width, height, content_sha256, content_type,
            thumbnail_key, n
        )
    ), held AS (
        SELECT id, s3_key, thumbnail_key FROM image_metadata
        WHERE dataset_id = $1 AND id IN (SELECT stem FROM given UNION SELECT path FROM given)
    ), named AS (
        SELECT g.*, own.thumbnail_key AS old_thumbnail_key, own.id IS NOT NULL AS replaced,
            CASE
                WHEN own.id IS NOT NULL THEN own.id
                WHEN EXISTS (SELECT 1 FROM held WHERE held.id = g.stem) THEN g.path
                WHEN row_number() OVER (PARTITION BY g.stem, own.id IS NULL ORDER BY g.n) > 1 THEN g.path
                ELSE g.stem
            END AS id
        FROM given g LEFT JOIN held own ON own.s3_key = g.s3_key
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY id ORDER BY replaced DESC, n) AS rank FROM named
    ), saved AS (
        INSERT INTO image_metadata (
            dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type,
            thumbnail_key
        )
        SELECT $1, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type, thumbnail_key
        FROM ranked WHERE rank = 1 ORDER BY n
        ON CONFLICT (dataset_id, id) DO UPDATE
        SET file_name = excluded.file_name, folder_path = excluded.folder_path, size = excluded.size,
            width = excluded.width, height = excluded.height, content_sha256 = excluded.content_sha256,
            content_type = excluded.content_type, thumbnail_key = excluded.thumbnail_key, last_modified = now()
        WHERE image_metadata.s3_key = excluded.s3_key
        RETURNING id, s3_key
    )
    SELECT r.path, s.id, r.replaced, r.old_thumbnail_key
    FROM ranked r LEFT JOIN saved s ON s.id = r.id AND s.s3_key = r.s3_key
    ORDER BY r.n
"""

_COUNTERS = """
    WITH counted AS (SELECT count(*) AS number FROM image_metadata WHERE dataset_id = $1), project AS (
        UPDATE annotation_projects SET total_images = number FROM counted WHERE dataset_id = $1
    )
    UPDATE datasets SET num_images = number FROM counted WHERE id = $1
"""

# Only while the row is still the one that the caller wrote.
_FOLLOW_OBJECT = """
    UPDATE image_metadata
    SET content_sha256 = $4, content_type = $5, size = $6, width = $7, height = $8, thumbnail_key = $9,
        last_modified = now()
    WHERE dataset_id = $1 AND id = $2 AND content_sha256 = $3
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """An image whose objects are in the store, about to get its row."""

    path: str
    s3_key: str
    stem: str
    file_name: str
    folder_path: str | None
    size: int
    width: int
    height: int
    content_sha256: str
    content_type: str
    thumbnail_key: str


async def save(tx: WriteTransaction, dataset_id: str, images: Sequence[Stored]) -> list[Row] | None:
    """Insert or replace rows and set the counters; None when the dataset is gone.

    Returns, in the order given, (path, id or NULL, replaced, old_thumbnail_key). Four statements, however many images.
    """
    if await tx.execute(_LOCK, dataset_id) == 0:
        return None
    columns = ([getattr(image, name) for image in images] for name in Stored.__slots__)
    rows = await tx.fetch(_SAVE, dataset_id, *columns)
    await tx.execute(_COUNTERS, dataset_id)
    return rows


async def follow_object(tx: WriteTransaction, dataset_id: str, image_id: str, old_sha256: str, new: Stored) -> bool:
    """Make a row describe the object that is really there; False when somebody else has changed the row."""
    facts = (new.content_sha256, new.content_type, new.size, new.width, new.height, new.thumbnail_key)
    return await tx.execute(_FOLLOW_OBJECT, dataset_id, image_id, old_sha256, *facts) > 0
