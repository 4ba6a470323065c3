"""What browsers are shown of pictures whose format they do not draw.

An upload makes it at once. An image that is older than renditions gets one when somebody first looks at it; it is kept.
Each such image is decoded once, in the processes and within the limits of uploads. The original stays as it is.
"""

import asyncio
from functools import partial

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import AppError
from labeler_api.http.forms.multipart import Spool
from labeler_api.images import removal
from labeler_api.images.media.links import is_shown_as_it_is, shown_key
from labeler_api.images.paths import rendition_key
from labeler_api.images.pictures import rendition
from labeler_api.images.upload import store as upload_store
from labeler_api.resilience.retry import retry_while_unavailable
from labeler_api.workers.decoders import SHOWS_OPEN_FILES, DecodingFailed, open_file

_SINGLE_PUT_BYTES = 8 * 1024 * 1024  # larger objects travel in parts, so that no more than this is in memory
_READ_BYTES = 1024 * 1024

log = structlog.get_logger("labeler_api.images")


async def rendered(call: Call, person: int, spool: Spool, path: str) -> Spool | None:
    """Make what is shown of a picture that is not drawn; None when none can be made of it."""
    if not SHOWS_OPEN_FILES:
        return None
    shown = Spool()
    try:
        arguments = (spool.file, spool.size, open_file(shown.on_disk()))
        made = await call.services.decoders.run(person, rendition.render, *arguments)
        shown.size = await asyncio.to_thread(shown.file.seek, 0, 2)
    except (DecodingFailed, OSError) as failure:  # it is a sound picture all the same, and has a thumbnail
        made = False
        log.warning("no rendition of a picture", path=path, reason=str(failure))
    except BaseException:
        shown.close()
        raise
    if made:
        return shown
    shown.close()
    return None


async def put_file(call: Call, key: str, spool: Spool, content_type: str, metadata: dict[str, str]) -> None:
    """Put a file as an object."""
    bucket = call.settings.s3_bucket_datasets
    spool.file.seek(0)
    if spool.size <= _SINGLE_PUT_BYTES:
        body = await asyncio.to_thread(spool.file.read)
        await call.objects.put(bucket, key, body, content_type, metadata)
        return
    async with call.objects.upload_stream(bucket, key, content_type, metadata) as target:
        while chunk := await asyncio.to_thread(spool.file.read, _READ_BYTES):
            await target.write(chunk)


async def key_of(call: Call, row: Row, person: int) -> str | None:
    """Find the key of what browsers are shown instead of an image; None where that is the image itself.

    Raises NotFound and Unavailable of the store.
    """
    if (key := shown_key(row)) is not None or is_shown_as_it_is(row):
        return key
    made = call.services.caches.renditions
    key = made.get(row["s3_key"])
    if key is None:
        # One at a time makes it: a list of many shows each once, and who waits finds it.
        async with call.services.rendering.turn(person):
            key = made.get(row["s3_key"])
            if key is None:
                key = await _made(call, row, person)
                made.put(row["s3_key"], key)
    return key or None


async def _made(call: Call, row: Row, person: int) -> str:
    """Make a rendition and note it with its image; nothing where none can be made."""
    key = rendition_key(row["dataset_id"], row["s3_key"])
    if key is None:
        return ""
    spool = Spool()
    try:
        async with call.objects.open(call.settings.s3_bucket_datasets, row["s3_key"]) as stream:
            async for chunk in stream.iter_chunks():
                if spool.size > call.settings.max_upload_file_bytes:
                    return ""
                await spool.write(chunk)
        await spool.rewind()
        shown = await rendered(call, person, spool, row["s3_key"])
    finally:
        spool.close()
    if shown is None:
        return ""
    try:
        await retry_while_unavailable(partial(put_file, call, key, shown, rendition.CONTENT_TYPE, {}))
    finally:
        shown.close()
    await _note(call, row, key)
    return key


async def _note(call: Call, row: Row, key: str) -> None:
    """Note a rendition. One whose image was replaced or deleted meanwhile is not needed, and removed in due time."""
    try:
        async with call.db.begin() as tx:
            if not await upload_store.note_rendition(tx, row["dataset_id"], row["id"], row["s3_key"], key):
                await removal.enqueue_removal(tx, [key])
    except AppError as error:  # in maintenance mode: it is shown all the same, and made again another day
        log.warning("a rendition was not noted", key=key, reason=error.detail)
