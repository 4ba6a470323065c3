"""SQL of the checksums of images."""

from collections.abc import Sequence

from labeler_api.db.pool import WriteTransaction

# In the order of ids, as everybody locks images. One that was replaced meanwhile has another key.
_NOTE = """
    WITH given AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS g (dataset_id, id, s3_key, checksum)
    ), locked AS (
        SELECT i.dataset_id, i.id, g.checksum FROM image_metadata i
        JOIN given g ON g.dataset_id = i.dataset_id AND g.id = i.id AND g.s3_key = i.s3_key
        ORDER BY i.dataset_id, i.id FOR NO KEY UPDATE OF i
    )
    UPDATE image_metadata i SET content_checksum = l.checksum
    FROM locked l WHERE i.dataset_id = l.dataset_id AND i.id = l.id
"""


async def note(tx: WriteTransaction, images: Sequence[tuple[str, str, str, str]]) -> None:
    """Note checksums of images, given by dataset, id and key."""
    columns = [list(column) for column in zip(*images, strict=True)]
    await tx.execute(_NOTE, *columns)
