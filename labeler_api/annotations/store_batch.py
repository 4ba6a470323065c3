"""SQL of a batch: one statement for all new annotations of a project, each with its first revision."""

from labeler_api.annotations.revisions import logged
from labeler_api.db.pool import WriteTransaction

# New annotations of a project, each with its first revision: of a statement that goes on to SELECT from `made`. Nothing
# comes back by a batch: who undoes deletions creates one by one.
MADE = f"""
    made AS (
        INSERT INTO annotations (
            project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            confidence, notes, annotation_state, created_by, created_at, updated_at, confirmed_by, confirmed_at)
        SELECT $1, d.image_id, d.annotation_type, d.task_type, d.geometry, d.attributes, d.class_id, d.class_name,
            d.confidence, d.notes, d.annotation_state, $2::int, statement_timestamp(), statement_timestamp(),
            CASE WHEN d.annotation_state = 'confirmed' THEN $2::int END,
            CASE WHEN d.annotation_state = 'confirmed' THEN statement_timestamp() END
        FROM jsonb_populate_recordset(NULL::annotations, $3::jsonb) WITH ORDINALITY AS d
        ORDER BY d.ordinality
        RETURNING *
    ),
    {logged("'create'", new="made", user="$2::int")}
"""  # noqa: S608 - parts of ours

# Nobody reads the other columns here.
_INSERT = f"WITH {MADE} SELECT id FROM made ORDER BY id"  # noqa: S608 - fixed text


async def insert(tx: WriteTransaction, project_id: str, user_id: int, drafts: str) -> list[int]:
    """Insert annotations, a JSON list of `AnnotationDraft`; return their ids in the order of the list."""
    return [row["id"] for row in await tx.fetch(_INSERT, project_id, user_id, drafts)]
