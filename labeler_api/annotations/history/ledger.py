"""The ledger: the updates that every write of annotations must also make.

Each changed annotation gets a revision in its history. The statuses of the images, the project's counters and its
revision follow. A write is a function of the database, which does so by `log_revision_2` and `follow_write_2` or
`refresh_progress_1` (`labeler_api/db/functions`). Statements over the rows of a whole import, or of many images, have a
part for the history from `logged`.
"""

from enum import StrEnum


class ConfirmationEffect(StrEnum):
    """What a write does to the image's confirmation (contract#progress)."""

    KEEP = "keep"  # deleting one of several, a new no_object
    CLEAR = "clear"  # a new draft, an edit, an unconfirm
    CONFIRM = "confirm"  # an image confirm
    CONFIRM_IF_COMPLETE = "confirm_if_complete"  # an annotation confirm: only after the last draft


def logged(
    action: str, *, new: str = "", old: str = "", user: str, at: str = "statement_timestamp()", sort: bool = True
) -> str:
    """Write the part `logged` of a WITH: a revision for each annotation that the statement wrote.

    `new` and `old` name the parts with the rows as they became and as they were: only `new` where they were made, only
    `old` where they were deleted. `action`, `user` and `at` are SQL. Without `sort` the order is that of the part: a
    sort of many rows, each with its JSON, goes to disk.
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
            FROM {rows} {f"ORDER BY {shown}.id" if sort else ""}
        )
    """  # noqa: S608 - names of parts and parameters
