"""SQL of imports: what a staged file (`imports/staging/store.py`) does to a project, in statements over all of it.

The import has marked the images that it writes to, so nobody else writes to them meanwhile, and everybody writes to the
others. Nothing that another writer could wait for is locked before the last statements, which take milliseconds.
Rows are counted here and never handed out: there may be a million.
"""

from collections.abc import Sequence
from datetime import datetime

from labeler_api.annotations.history.ledger import logged
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_PROJECT = """
    SELECT p.task_types, p.task_classes::text AS task_classes, d.annotation_path,
           COALESCE((SELECT a.id FROM annotations a WHERE a.project_id = p.id ORDER BY a.id DESC LIMIT 1), 0) AS last_id
    FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id WHERE p.id = $1
"""


# As much of the project as a row that refers to it holds anyway: its deletion waits, its writers do not.
_HOLD = "SELECT clock_timestamp() FROM annotation_projects WHERE id = $1 AND dataset_id IS NOT NULL FOR KEY SHARE"


_DELETE_PRESENT = f"""
    WITH gone AS (DELETE FROM annotations a USING import_present p WHERE a.id = p.id RETURNING a.*),
    {logged("'delete'", old="gone", user="$3::int", at="$4::timestamptz")},
    statuses AS (
        DELETE FROM image_annotation_status s USING importing_images m
        WHERE m.project_id = $1 AND m.import_id = $2 AND s.project_id = $1 AND s.image_id = m.image_id
    )
    SELECT ARRAY[count(*), count(DISTINCT image_id)]::int[] FROM gone
"""  # noqa: S608 - a part of ours


_INSERT = f"""
    WITH made AS (
        INSERT INTO annotations (
            project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            annotation_state, created_by, created_at, updated_at, confirmed_by, confirmed_at)
        SELECT $1::varchar, s.image_id, s.annotation_type, s.task_type, s.geometry, s.attributes, c.class_id,
            COALESCE(c.class_name, s.class_name), 'confirmed', $2::int, $3::timestamptz, $3::timestamptz, $2::int,
            $3::timestamptz
        FROM import_stage s LEFT JOIN import_classes c ON c.position = s.class_position
        WHERE s.number >= $4 AND s.number < $5
        ORDER BY s.number
        RETURNING *
    ),
    {logged("'create'", new="made", user="$2::int", at="$3::timestamptz", sort=False)}
    SELECT count(*)::int FROM made
"""  # noqa: S608 - a part of ours


# Every (image, task) that got an annotation: what was there ($3: and stays), and what came. An image that was
# confirmed stays so, and a new one is not confirmed by this: what is imported is confirmed one by one, whether that is
# all of it only a person can say. The row of each is looked for by its key (LIMIT keeps that from being turned into a
# join).
_REFRESH_STATUSES = """
    WITH came AS (
        SELECT image_id, task_type, count(*)::int AS number,
               (count(*) FILTER (WHERE annotation_type = 'no_object'))::int AS no_objects
        FROM import_stage GROUP BY image_id, task_type
    ),
    was AS (
        SELECT image_id, task_type, count(*)::int AS total,
               (count(*) FILTER (WHERE annotation_state = 'confirmed'))::int AS confirmed,
               (count(*) FILTER (WHERE annotation_state = 'draft'))::int AS drafts,
               (count(*) FILTER (WHERE annotation_type = 'no_object'))::int AS no_objects,
               min(created_at) AS first_modified_at, max(updated_at) AS last_modified_at
        FROM import_present WHERE $3::boolean GROUP BY image_id, task_type
    ),
    counted AS (
        SELECT c.image_id, c.task_type, c.number + COALESCE(w.total, 0) AS total,
               c.number + COALESCE(w.confirmed, 0) AS confirmed, COALESCE(w.drafts, 0) AS drafts,
               c.no_objects + COALESCE(w.no_objects, 0) AS no_objects,
               least(w.first_modified_at, $2) AS first_modified_at,
               greatest(w.last_modified_at, $2) AS last_modified_at
        FROM came c LEFT JOIN was w ON w.image_id = c.image_id AND w.task_type = c.task_type
    ),
    target AS MATERIALIZED (
        SELECT c.*, found.id AS status_id
        FROM counted c
        LEFT JOIN LATERAL (
            SELECT s.id FROM image_annotation_status s
            WHERE s.project_id = $1 AND s.image_id = c.image_id AND s.task_type = c.task_type LIMIT 1
        ) found ON true
    ),
    changed AS (
        UPDATE image_annotation_status s
        SET total_annotations = t.total, confirmed_annotations = t.confirmed, draft_annotations = t.drafts,
            first_modified_at = t.first_modified_at, last_modified_at = t.last_modified_at,
            no_object_annotations = t.no_objects, counted_total = t.total, counted_modified_at = t.last_modified_at
        FROM target t WHERE s.id = t.status_id
    ),
    made AS (
        INSERT INTO image_annotation_status (
            project_id, image_id, task_type, status, is_image_confirmed, first_modified_at, last_modified_at,
            total_annotations, confirmed_annotations, draft_annotations,
            no_object_annotations, counted_total, counted_modified_at)
        SELECT $1, image_id, task_type, 'in-progress', false, first_modified_at, last_modified_at, total, confirmed,
               drafts, no_objects, total, last_modified_at
        FROM target WHERE status_id IS NULL ORDER BY image_id, task_type
    )
    SELECT count(*)::int FROM (SELECT image_id FROM came EXCEPT SELECT image_id FROM was) new
"""


_DEFINE = """
    UPDATE annotation_projects
    SET task_types = task_types || $2::varchar[],
        task_config = $3::jsonb || task_config,
        task_classes = task_classes || $4::jsonb
    WHERE id = $1
"""


_COUNT = "SELECT count_in_project_1($1, $2, $3, $4)"


# As where PostgreSQL does it by itself, a minute after a commit.
_GROWS_MUCH = "SELECT $1 > 50 + greatest(reltuples, 0) / 10 FROM pg_class WHERE oid = 'annotations'::regclass"


# The columns that saves look for.
_ANALYSE = """
    ANALYZE annotations (project_id, image_id, task_type, class_id),
            image_annotation_status (project_id, image_id, task_type)
"""


_NOTE_SOURCE = """
    UPDATE datasets SET labeled = true, annotation_path = $2, updated_at = clock_timestamp() WHERE id = $1
"""


async def project(connection: ReadConnection, project_id: str) -> Row | None:
    """Return a project's tasks and classes, its newest annotation (0: it has none), and the dataset's file."""
    return await connection.fetchrow(_PROJECT, project_id)


async def hold(tx: WriteTransaction, project_id: str) -> datetime | None:
    """Keep a project from being deleted; return the time that the import's writes have, None when it is gone."""
    moment: datetime | None = await tx.fetchval(_HOLD, project_id)
    return moment


async def delete_present(
    tx: WriteTransaction, project_id: str, import_id: int, user_id: int, moment: datetime
) -> tuple[int, int]:
    """Delete the collected annotations, each with its revision, and their statuses.

    Return how many that were, and on how many images.
    """
    annotations, images = await tx.fetchval(_DELETE_PRESENT, project_id, import_id, user_id, moment)
    return annotations, images


async def insert(
    tx: WriteTransaction, project_id: str, user_id: int, moment: datetime, *, first: int, behind: int
) -> int:
    """Write the staged annotations from a number on, each confirmed and with its first revision; return how many."""
    number: int = await tx.fetchval(_INSERT, project_id, user_id, moment, first, behind)
    return number


async def refresh_statuses(tx: WriteTransaction, project_id: str, moment: datetime, *, present_stays: bool) -> int:
    """Bring the statuses of the images and tasks that got annotations up to date; return how many images had none."""
    number: int = await tx.fetchval(_REFRESH_STATUSES, project_id, moment, present_stays)
    return number


async def define(tx: WriteTransaction, project_id: str, new_tasks: Sequence[str], config: str, classes: str) -> None:
    """Add tasks with their configuration, and replace the classes of the tasks that `classes` names."""
    await tx.execute(_DEFINE, project_id, list(new_tasks), config, classes)


async def count(tx: WriteTransaction, project_id: str, annotations: int, images: int, user_id: int) -> None:
    """Add to a project's counters, and bump its revision."""
    await tx.execute(_COUNT, project_id, annotations, images, user_id)


async def grows_much(tx: WriteTransaction, annotations: int) -> bool:
    """Whether this many more annotations make PostgreSQL's statistics of them wrong."""
    found: bool = await tx.fetchval(_GROWS_MUCH, annotations)
    return found


async def analyse(tx: WriteTransaction) -> None:
    """Gather statistics of annotations and statuses: some 50 ms, however many there are. Plans are then made again."""
    await tx.execute(_ANALYSE)


async def note_source(tx: WriteTransaction, dataset_id: str, key: str) -> None:
    """Note that the dataset is labeled, and the file that the labels are from."""
    await tx.execute(_NOTE_SOURCE, dataset_id, key)
