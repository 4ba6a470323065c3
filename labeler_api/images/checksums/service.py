"""Finds the CRC-32 and the size of an image's bytes, which a ZIP states before the bytes.

An upload stores both (`image_metadata.content_checksum`). For older images they are found here by reading the image
once, and stored, so that it is not read for them again.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from labeler_api.context import Call
from labeler_api.errors import NotFound
from labeler_api.images.checksums import store
from labeler_api.images.checksums.checksum import Checksum


class Unread(NamedTuple):
    """An image whose bytes nobody has counted yet."""

    dataset_id: str
    image_id: str
    key: str
    version: str


async def compute(call: Call, images: Sequence[Unread]) -> dict[str, Checksum]:
    """Read the bytes of images, and note what was found in their rows; by key. What is not in the store is not there.

    No connection is held while they are read.
    """
    found: dict[str, Checksum] = {}

    async def one(image: Unread) -> None:
        async with call.services.rereading.turn(call.user_id):
            try:
                found[image.key] = await _read(call, image)
            except NotFound:
                return

    async with asyncio.TaskGroup() as group:
        for image in images:
            group.create_task(one(image))
    noted = [(image, str(found[image.key])) for image in images if image.key in found]
    if noted:
        async with call.db.begin(long=True) as tx:
            await store.note(tx, [(one.dataset_id, one.image_id, one.key, text) for one, text in noted])
    return found


async def _read(call: Call, image: Unread) -> Checksum:
    crc = size = 0
    async with call.objects.open(call.settings.s3_bucket_datasets, image.key) as stream:
        async for chunk in stream.iter_chunks():
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return Checksum(crc, size, image.version)
