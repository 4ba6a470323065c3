"""SQL of a batch: one statement for all new annotations of a project, each with its first revision."""

from labeler_api.annotations.store import MADE
from labeler_api.db.pool import WriteTransaction

# Nobody reads the other columns here.
_INSERT = f"WITH {MADE} SELECT id FROM made ORDER BY id"  # noqa: S608 - fixed text


async def insert(tx: WriteTransaction, project_id: str, user_id: int, drafts: str) -> list[int]:
    """Insert annotations, a JSON list of `AnnotationDraft`; return their ids in the order of the list."""
    return [row["id"] for row in await tx.fetch(_INSERT, project_id, user_id, drafts)]
