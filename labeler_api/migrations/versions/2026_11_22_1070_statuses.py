"""One status row per image and task, counted from the annotations; an image's confirmation is carried over.

A row without a task spoke for all tasks of its image: its confirmation goes to each of them. A row beside which there is no
annotation says nothing and goes to quarantine.
"""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1070"
down_revision = "20261122_1060"
branch_labels = None
depends_on = None

# What each row should say; confirmations of rows with the task and of rows without one.
_COUNTED = """
    SELECT a.project_id, a.image_id, a.task_type,
           count(*) AS total,
           count(*) FILTER (WHERE a.annotation_state = 'confirmed') AS confirmed,
           count(*) FILTER (WHERE a.annotation_state = 'draft') AS draft,
           min(a.created_at) AS first_modified_at,
           max(a.updated_at) AS last_modified_at
      FROM annotations a GROUP BY a.project_id, a.image_id, a.task_type"""
_WANTED = f"""
    SELECT c.*, coalesce(s.is_confirmed, false) AS is_confirmed, s.confirmed_at, s.keeper
      FROM ({_COUNTED}) AS c
      LEFT JOIN LATERAL (
          SELECT bool_or(s.is_image_confirmed) AS is_confirmed,
                 max(s.confirmed_at) FILTER (WHERE s.is_image_confirmed) AS confirmed_at,
                 min(s.id) FILTER (WHERE s.task_type IS NOT NULL) AS keeper
            FROM image_annotation_status s
           WHERE s.project_id = c.project_id AND s.image_id = c.image_id
             AND (s.task_type = c.task_type OR s.task_type IS NULL)) AS s ON true"""


def upgrade() -> None:
    with repairs(revision, "annotations", "image_annotation_status") as rows:
        run("CREATE INDEX status_of_image ON image_annotation_status (project_id, image_id)")
        run(f"CREATE TEMPORARY TABLE wanted ON COMMIT DROP AS {_WANTED}")
        run("CREATE INDEX ON wanted (project_id, image_id, task_type)")
        run("ANALYZE wanted")
        _retire(rows)
        _settle(rows)
        run("DROP INDEX status_of_image")
        run("ALTER TABLE image_annotation_status ALTER COLUMN task_type SET NOT NULL")
        run("""
            ALTER TABLE image_annotation_status
                ADD CONSTRAINT uq_image_annotation_status UNIQUE (project_id, image_id, task_type),
                ADD CONSTRAINT ck_image_annotation_status_status CHECK (status IN ('not-started', 'in-progress', 'completed'))
        """)
        run("DROP TABLE wanted")


def _retire(rows: Repairs) -> None:
    of_image = "SELECT FROM wanted w WHERE w.project_id = x.project_id AND w.image_id = x.image_id"
    rows.quarantine(
        "image_annotation_status",
        f"NOT EXISTS ({of_image} AND (w.task_type = x.task_type OR x.task_type IS NULL))",
        "the image has no annotation of the task",
    )
    rows.merge(
        "image_annotation_status",
        "a row without a task: taken over by the rows of the image's tasks",
        "DELETE FROM image_annotation_status WHERE task_type IS NULL",
    )
    rows.merge(
        "image_annotation_status",
        "rows of one image and task: taken over by the oldest",
        """
        DELETE FROM image_annotation_status s USING wanted w
        WHERE w.project_id = s.project_id AND w.image_id = s.image_id AND w.task_type = s.task_type AND s.id <> w.keeper
        """,
    )


def _settle(rows: Repairs) -> None:
    rows.change(
        "image_annotation_status",
        "counts, times and status follow from the annotations and the image's confirmation",
        """
        UPDATE image_annotation_status s SET
            total_annotations = w.total, confirmed_annotations = w.confirmed, draft_annotations = w.draft,
            first_modified_at = w.first_modified_at, last_modified_at = w.last_modified_at,
            is_image_confirmed = w.is_confirmed, confirmed_at = w.confirmed_at,
            status = CASE WHEN w.is_confirmed THEN 'completed' ELSE 'in-progress' END
        FROM wanted w
        WHERE w.keeper = s.id AND
            (s.total_annotations, s.confirmed_annotations, s.draft_annotations, s.first_modified_at, s.last_modified_at,
             s.is_image_confirmed, s.confirmed_at, s.status)
            IS DISTINCT FROM
            (w.total::int, w.confirmed::int, w.draft::int, w.first_modified_at, w.last_modified_at,
             w.is_confirmed, w.confirmed_at, CASE WHEN w.is_confirmed THEN 'completed' ELSE 'in-progress' END)
        """,
    )
    rows.add(
        "image_annotation_status",
        "an image and task with annotations but without a row",
        """
        INSERT INTO image_annotation_status
            (project_id, image_id, task_type, status, total_annotations, confirmed_annotations, draft_annotations,
             first_modified_at, last_modified_at, is_image_confirmed, confirmed_at)
        SELECT project_id, image_id, task_type, CASE WHEN is_confirmed THEN 'completed' ELSE 'in-progress' END,
               total, confirmed, draft, first_modified_at, last_modified_at, is_confirmed, confirmed_at
        FROM wanted WHERE keeper IS NULL
        """,
    )


downgrade = forward_only
