"""SQL of confirming and unconfirming; each changed annotation gets a revision, as with any other write."""

from collections.abc import Sequence

from msgspec.structs import astuple

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS as ACCESS
from labeler_api.members.authorization.access import Actor

_SET_STATE_OF_IMAGE = "SELECT * FROM set_state_of_image_1($1, $2, $3, $4, $5, $6, $7, $8)"

# Each by the primary key, which the range sees to (`editing.store`).
_FIND = f"""
    SELECT {ACCESS}, a.id, a.image_id, a.created_by
    FROM (SELECT DISTINCT id FROM unnest($1::bigint[]) AS ids (id)) asked
    CROSS JOIN LATERAL (
        SELECT id, image_id, created_by, project_id FROM annotations
        WHERE id BETWEEN asked.id AND asked.id ORDER BY id LIMIT 1
    ) a
    JOIN annotation_projects p ON p.id = a.project_id
    JOIN datasets d ON d.id = p.dataset_id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
"""  # noqa: S608 - columns

_CONFIRM_MANY = "SELECT * FROM confirm_annotations_1($1, $2, $3, $4, $5, $6)"


async def set_state_of_image(
    tx: WriteTransaction, actor: Actor, image_id: str, task_type: str | None, state: str, effect: str
) -> Row | None:
    """Confirm the drafts on an image, or make drafts of the confirmed; say what became of it."""
    return await tx.fetchrow(_SET_STATE_OF_IMAGE, *astuple(actor), image_id, task_type, state, effect)


async def find(connection: ReadConnection, ids: Sequence[int], user_id: int) -> list[Row]:
    """Return of each annotation that exists its image, who made it, and the user's access to its project."""
    return await connection.fetch(_FIND, list(ids), user_id)


async def confirm_many(tx: WriteTransaction, actor: Actor, ids: Sequence[int], image_ids: Sequence[str]) -> Row | None:
    """Confirm annotations of a project, which are on these images; say what became of it.

    `ids` are those that were confirmed, `busy` the locks of imports that are at work on some of the images.
    """
    return await tx.fetchrow(_CONFIRM_MANY, *astuple(actor), list(ids), list(image_ids))
