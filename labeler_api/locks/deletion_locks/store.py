"""SQL that takes images for a deletion: nobody works on them until the transaction ends."""

from collections.abc import Sequence

from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.locks.image_locks.lease import LIVE

# FOR UPDATE: whoever wants to lock or write to one of them waits, and then finds it gone. In the order of ids, as
# every writer of several images takes them. Each by the primary key, which the range sees to (`import_locks.store`).
_TAKE = """
    SELECT one.id FROM (SELECT DISTINCT unnest($2::text[]) AS image_id ORDER BY image_id) asked
    CROSS JOIN LATERAL (
        SELECT id FROM image_metadata WHERE dataset_id = $1 AND id BETWEEN asked.image_id AND asked.image_id
        ORDER BY id LIMIT 1 FOR UPDATE
    ) one
"""

_HELD_BY_OTHERS = f"""
    SELECT image_id, user_id, locked_at, expires_at, heartbeat_at FROM image_locks
    WHERE project_id = $1 AND image_id = ANY($2::text[]) AND user_id <> $3 AND {LIVE}
    ORDER BY image_id LIMIT 1
"""  # noqa: S608 - a condition of ours


async def take(tx: WriteTransaction, dataset_id: str, image_ids: Sequence[str]) -> list[str]:
    """Wait for the images' writers, and keep everybody else from the images; return those that are there."""
    return [row["id"] for row in await tx.fetch(_TAKE, dataset_id, list(image_ids))]


async def held_by_others(tx: WriteTransaction, project_id: str, image_ids: Sequence[str], user_id: int) -> Row | None:
    """Find a live lock of somebody else on one of the images."""
    return await tx.fetchrow(_HELD_BY_OTHERS, project_id, list(image_ids), user_id)
