"""The history names its image, and a state that is absent is SQL's NULL, not JSON's.

The rows are written once for all of it: the history is the largest table.
"""

from labeler_api.migrations.steps import forward_only, repairs, run, value

revision = "20261122_1045"
down_revision = "20261122_1040"
branch_labels = None
depends_on = None

RULES = {
    "image_id: taken from the annotation while it exists": "of_annotation IS NOT NULL",
    "image_id: of a deleted annotation, taken from its deletion": "of_annotation IS NULL AND of_deletion IS NOT NULL",
    "previous_state: JSON null becomes NULL": "no_previous",
    "new_state: JSON null becomes NULL": "no_new",
}

_DELETIONS = """
    SELECT DISTINCT ON (project_id, annotation_id) project_id, annotation_id, left(previous_state ->> 'image_id', 255) AS image_id
      FROM annotation_history WHERE action = 'delete' AND previous_state ->> 'image_id' IS NOT NULL
     ORDER BY project_id, annotation_id, id DESC"""


def upgrade() -> None:
    with repairs(revision, "annotation_history", "annotations") as rows:
        run("ALTER TABLE annotation_history ADD COLUMN revision integer, ADD COLUMN image_id varchar(255)")
        run(f"""
            CREATE TEMPORARY TABLE mended ON COMMIT DROP AS
            SELECT h.id, a.image_id AS of_annotation, d.image_id AS of_deletion,
                   jsonb_typeof(h.previous_state) IS NOT DISTINCT FROM 'null' AS no_previous,
                   jsonb_typeof(h.new_state) IS NOT DISTINCT FROM 'null' AS no_new
              FROM annotation_history h
              LEFT JOIN annotations a ON a.id = h.annotation_id AND a.project_id = h.project_id
              LEFT JOIN ({_DELETIONS}) AS d ON d.annotation_id = h.annotation_id AND d.project_id = h.project_id
        """)
        for rule, condition in RULES.items():
            rows.note("annotation_history", "changed", rule, value(f"SELECT count(*) FROM mended WHERE {condition}"))
        run(f"""
            UPDATE annotation_history h SET
                image_id = coalesce(m.of_annotation, m.of_deletion),
                previous_state = CASE WHEN m.no_previous THEN NULL ELSE h.previous_state END,
                new_state = CASE WHEN m.no_new THEN NULL ELSE h.new_state END
            FROM mended m WHERE m.id = h.id AND ({" OR ".join(f"({condition})" for condition in RULES.values())})
        """)
        run("DROP TABLE mended")


downgrade = forward_only
