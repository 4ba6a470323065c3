"""The ledger: what goes with every write of annotations, whoever writes.

Each changed annotation gets a revision in its history. The statuses of the images, the project's counters and its
revision follow. A write is a function of the database, which does so by `log_revision_2` and `follow_write_2` or
`refresh_progress_1` (`labeler_api/db/functions`). Statements over the rows of a whole import, or of many images, have a
part for the history from `revisions.logged`.
"""

from enum import StrEnum


class ConfirmationEffect(StrEnum):
    """What a write does to the image's confirmation (contract#progress)."""

    KEEP = "keep"  # deleting one of several, a new no_object
    CLEAR = "clear"  # a new draft, an edit, an unconfirm
    CONFIRM = "confirm"  # an image confirm
    CONFIRM_IF_COMPLETE = "confirm_if_complete"  # an annotation confirm: only after the last draft
