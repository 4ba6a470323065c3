"""SQL of imports: what a whole file does to a project, in a few statements and one more for each thousand rows.

The project is locked by whoever calls. Rows are counted here and never handed out: there may be a million.
"""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_PROJECT = """
    SELECT p.task_types, p.task_classes::text AS task_classes, d.annotation_path,
           COALESCE((SELECT a.id FROM annotations a WHERE a.project_id = p.id ORDER BY a.id DESC LIMIT 1), 0) AS last_id
    FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id WHERE p.id = $1
"""

# Only those of the dataset: a lock is of an image that is there.
_ANNOTATED = """
    SELECT DISTINCT a.image_id FROM annotations a JOIN image_metadata i ON i.dataset_id = $2 AND i.id = a.image_id
    WHERE a.project_id = $1
"""

_DELETE_ALL = """
    WITH gone AS (DELETE FROM annotations WHERE project_id = $1 RETURNING *),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, changed_by, timestamp, revision)
        SELECT g.id, g.project_id, g.image_id, 'delete', to_jsonb(g), $2, statement_timestamp(), g.version + 1
        FROM gone g ORDER BY g.id
    ),
    statuses AS (DELETE FROM image_annotation_status WHERE project_id = $1)
    SELECT count(*)::int FROM gone
"""

_DEFINE = """
    UPDATE annotation_projects
    SET task_types = task_types || $2::varchar[],
        task_config = $3::jsonb || task_config,
        task_classes = task_classes || $4::jsonb
    WHERE id = $1
"""

# `class_id` of a draft is a position in the lists of ids and names. $6: what has an id up to it was there before the
# import, and is not made once more; 0 spares the look. "|| ''" and "+ 0" leave the planner the one index that leads to
# an image at once: without statistics, as after an upload, it takes one that reads the whole task for every row.
_INSERT = """
    WITH given AS (
        SELECT d.image_id, d.annotation_type, d.task_type, d.geometry, d.attributes, d.ordinality,
               ($4::text[])[d.class_id::int + 1] AS class_id,
               COALESCE(($5::text[])[d.class_id::int + 1], d.class_name) AS class_name
        FROM jsonb_populate_recordset(NULL::annotations, $3::jsonb) WITH ORDINALITY AS d
    ),
    made AS (
        INSERT INTO annotations (
            project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            annotation_state, created_by, created_at, updated_at, confirmed_by, confirmed_at)
        SELECT $1::varchar, g.image_id, g.annotation_type, g.task_type, g.geometry, g.attributes, g.class_id,
            g.class_name, 'confirmed', $2::int, statement_timestamp(), statement_timestamp(), $2::int,
            statement_timestamp()
        FROM given g
        WHERE $6::bigint = 0 OR NOT EXISTS (
            SELECT FROM annotations a
            WHERE a.project_id = $1::varchar AND a.image_id = g.image_id
              AND a.task_type || '' = g.task_type AND a.id + 0 <= $6
              AND a.annotation_type = g.annotation_type AND a.class_id IS NOT DISTINCT FROM g.class_id
              AND a.geometry = g.geometry AND a.attributes = g.attributes
        )
        ORDER BY g.ordinality
        RETURNING *
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, new_state, changed_by, timestamp, revision)
        SELECT m.id, m.project_id, m.image_id, 'create', to_jsonb(m), $2::int, statement_timestamp(), m.version
        FROM made m
    )
    SELECT count(*)::int FROM made
"""

# Every (image, task) that got an annotation behind $2. An image that was confirmed stays so, and a new one is not
# confirmed by this: what is imported is confirmed one by one, whether that is all of it only a person can say.
_SETTLE = """
    WITH counted AS (
        SELECT image_id, task_type, count(*)::int AS total,
               (count(*) FILTER (WHERE annotation_state = 'confirmed'))::int AS confirmed,
               (count(*) FILTER (WHERE annotation_state = 'draft'))::int AS drafts,
               (count(*) FILTER (WHERE annotation_type = 'no_object'))::int AS no_objects,
               min(created_at) AS first_modified_at, max(updated_at) AS last_modified_at, max(id) AS newest
        FROM annotations WHERE project_id = $1::varchar GROUP BY image_id, task_type
    ),
    changed AS (
        UPDATE image_annotation_status s
        SET total_annotations = c.total, confirmed_annotations = c.confirmed, draft_annotations = c.drafts,
            first_modified_at = c.first_modified_at, last_modified_at = c.last_modified_at,
            no_object_annotations = c.no_objects, counted_total = c.total, counted_modified_at = c.last_modified_at
        FROM counted c
        WHERE s.project_id = $1::varchar AND s.image_id = c.image_id AND s.task_type = c.task_type AND c.newest > $2
    ),
    made AS (
        INSERT INTO image_annotation_status (
            project_id, image_id, task_type, status, is_image_confirmed, first_modified_at, last_modified_at,
            total_annotations, confirmed_annotations, draft_annotations,
            no_object_annotations, counted_total, counted_modified_at)
        SELECT $1::varchar, c.image_id, c.task_type, 'in-progress', false, c.first_modified_at, c.last_modified_at,
               c.total, c.confirmed, c.drafts, c.no_objects, c.total, c.last_modified_at
        FROM counted c
        WHERE c.newest > $2 AND NOT EXISTS (
            SELECT FROM image_annotation_status s
            WHERE s.project_id = $1::varchar AND s.image_id = c.image_id AND s.task_type = c.task_type)
        ORDER BY c.image_id, c.task_type
    ),
    waiting AS (DELETE FROM project_changes WHERE project_id = $1::varchar RETURNING id)
    UPDATE annotation_projects p
    SET total_annotations = (SELECT COALESCE(sum(total), 0) FROM counted),
        annotated_images = (SELECT count(DISTINCT image_id) FROM counted),
        revision = p.revision + 1 + (SELECT count(*) FROM waiting), last_updated_by = $3,
        updated_at = statement_timestamp()
    WHERE p.id = $1::varchar
"""

_NOTE_SOURCE = """
    UPDATE datasets SET labeled = true, annotation_path = $2, updated_at = clock_timestamp() WHERE id = $1
"""

_DROP_EMPTY_DATASET = """
    DELETE FROM datasets d
    WHERE d.id = $1 AND NOT EXISTS (SELECT FROM image_metadata i WHERE i.dataset_id = d.id)
"""

_FORGET_KEY = "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2"


async def project(connection: ReadConnection, project_id: str) -> Row | None:
    """Return a project's tasks and classes, its newest annotation (0: it has none), and the dataset's file."""
    return await connection.fetchrow(_PROJECT, project_id)


async def annotated_images(tx: WriteTransaction, project_id: str, dataset_id: str) -> list[str]:
    """Return the images that have annotations."""
    return [row["image_id"] for row in await tx.fetch(_ANNOTATED, project_id, dataset_id)]


async def delete_all(tx: WriteTransaction, project_id: str, user_id: int) -> int:
    """Delete every annotation of a project, each with its revision, and the statuses with them; return how many."""
    number: int = await tx.fetchval(_DELETE_ALL, project_id, user_id)
    return number


async def define(tx: WriteTransaction, project_id: str, new_tasks: Sequence[str], config: str, classes: str) -> None:
    """Add tasks with their configuration, and replace the classes of the tasks that `classes` names."""
    await tx.execute(_DEFINE, project_id, list(new_tasks), config, classes)


async def insert(
    tx: WriteTransaction,
    project_id: str,
    user_id: int,
    drafts: str,
    class_ids: Sequence[str],
    class_names: Sequence[str],
    last_id: int,
) -> int:
    """Insert annotations, a JSON list of drafts, each confirmed and with its first revision; return how many.

    Those that are equal to one with an id up to `last_id` are left out.
    """
    number: int = await tx.fetchval(_INSERT, project_id, user_id, drafts, list(class_ids), list(class_names), last_id)
    return number


async def settle(tx: WriteTransaction, project_id: str, last_id: int, user_id: int) -> None:
    """Bring statuses, counters and the revision up to date after annotations with ids above `last_id` were made."""
    await tx.execute(_SETTLE, project_id, last_id, user_id)


async def note_source(tx: WriteTransaction, dataset_id: str, key: str) -> None:
    """Note that the dataset is labeled, and the file that the labels are from."""
    await tx.execute(_NOTE_SOURCE, dataset_id, key)


async def drop_empty_dataset(tx: WriteTransaction, dataset_id: str) -> bool:
    """Delete a dataset that has no image; False when it has one."""
    return await tx.execute(_DROP_EMPTY_DATASET, dataset_id) > 0


async def forget_key(tx: WriteTransaction, user_id: int, key: str) -> None:
    """Forget an Idempotency-Key whose answer holds no more."""
    await tx.execute(_FORGET_KEY, user_id, key)
