"""SQL of classes, which live in the project's row. Each change is a function of the database."""

from collections.abc import Sequence

from msgspec.structs import astuple

from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.members.authorization.access import OUTCOME, Actor

_ADD = f"SELECT {OUTCOME}, class::text AS class FROM add_class_1($1, $2, $3, $4, $5, $6, $7::jsonb, $8)"  # noqa: S608 - columns

_CHANGE = f"""
    SELECT {OUTCOME}, missing, classes::text AS classes, counts::text AS counts
    FROM change_classes_1($1, $2, $3, $4, $5, $6, $7::jsonb, $8)
"""  # noqa: S608 - columns

_DELETE = "SELECT * FROM delete_class_1($1, $2, $3, $4, $5, $6)"


async def add(
    tx: WriteTransaction, actor: Actor, task_type: str, class_id: str, stored: str, most_bytes: int
) -> Row | None:
    """Append a class, given as JSON without its place; say what became of it, with the class as it is stored."""
    return await tx.fetchrow(_ADD, *astuple(actor), task_type, class_id, stored, most_bytes)


async def change(
    tx: WriteTransaction,
    actor: Actor,
    task_type: str,
    class_ids: Sequence[str],
    changes: str | None,
    most_bytes: int | None,
) -> Row | None:
    """Change classes: a JSON list with an object for each id, None to look only. Say what became of it.

    With the classes by id, and for each id the numbers of its annotations and of the images with them.
    """
    return await tx.fetchrow(_CHANGE, *astuple(actor), task_type, list(class_ids), changes, most_bytes)


async def delete(tx: WriteTransaction, actor: Actor, task_type: str, class_id: str) -> Row | None:
    """Remove a class that no annotation of the task has; say what became of it."""
    return await tx.fetchrow(_DELETE, *astuple(actor), task_type, class_id)
