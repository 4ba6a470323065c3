"""SQL of confirming and unconfirming; each changed annotation gets a revision, as with any other write."""

# ruff: noqa: S608 - the only text put into the statements is parts of ours

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from labeler_api.annotations.revisions import logged
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_SET_STATE_OF_IMAGE = "SELECT * FROM set_state_of_image_1($1, $2, $3, $4, $5, $6, $7, $8)"

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


@dataclass(frozen=True, slots=True)
class Approver:
    """Who confirms in which project: roles that are enough; `anyway` needs none."""

    reference: str
    user_id: int
    roles: Sequence[str]
    anyway: bool


async def set_state_of_image(
    tx: WriteTransaction, approver: Approver, image_id: str, task_type: str | None, state: str, effect: str
) -> Row | None:
    """Confirm the drafts on an image, or make drafts of the confirmed; say what became of it."""
    return await tx.fetchrow(_SET_STATE_OF_IMAGE, *astuple(approver), image_id, task_type, state, effect)


async def find(connection: ReadConnection, ids: Sequence[int]) -> list[Row]:
    """Return of each annotation that exists its project, its image and who made it."""
    return await connection.fetch(_FIND, list(ids))


async def confirm_many(tx: WriteTransaction, project_id: str, ids: Sequence[int], user_id: int) -> list[Row]:
    """Confirm annotations of a project; those that are gone are missing from the answer."""
    return await tx.fetch(_CONFIRM_MANY, project_id, list(ids), user_id)
