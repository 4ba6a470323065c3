"""SQL of confirming and unconfirming; each changed annotation gets a revision, as with any other write."""

# ruff: noqa: S608 - the only text put into the statements is parts of ours

from collections.abc import Sequence

from labeler_api.annotations.revisions import logged
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_ACTION = "CASE WHEN $5::text = 'confirmed' THEN 'confirm' ELSE 'unconfirm' END"

# The image as a range, in its order: which index that comes from does not depend on what the plan was made for.
# $5 'confirmed', which changes the drafts, or 'draft', which changes the confirmed ones.
_SET_STATE_OF_IMAGE = f"""
    WITH old AS MATERIALIZED (
        SELECT * FROM annotations
        WHERE project_id = $1 AND image_id BETWEEN $2 AND $2 AND ($3::text IS NULL OR task_type = $3)
        ORDER BY image_id
    ),
    new AS (
        UPDATE annotations a
        SET annotation_state = $5::text,
            confirmed_at = CASE WHEN $5::text = 'confirmed' THEN statement_timestamp() END,
            confirmed_by = CASE WHEN $5::text = 'confirmed' THEN $4::int END,
            version = a.version + 1, updated_at = statement_timestamp()
        FROM old o
        WHERE a.id = o.id AND o.annotation_state = CASE WHEN $5::text = 'confirmed' THEN 'draft' ELSE 'confirmed' END
        RETURNING a.*
    ),
    {logged(_ACTION, new="new", old="old", user="$4::int")}
    SELECT DISTINCT task_type FROM old ORDER BY task_type
"""

_IMAGE_EXISTS = "SELECT EXISTS (SELECT FROM image_metadata WHERE dataset_id = $1 AND id = $2)"

_FIND = "SELECT id, project_id, image_id, created_by FROM annotations WHERE id = ANY($1::bigint[])"

# Confirming again counts as a change, as it does for one annotation.
_CONFIRM_MANY = f"""
    WITH old AS MATERIALIZED (SELECT * FROM annotations WHERE project_id = $1 AND id = ANY($2::bigint[])),
    new AS (
        UPDATE annotations a
        SET annotation_state = 'confirmed', confirmed_at = statement_timestamp(), confirmed_by = $3,
            version = a.version + 1, updated_at = statement_timestamp()
        FROM old o WHERE a.id = o.id
        RETURNING a.*
    ),
    {logged("'confirm'", new="new", old="old", user="$3")}
    SELECT id, image_id, task_type, annotation_state, confirmed_at, confirmed_by FROM new
"""


async def set_state_of_image(
    tx: WriteTransaction, project_id: str, image_id: str, task_type: str | None, user_id: int, state: str
) -> list[str]:
    """Confirm the drafts on an image, or make drafts of the confirmed; return the tasks that have annotations on it."""
    rows = await tx.fetch(_SET_STATE_OF_IMAGE, project_id, image_id, task_type, user_id, state)
    return [row["task_type"] for row in rows]


async def image_exists(connection: ReadConnection, dataset_id: str, image_id: str) -> bool:
    """Whether the dataset has the image."""
    found: bool = await connection.fetchval(_IMAGE_EXISTS, dataset_id, image_id)
    return found


async def find(connection: ReadConnection, ids: Sequence[int]) -> list[Row]:
    """Return of each annotation that exists its project, its image and who made it."""
    return await connection.fetch(_FIND, list(ids))


async def confirm_many(tx: WriteTransaction, project_id: str, ids: Sequence[int], user_id: int) -> list[Row]:
    """Confirm annotations of a project; those that are gone are missing from the answer."""
    return await tx.fetch(_CONFIRM_MANY, project_id, list(ids), user_id)
