"""How an import keeps others from its images, and lets everybody else work.

It marks the images that it writes to in a short transaction of its own, before it writes; a save on one of them is then
refused (423) by the statement that claims its image, and no other save meets the import at all.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, WriteTransaction
from labeler_api.errors import ImportRunning
from labeler_api.locks.image_locks.schemas import lock_info
from labeler_api.locks.image_locks.service import image_locked, importing
from labeler_api.locks.import_locks import store
from labeler_api.members.authorization.service import Access

_MARKED_AT_ONCE = 10_000  # names in one statement: to encode them holds the event loop for some milliseconds


@dataclass(frozen=True, slots=True)
class ImportMarks:
    """An import on its way to its images. `id` is the number of the transaction that writes it."""

    id: int
    project_id: str
    user_id: int

    async def mark(self, tx: WriteTransaction, image_ids: Sequence[str]) -> None:
        """Mark the images that a file names. Keeps nobody waiting, so it comes before the turn in the project."""
        for start in range(0, len(image_ids), _MARKED_AT_ONCE):
            names = image_ids[start : start + _MARKED_AT_ONCE]
            await store.mark(tx, self.project_id, self.id, self.user_id, names)

    async def mark_annotated(self, tx: WriteTransaction) -> None:
        """Mark every image that has annotations."""
        await store.mark_annotated(tx, self.project_id, self.id, self.user_id)

    async def wait_for_writers(self, tx: WriteTransaction, dataset_id: str) -> bool:
        """Wait for those who had an image before its mark was committed. Belongs into a transaction of its own.

        Return whether all marked images are there: nobody deletes one from now on.
        """
        return await store.wait_for_writers(tx, self.project_id, self.id, dataset_id)

    async def refuse_if_taken(self, tx: WriteTransaction, *, whole: bool) -> None:
        """Raise Locked where somebody else is at work on a marked image; the marks go with the transaction.

        With `whole` every other import of the project is in the way. The transaction has to have its turn in the
        project, so that of two imports at once the second sees the first.
        """
        if await store.other_import(tx, self.project_id, self.id, whole=whole) is not None:
            raise ImportRunning("Another import is at work on these images. Try again when it is done.")
        held = await store.held_by_other(tx, self.project_id, self.id, self.user_id)
        if held is not None:
            raise image_locked(lock_info(held, {}))


async def look_ahead(connection: ReadConnection, call: Call, access: Access, image_ids: Collection[str]) -> None:
    """Raise Locked where somebody else is at work on one of the images just now.

    For a file that is judged long before it is written: it takes nothing, and the marks decide when the time comes.
    """
    names = list(image_ids)
    for start in range(0, len(names), _MARKED_AT_ONCE):
        some = names[start : start + _MARKED_AT_ONCE]
        held = await store.held_by_others(connection, access.require_project_id(), call.user_id, some)
        if held is not None:
            raise image_locked(lock_info(held, {}))
        for row in await store.find(connection, access.require_project_id(), some):
            raise importing(lock_info(row, {}))


async def sweep(call: Call) -> None:
    """Take the marks away that mean nothing any more: those of imports that have ended, of a killed process, too."""
    async with call.db.begin() as tx:
        await store.sweep(tx)
