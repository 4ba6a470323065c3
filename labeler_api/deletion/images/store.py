"""SQL of deleting images and of bringing them back.

A deleted image leaves `image_metadata`, and its annotations and statuses their tables: so no other statement has to
know of deletions. The rows lie whole in `deleted_images` and `deleted_image_rows`.

Locks are taken in one order, which is that of uploads, too: the images, then the dataset, then rows of new images. The
project's row is taken where it is free (`projects/waiting_counters.py`): a deletion waits for nobody who writes to
other images.
"""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import Sequence
from datetime import timedelta

from labeler_api.annotations.history.ledger import logged
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

# What is put back. Named one by one: a row that was kept before a column came gets the column's default. A test says
# when a table has a column that is not here.
IMAGE_COLUMNS = (
    *("dataset_id", "id", "file_name", "s3_key", "folder_path", "size", "width", "height", "uploaded_at"),
    *("last_modified", "content_sha256", "content_type", "thumbnail_key", "rendition_key", "content_checksum"),
)
ANNOTATION_COLUMNS = (
    *("id", "project_id", "image_id", "annotation_type", "geometry", "class_id", "class_name", "attributes"),
    *("confidence", "created_by", "updated_by", "is_verified", "notes", "created_at", "updated_at"),
    *("annotation_state", "confirmed_at", "confirmed_by", "task_type"),
)
STATUS_COLUMNS = (
    *("project_id", "image_id", "status", "first_modified_at", "last_modified_at", "confirmed_at"),
    *("total_annotations", "confirmed_annotations", "draft_annotations", "is_image_confirmed", "task_type"),
    *("no_object_annotations", "counted_total", "counted_modified_at"),
)

# The deletion is a revision of each annotation, as if somebody deleted it alone; without `undo_key`, since nobody
# undoes it by drawing. $2 is NULL for a dataset without a project.
_MOVE = f"""
    WITH annotations_gone AS (
        DELETE FROM annotations WHERE project_id = $2::varchar AND image_id = ANY($3::varchar[]) RETURNING *
    ),
    {logged("'delete'", old="annotations_gone", user="$4::int")},
    statuses_gone AS (
        DELETE FROM image_annotation_status WHERE project_id = $2 AND image_id = ANY($3) RETURNING *
    ),
    locks_gone AS (DELETE FROM image_locks WHERE project_id = $2 AND image_id = ANY($3)),
    drawn AS (SELECT image_id, count(*)::int AS number FROM annotations_gone GROUP BY image_id),
    gone AS (DELETE FROM image_metadata WHERE dataset_id = $1 AND id = ANY($3) RETURNING *),
    kept AS (
        INSERT INTO deleted_images (
            dataset_id, image_id, deleted_by, deleted_at, restorable_until, purge_after, annotation_count, s3_key,
            thumbnail_key, rendition_key, image)
        SELECT g.dataset_id, g.id, $4, statement_timestamp(), statement_timestamp() + $5::interval,
               statement_timestamp() + $5::interval, COALESCE(d.number, 0), g.s3_key, g.thumbnail_key,
               g.rendition_key, to_jsonb(g)
        FROM gone g LEFT JOIN drawn d ON d.image_id = g.id ORDER BY g.id
        RETURNING id, image_id, annotation_count, restorable_until
    ),
    kept_rows AS (
        INSERT INTO deleted_image_rows (deleted_image_id, project_id, table_name, row)
        SELECT k.id, a.project_id, 'annotations', to_jsonb(a)
        FROM annotations_gone a JOIN kept k ON k.image_id = a.image_id
        UNION ALL
        SELECT k.id, s.project_id, 'image_annotation_status', to_jsonb(s)
        FROM statuses_gone s JOIN kept k ON k.image_id = s.image_id
    )
    SELECT id AS deletion_id, image_id, annotation_count AS annotations, restorable_until FROM kept ORDER BY image_id
"""

# The joins above are with rows that the statement itself has moved. The planner does not know their number, and would
# compare each with each.
_NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"

_CHANGE_DATASET = """
    UPDATE datasets SET images_revision = images_revision + 1, updated_at = now(), last_modified_at = now()
    WHERE id = $1 AND deleted_at IS NULL
"""

# After the dataset is locked, so that every upload before is counted. The project's own number is for readers of the
# table; the API shows the dataset's.
_COUNT_IMAGES = """
    WITH counted AS (SELECT count(*)::int AS number FROM image_metadata WHERE dataset_id = $1),
    free AS (SELECT id FROM annotation_projects WHERE dataset_id = $1 FOR NO KEY UPDATE SKIP LOCKED),
    project AS (UPDATE annotation_projects p SET total_images = c.number FROM counted c, free WHERE p.id = free.id)
    UPDATE datasets SET num_images = number FROM counted WHERE id = $1
"""

_COUNT_ANNOTATIONS = "SELECT count_in_project_1($1, $2, $3, $4)"

_TAKE_DELETED = """
    SELECT id, image_id FROM deleted_images
    WHERE dataset_id = $1 AND id = ANY($2::bigint[]) AND restorable_until > clock_timestamp()
    ORDER BY id FOR UPDATE
"""

# An id that an image has by now, or a path: an upload of the same file may have got another id. A path's image is its
# stem or the whole path, so both are looked for by the primary key. Paths are compared as labeler_api.images.paths
# spells them: legacy rows may have letters and accents apart (NFD), in the folder, in the name or in both.
_TAKEN = """
    SELECT d.image_id
    FROM deleted_images d
    CROSS JOIN LATERAL (
        SELECT normalize(COALESCE(d.image ->> 'folder_path', '')) AS folder, normalize(d.image ->> 'file_name') AS name
    ) p
    WHERE d.id = ANY($1::bigint[]) AND EXISTS (
        SELECT FROM image_metadata i
        WHERE i.dataset_id = d.dataset_id
            AND i.id = ANY (ARRAY[d.image_id] || ARRAY(
                SELECT spelling FROM unnest(ARRAY[p.folder, normalize(p.folder, NFD)]) AS folders (folder),
                    unnest(ARRAY[p.name, normalize(p.name, NFD)]) AS names (name),
                    concat_ws('/', NULLIF(folders.folder, ''), names.name) AS path,
                    unnest(ARRAY[path, regexp_replace(path, '\\.[^./]*$', '')]) AS spelling
            ))
            AND (i.id = d.image_id OR normalize(concat_ws('/', NULLIF(i.folder_path, ''), i.file_name))
                                      = concat_ws('/', NULLIF(p.folder, ''), p.name))
    )
    ORDER BY d.image_id LIMIT 1
"""

# $3: the dataset's project. Rows of one that was deleted since are still there until a job has come to them.
# An annotation's number goes on where its history stopped. An annotation whose id exists stays as it is: nothing that
# the API does leads to that, and it must not keep an image from coming back.
_PUT_BACK_ROWS = f"""
    WITH made AS (
        INSERT INTO annotations ({", ".join(ANNOTATION_COLUMNS)}, version)
        SELECT {", ".join(f"a.{name}" for name in ANNOTATION_COLUMNS)},
               COALESCE(
                   (SELECT max(h.revision) FROM annotation_history h WHERE h.annotation_id = a.id), a.version + 1
               ) + 1
        FROM deleted_image_rows r CROSS JOIN LATERAL jsonb_populate_record(NULL::annotations, r.row) a
        WHERE r.deleted_image_id = ANY($1::bigint[]) AND r.project_id = $3::varchar AND r.table_name = 'annotations'
        ORDER BY a.id
        ON CONFLICT (id) DO NOTHING
        RETURNING *
    ),
    {logged("'restore'", new="made", user="$2::int")},
    statuses AS (
        INSERT INTO image_annotation_status ({", ".join(STATUS_COLUMNS)})
        SELECT {", ".join(f"s.{name}" for name in STATUS_COLUMNS)}
        FROM deleted_image_rows r CROSS JOIN LATERAL jsonb_populate_record(NULL::image_annotation_status, r.row) s
        WHERE r.deleted_image_id = ANY($1) AND r.project_id = $3 AND r.table_name = 'image_annotation_status'
        ORDER BY s.image_id, s.task_type
    )
    SELECT count(*)::int AS annotations, count(DISTINCT image_id)::int AS images FROM made
"""

_PUT_BACK_IMAGES = f"""
    WITH restored AS (DELETE FROM deleted_images WHERE id = ANY($1::bigint[]) RETURNING image)
    INSERT INTO image_metadata ({", ".join(IMAGE_COLUMNS)})
    SELECT {", ".join(f"i.{name}" for name in IMAGE_COLUMNS)}
    FROM restored CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, restored.image) i
    ORDER BY i.id
"""

_PAGE = """
    SELECT d.id AS deletion_id, d.annotation_count, d.deleted_by, d.deleted_at, d.restorable_until,
           d.restorable_until > clock_timestamp() AS is_restorable,
           i.dataset_id, i.id, i.file_name, i.s3_key, i.folder_path, i.size, i.width, i.height, i.last_modified,
           i.content_sha256, i.content_type, i.thumbnail_key, i.rendition_key
    FROM deleted_images d CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, d.image) i
    WHERE d.dataset_id = $1 AND d.id < $2
    ORDER BY d.id DESC LIMIT $3
"""

# A row that somebody restores at this moment is locked, and skipped: the next run looks at it.
_DUE = """
    SELECT id, s3_key, thumbnail_key, rendition_key FROM deleted_images
    WHERE purge_after <= clock_timestamp() ORDER BY purge_after, id LIMIT $1 FOR UPDATE SKIP LOCKED
"""

# Reads the snapshots of a project once, however many images are asked about. Whether the annotations were of this image
# or of one that had its id before or after, a snapshot does not tell: to keep one too many is safe.
_NEEDED = """
    WITH asked AS MATERIALIZED (
        SELECT d.id, d.image_id, p.id AS project_id
        FROM deleted_images d JOIN annotation_projects p ON p.dataset_id = d.dataset_id WHERE d.id = ANY($1::bigint[])
    ),
    named AS MATERIALIZED (
        SELECT DISTINCT v.project_id, s.snapshot_data ->> 'image_id' AS image_id
        FROM annotation_versions v JOIN annotation_snapshots s ON s.version_id = v.id
        WHERE v.project_id IN (SELECT project_id FROM asked)
    )
    SELECT a.id FROM asked a JOIN named n ON n.project_id = a.project_id AND n.image_id = a.image_id
"""

# Their time to be restored is over: the annotations that would come back with them are not needed any more.
_PUT_OFF = """
    WITH kept AS (
        UPDATE deleted_images SET purge_after = clock_timestamp() + $2::interval WHERE id = ANY($1::bigint[])
        RETURNING id
    )
    DELETE FROM deleted_image_rows r USING kept WHERE r.deleted_image_id = kept.id
"""

_DROP = "DELETE FROM deleted_images WHERE id = ANY($1::bigint[])"


async def move(
    tx: WriteTransaction,
    dataset_id: str,
    project_id: str | None,
    image_ids: Sequence[str],
    user_id: int,
    kept_for: timedelta,
) -> list[Row]:
    """Move images that were taken, with what is drawn on them; a row each, in the order of their ids."""
    if len(image_ids) > 1:
        await tx.execute(_NO_NESTED_LOOPS)
    return await tx.fetch(_MOVE, dataset_id, project_id, list(image_ids), user_id, kept_for)


async def change_dataset(tx: WriteTransaction, dataset_id: str) -> bool:
    """Lock the dataset, and bump the revision of its images; False when it is gone."""
    return await tx.execute(_CHANGE_DATASET, dataset_id) > 0


async def count(
    tx: WriteTransaction, dataset_id: str, project_id: str | None, annotations: int, images: int, user_id: int
) -> None:
    """Count the images of a dataset that is locked; add to the project's annotations and annotated images."""
    await tx.execute(_COUNT_IMAGES, dataset_id)
    if project_id is not None:
        await tx.execute(_COUNT_ANNOTATIONS, project_id, annotations, images, user_id)


async def take_deleted(tx: WriteTransaction, dataset_id: str, deletion_ids: Sequence[int]) -> list[Row]:
    """Lock those of the deletions that can still be undone; (id, image_id) in the order of ids."""
    return await tx.fetch(_TAKE_DELETED, dataset_id, list(deletion_ids))


async def taken_place(connection: ReadConnection, deletion_ids: Sequence[int]) -> str | None:
    """Find a deleted image whose id or path another image has by now."""
    image_id: str | None = await connection.fetchval(_TAKEN, list(deletion_ids))
    return image_id


async def put_back_rows(
    tx: WriteTransaction, deletion_ids: Sequence[int], project_id: str | None, user_id: int
) -> tuple[int, int]:
    """Put a project's annotations and statuses back; return how many annotations, and on how many images."""
    row = await tx.fetchrow(_PUT_BACK_ROWS, list(deletion_ids), user_id, project_id)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row["annotations"], row["images"]


async def put_back_images(tx: WriteTransaction, deletion_ids: Sequence[int]) -> None:
    """Put the images themselves back. Comes last: nobody writes to an image that is not there."""
    await tx.execute(_PUT_BACK_IMAGES, list(deletion_ids))


async def page(connection: ReadConnection, dataset_id: str, before: int, limit: int) -> list[Row]:
    """Return deleted images, the latest deletion first."""
    return await connection.fetch(_PAGE, dataset_id, before, limit)


async def due(tx: WriteTransaction, limit: int) -> list[Row]:
    """Lock some of the deleted images whose time is over."""
    return await tx.fetch(_DUE, limit)


async def needed(tx: WriteTransaction, deletion_ids: Sequence[int]) -> set[int]:
    """Return those of the deletions of whose image some version has annotations."""
    return {row["id"] for row in await tx.fetch(_NEEDED, list(deletion_ids))}


async def put_off(tx: WriteTransaction, deletion_ids: Sequence[int], wait: timedelta) -> None:
    """Keep images for a while longer, without what would come back with them."""
    await tx.execute(_PUT_OFF, list(deletion_ids), wait)


async def drop(tx: WriteTransaction, deletion_ids: Sequence[int]) -> None:
    """Forget deleted images."""
    await tx.execute(_DROP, list(deletion_ids))
