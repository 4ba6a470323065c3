"""The ledger: what goes with every write of annotations, whoever writes.

Each changed annotation gets a revision in its history (`revisions.logged`). The statuses of the images, the project's
counters and its revision follow (`refresh_progress`). A save is a function of the database, which does the same by
`log_revision_2` and `follow_write_2` (`labeler_api/db/functions`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from labeler_api.db.pool import Row, WriteTransaction


class ConfirmationEffect(StrEnum):
    """What a write does to the image's confirmation (contract#progress)."""

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
