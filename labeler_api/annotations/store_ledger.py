"""The ledger: what goes with every write of annotations, whoever writes.

Each changed annotation gets a revision in its history (`logged`). The statuses of the images, the project's counters
and its revision follow (`refresh_progress`). A save is a function of the database, which does the same by
`log_revision_1` and `refresh_progress_1` (`labeler_api/db/functions`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from labeler_api.db.pool import Row, WriteTransaction


class ConfirmationEffect(StrEnum):
    """What a write does to the image's confirmation (contract, section 15, image status)."""

    KEEP = "keep"  # deleting one of several, a new no_object
    CLEAR = "clear"  # a new draft, an edit, an unconfirm
    CONFIRM = "confirm"  # an image confirm
    CONFIRM_IF_COMPLETE = "confirm_if_complete"  # an annotation confirm: only after the last draft


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A task of an image that a write touched, and by how many its annotations grew or shrank."""

    image_id: str
    task_type: str
    effect: ConfirmationEffect
    added: int = 0


_REFRESH = "SELECT * FROM refresh_progress_1($1, $2, $3, $4, $5, $6)"


def logged(action: str, *, new: str = "", old: str = "", user: str, at: str = "statement_timestamp()") -> str:
    """Write the part `logged` of a WITH: a revision for each annotation that the statement wrote.

    `new` and `old` name the parts with the rows as they became and as they were: only `new` where they were made, only
    `old` where they were deleted. `action`, `user` and `at` are SQL.
    """
    rows = f"{new} n LEFT JOIN {old} o USING (id)" if new and old else f"{new} n" if new else f"{old} o"
    shown, revision = ("n", "n.version") if new else ("o", "o.version + 1")
    return f"""
        logged AS (
            INSERT INTO annotation_history
                (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp,
                 revision)
            SELECT {shown}.id, {shown}.project_id, {shown}.image_id, {action}, {"to_jsonb(o)" if old else "NULL"},
                   {"to_jsonb(n)" if new else "NULL"}, {user}, {at}, {revision}
            FROM {rows} ORDER BY {shown}.id
        )
    """  # noqa: S608 - names of parts and parameters


async def refresh_progress(
    tx: WriteTransaction, project_id: str, changes: Sequence[StatusChange], user_id: int
) -> list[Row]:
    """Bring status rows, counters and the revision up to date after a write; return the statuses that remain.

    `changes` names every (image, task) at most once. Raises Stale where an import began on one of the images at this
    moment: the next try is refused when it claims the image.
    """
    return await tx.fetch(
        _REFRESH,
        project_id,
        [change.image_id for change in changes],
        [change.task_type for change in changes],
        [change.effect.value for change in changes],
        [change.added for change in changes],
        user_id,
    )
