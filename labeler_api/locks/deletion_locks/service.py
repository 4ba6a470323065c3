"""How a deletion takes images: it waits for writes that are under way on them, and for nobody else's.

A lock is looked at after the image is taken. Who acquires one takes a share of the image first (`store`), so no lock
comes into being between the look and the end of the deletion.
"""

from collections.abc import Sequence

from labeler_api.context import Call
from labeler_api.db.pool import WriteTransaction
from labeler_api.locks.deletion_locks import store
from labeler_api.locks.image_locks.schemas import lock_info
from labeler_api.locks.image_locks.service import image_locked, importing
from labeler_api.locks.import_locks import store as import_locks_store
from labeler_api.members.authorization.service import Access


async def take_images(tx: WriteTransaction, call: Call, access: Access, image_ids: Sequence[str]) -> list[str]:
    """Take images until the transaction ends; return those that the dataset has, in the order of their ids.

    Raises Locked while somebody else holds one of them, or an import is at work on it.
    """
    taken = await store.take(tx, access.dataset_id, image_ids)
    if access.project_id is None or not taken:  # without a project there are neither locks nor imports
        return taken
    # Statements of their own: they see what was committed while the images were waited for.
    held = await store.held_by_others(tx, access.project_id, taken, call.user_id)
    if held is not None:
        raise image_locked(lock_info(held, {}))
    at_work = await import_locks_store.find(tx, access.project_id, taken)
    if at_work:
        raise importing(lock_info(at_work[0], {}))
    return taken
