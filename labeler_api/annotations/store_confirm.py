"""SQL of confirming and unconfirming; each changed annotation gets a revision, as with any other write."""

from labeler_api.db.pool import Row, WriteTransaction

# $2 'confirmed' or 'draft'; repeating it counts as a change (contract, 7.3).
_SET_STATE = """
    WITH old AS MATERIALIZED (SELECT * FROM annotations WHERE id = $1),
    new AS (
        UPDATE annotations
        SET annotation_state = $2::text,
            confirmed_at = CASE WHEN $2::text = 'confirmed' THEN statement_timestamp() END,
            confirmed_by = CASE WHEN $2::text = 'confirmed' THEN $3::int END,
            version = version + 1, updated_at = statement_timestamp()
        WHERE id = $1
        RETURNING *
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision)
        SELECT n.id, n.project_id, n.image_id, CASE WHEN $2::text = 'confirmed' THEN 'confirm' ELSE 'unconfirm' END,
            to_jsonb(o), to_jsonb(n), $3::int, statement_timestamp(), n.version
        FROM new n JOIN old o USING (id)
    )
    SELECT id, project_id, image_id, task_type, annotation_state, confirmed_at, confirmed_by FROM new
"""

_CONFIRM_DRAFTS = """
    WITH old AS MATERIALIZED (
        SELECT * FROM annotations
        WHERE project_id = $1 AND image_id = $2 AND ($3::text IS NULL OR task_type = $3)
    ),
    new AS (
        UPDATE annotations a
        SET annotation_state = 'confirmed', confirmed_at = statement_timestamp(), confirmed_by = $4,
            version = a.version + 1, updated_at = statement_timestamp()
        FROM old o
        WHERE a.id = o.id AND o.annotation_state = 'draft'
        RETURNING a.*
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision)
        SELECT n.id, n.project_id, n.image_id, 'confirm', to_jsonb(o), to_jsonb(n), $4, statement_timestamp(), n.version
        FROM new n JOIN old o USING (id) ORDER BY n.id
    )
    SELECT DISTINCT task_type FROM old ORDER BY task_type
"""


async def set_state(tx: WriteTransaction, annotation_id: int, state: str, user_id: int) -> Row | None:
    """Confirm an annotation or make it a draft again; None when it is gone."""
    return await tx.fetchrow(_SET_STATE, annotation_id, state, user_id)


async def confirm_drafts(
    tx: WriteTransaction, project_id: str, image_id: str, task_type: str | None, user_id: int
) -> list[str]:
    """Confirm the drafts on an image; return the tasks that have annotations on it, drafts or not."""
    rows = await tx.fetch(_CONFIRM_DRAFTS, project_id, image_id, task_type, user_id)
    return [row["task_type"] for row in rows]
