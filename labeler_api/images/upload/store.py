"""SQL of images: what an upload writes."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

# The project's row first, then those of the images that are replaced, in the order of ids, as writers of annotations
# and deletions lock them, then the dataset's: uploads into one dataset decide their ids one after the other. A deletion
# goes on from its images to the dataset, so nobody who has the dataset may wait for an image.
_LOCK = """
    WITH project AS (SELECT id FROM annotation_projects WHERE dataset_id = $1 FOR NO KEY UPDATE), images AS (
        SELECT id FROM image_metadata
        WHERE dataset_id = $1 AND id = ANY ($2::text[] || $3::text[] || $4::text[])
          AND normalize(concat_ws('/', NULLIF(folder_path, ''), file_name)) = ANY ($2::text[])
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE datasets
    SET images_revision = images_revision + 1, updated_at = now(), last_modified_at = now()
    WHERE id = $1 AND deleted_at IS NULL AND (SELECT count(*) FROM project) >= 0 AND (SELECT count(*) FROM images) >= 0
"""

# An image is known by its path, which is its folder and its file's name, and keeps the id that it has; its key is new
# with every upload. A new one gets its stem as id, or its whole path if another extension holds the stem, in the table
# or earlier in this batch. An image that gets no id even so (its file is named like another's whole path) is returned
# with a NULL one. Legacy rows are spelt as they were sent, on macOS with letters and accents apart (NFD): $15 has those
# spellings of the ids. Rows are written in the order of ids, in which writers of annotations lock them.
_SAVE = """
    WITH given AS (
        SELECT * FROM unnest(
            $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::int[], $9::int[],
            $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]
        ) WITH ORDINALITY AS g (
            path, s3_key, stem, file_name, folder_path, size, width, height, content_sha256, content_type,
            thumbnail_key, rendition_key, content_checksum, n
        )
    ), held AS (
        SELECT id, normalize(concat_ws('/', NULLIF(folder_path, ''), file_name)) AS path, s3_key, thumbnail_key,
            rendition_key
        FROM image_metadata
        WHERE dataset_id = $1
          AND id IN (SELECT stem FROM given UNION SELECT path FROM given UNION SELECT unnest($15::text[]))
    ), own AS (
        SELECT DISTINCT ON (path) * FROM held ORDER BY path, id IS NOT NFC NORMALIZED, id = path
    ), named AS (
        SELECT g.*, own.s3_key AS old_key, own.thumbnail_key AS old_thumbnail_key,
            own.rendition_key AS old_rendition_key, own.id IS NOT NULL AS replaced,
            CASE
                WHEN own.id IS NOT NULL THEN own.id
                WHEN EXISTS (SELECT 1 FROM held WHERE held.id = g.stem) THEN g.path
                WHEN row_number() OVER (PARTITION BY g.stem, own.id IS NULL ORDER BY g.n) > 1 THEN g.path
                ELSE g.stem
            END AS id
        FROM given g LEFT JOIN own ON own.path = g.path
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY id ORDER BY replaced DESC, n) AS rank FROM named
    ), saved AS (
        INSERT INTO image_metadata (
            dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type,
            thumbnail_key, rendition_key, content_checksum
        )
        SELECT $1, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type, thumbnail_key,
            rendition_key, content_checksum
        FROM ranked WHERE rank = 1 ORDER BY id
        ON CONFLICT (dataset_id, id) DO UPDATE
        SET file_name = excluded.file_name, folder_path = excluded.folder_path, s3_key = excluded.s3_key,
            size = excluded.size, width = excluded.width, height = excluded.height,
            content_sha256 = excluded.content_sha256, content_type = excluded.content_type,
            thumbnail_key = excluded.thumbnail_key, rendition_key = excluded.rendition_key,
            content_checksum = excluded.content_checksum, last_modified = now()
        WHERE normalize(concat_ws('/', NULLIF(image_metadata.folder_path, ''), image_metadata.file_name))
            = concat_ws('/', NULLIF(excluded.folder_path, ''), excluded.file_name)
        RETURNING id, s3_key
    )
    SELECT r.path, s.id, r.replaced, r.old_key, r.old_thumbnail_key, r.old_rendition_key
    FROM ranked r LEFT JOIN saved s ON s.id = r.id AND s.s3_key = r.s3_key
    ORDER BY r.n
"""

# An older API may have replaced the image meanwhile, or somebody deleted it.
_NOTE_RENDITION = """
    UPDATE image_metadata SET rendition_key = $4 WHERE dataset_id = $1 AND id = $2 AND s3_key = $3
"""

_COUNTERS = """
    WITH counted AS (SELECT count(*) AS number FROM image_metadata WHERE dataset_id = $1), project AS (
        UPDATE annotation_projects SET total_images = number FROM counted WHERE dataset_id = $1
    )
    UPDATE datasets SET num_images = number FROM counted WHERE id = $1
"""

# Of every dataset: legacy images may lie in the folder of another one; and of rows that the upgrade set aside, which
# somebody may want back. Reads each row once; for work in the background.
_REFERRED = """
    SELECT s3_key AS key FROM image_metadata WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM image_metadata WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM image_metadata WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT s3_key FROM deleted_images WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM deleted_images WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM deleted_images WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT q.row ->> 's3_key' FROM quarantine_image_metadata q WHERE q.row ->> 's3_key' = ANY ($1::text[])
    UNION ALL
    SELECT q.row ->> 'thumbnail_key' FROM quarantine_image_metadata q WHERE q.row ->> 'thumbnail_key' = ANY ($1::text[])
    UNION ALL
    SELECT q.row ->> 'rendition_key' FROM quarantine_image_metadata q WHERE q.row ->> 'rendition_key' = ANY ($1::text[])
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
    rendition_key: str | None
    content_checksum: str

    @property
    def keys(self) -> list[str]:
        """Of all of its objects."""
        return [key for key in (self.s3_key, self.thumbnail_key, self.rendition_key) if key]


async def save(tx: WriteTransaction, dataset_id: str, images: Sequence[Stored]) -> list[Row] | None:
    """Insert or replace rows and set the counters; None when the dataset is gone.

    Returns, in the order given, (path, id or NULL, replaced, old_key, old_thumbnail_key, old_rendition_key). Three
    statements, however many images.
    """
    names = ([image.path for image in images], [image.stem for image in images])
    decomposed = sorted(_decomposed(images))
    if await tx.execute(_LOCK, dataset_id, *names, decomposed) == 0:
        return None
    columns = ([getattr(image, name) for image in images] for name in Stored.__slots__)
    rows = await tx.fetch(_SAVE, dataset_id, *columns, decomposed)
    await tx.execute(_COUNTERS, dataset_id)
    return rows


def _decomposed(images: Sequence[Stored]) -> set[str]:
    """The ids that a legacy row of the same path may have: its folder, its name or both decomposed."""
    found: set[str] = set()
    for image in images:
        if image.path.isascii():
            continue
        for text in (image.path, image.stem):
            folder, slash, name = text.rpartition("/")
            folders, names = ((one, unicodedata.normalize("NFD", one)) for one in (folder, name))
            found |= {first + slash + last for first in folders for last in names}
    return found


async def note_rendition(tx: WriteTransaction, dataset_id: str, image_id: str, s3_key: str, key: str) -> bool:
    """Note what browsers are shown of an image; False where that object is not the image's any more."""
    return await tx.execute(_NOTE_RENDITION, dataset_id, image_id, s3_key, key) > 0


async def referred(connection: ReadConnection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image has, its own, its thumbnail's or its rendition's; also one set aside."""
    return {row["key"] for row in await connection.fetch(_REFERRED, list(keys))}


_DROP_EMPTY_DATASET = """
    DELETE FROM datasets d
    WHERE d.id = $1 AND NOT EXISTS (SELECT FROM image_metadata i WHERE i.dataset_id = d.id)
"""


_FORGET_KEY = "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2"


async def drop_empty_dataset(tx: WriteTransaction, dataset_id: str) -> bool:
    """Delete a dataset that has no image; False when it has one."""
    return await tx.execute(_DROP_EMPTY_DATASET, dataset_id) > 0


async def forget_key(tx: WriteTransaction, user_id: int, key: str) -> None:
    """Forget an Idempotency-Key whose answer holds no more."""
    await tx.execute(_FORGET_KEY, user_id, key)
