"""Functions of the database: the writes that people wait for, each of them one call instead of a conversation.

A file each, made by the migration that names it and never changed after: what changes gets the next number, so that the
version before goes on calling the one that it knows.

Those that the API calls set `search_path` and how they are planned. Inner functions inherit these settings. They set
their own only if the API also calls them directly: each setting is set and taken back with each call.
"""

from pathlib import Path
from typing import Final

NAMES: Final = (
    "delete_history_1",
    "count_status_1",
    "count_new_statuses_1",
    "count_gone_statuses_1",
    "count_confirmed_status_1",
    "undo_key_1",
    "count_in_project_1",
    "refresh_progress_1",
    "hold_project_1",
    "import_at_work_1",
    "claim_image_1",
    "hold_project_2",
    "claim_image_2",
    "log_revision_2",
    "count_in_project_2",
    "follow_write_2",
    "undone_deletion_2",
    "acquire_image_2",
    "create_annotation_2",
    "update_annotation_2",
    "delete_annotation_2",
    "set_annotation_state_2",
    "lock_project_1",
    "classes_of_1",
    "write_classes_1",
    "add_class_1",
    "change_classes_1",
    "delete_class_1",
    "set_state_of_image_1",
    "restore_annotation_1",
    "claim_images_1",
    "create_annotations_1",
    "confirm_annotations_1",
    "cancel_invitations_1",
    "set_member_role_1",
    "transfer_project_1",
    "create_invitation_1",
    "accept_invitation_1",
    "project_page_1",
    "image_page_1",
)
"""Those that this version needs, in an order in which they can be made."""

TRIGGERS: Final = (
    "CREATE TRIGGER delete_history AFTER DELETE ON annotation_projects"
    " FOR EACH ROW EXECUTE FUNCTION delete_history_1()",
    "CREATE TRIGGER count_new AFTER INSERT ON image_annotation_status REFERENCING NEW TABLE AS new_statuses"
    " FOR EACH STATEMENT EXECUTE FUNCTION count_new_statuses_1()",
    "CREATE TRIGGER count_gone AFTER DELETE ON image_annotation_status REFERENCING OLD TABLE AS gone_statuses"
    " FOR EACH STATEMENT EXECUTE FUNCTION count_gone_statuses_1()",
    "CREATE TRIGGER count_confirmed AFTER UPDATE ON image_annotation_status FOR EACH ROW"
    " WHEN (OLD.is_image_confirmed IS DISTINCT FROM NEW.is_image_confirmed)"
    " EXECUTE FUNCTION count_confirmed_status_1()",
)
"""The statements that make the triggers; they need the functions."""


def source(name: str) -> str:
    """The statement that makes a function."""
    return Path(__file__).with_name(f"{name}.sql").read_text()
