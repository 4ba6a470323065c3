"""Functions of the database: the writes that people wait for, each of them one call instead of a conversation.

A file each, made by the migration that names it and never changed after: what changes gets the next number, so that the
version before goes on calling the one that it knows.
"""

from pathlib import Path
from typing import Final

NAMES: Final = (
    "undo_key_1",
    "log_revision_1",
    "count_in_project_1",
    "refresh_progress_1",
    "hold_project_1",
    "import_at_work_1",
    "claim_image_1",
    "acquire_image_1",
    "create_annotation_1",
    "update_annotation_1",
    "delete_annotation_1",
    "set_annotation_state_1",
)
"""Those that this version calls, in an order in which they can be made."""


def source(name: str) -> str:
    """The statement that makes a function."""
    return Path(__file__).with_name(f"{name}.sql").read_text()
