"""SQL of a batch: one function for all new annotations of a project, each with its first revision."""

from msgspec.structs import astuple

from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.members.authorization.access import Actor

_INSERT = "SELECT * FROM create_annotations_1($1, $2, $3, $4, $5::jsonb, $6)"


async def insert(tx: WriteTransaction, actor: Actor, drafts: str, lease_seconds: int) -> Row | None:
    """Insert annotations, a JSON list of `AnnotationDraft`; say what became of it.

    `ids` are in the order of the list, None for what was left out. `refused` has the locks of the images that the actor
    may not write to, and `reasons` why.
    """
    return await tx.fetchrow(_INSERT, *astuple(actor), drafts, lease_seconds)
