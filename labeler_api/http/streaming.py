"""Objects of the store as responses: streamed, ranged, cacheable, and always closed.

The first bytes are awaited before the response starts, so that a missing object is still a 404. A `Range`
header is honoured when it names one range; several at once are answered with the whole (RFC 9110, 14.2
allows it, and a multipart answer is an old way to make a server work). An error of the store after the
first byte cuts the connection: Content-Length says what should have come.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labeler_api.errors import RangeNotSatisfiable, Unavailable
from labeler_api.http.endpoint import matches
from labeler_api.http.errors import render
from labeler_api.http.server.client_leaving import client_left
from labeler_api.object_store.objects import ByteStream

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.IGNORECASE)
# One chunk at 1 KB/s, twice. Who takes nothing for so long has gone without saying so. One look at all of a stream, and
# not a timer for each chunk: an image has dozens of them, and a timer costs as much as a chunk's way to the client.
_STALLED_SECONDS = 300.0

log = structlog.get_logger("labeler_api.streaming")


Source = TypeVar("Source", bound=ByteStream)
Opener = Callable[[str | None], AbstractAsyncContextManager[Source]]
Refine = Callable[[Source], Mapping[str, str]]


class ClosingStream(Response):
    """Sends an open source and closes it however the sending ends: whole, broken off, or with a client that left."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], closing: AsyncExitStack, status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = b""
        self.init_headers({})
        self._first = first
        self._rest = rest
        self._closing = closing
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send while reading from the client: the server reports that it left only to a reader."""
        async with self._closing:
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(client_left(receive))
            try:
                await self._ended(sending, leaving)
            finally:
                leaving.cancel()
                if not sending.done():
                    sending.cancel()
                # Both must have ended before the source is closed under them.
                await asyncio.wait({sending, leaving})
            if not sending.cancelled() and (error := sending.exception()) is not None:
                raise error

    async def _ended(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for the first of the tasks. Raises TimeoutError where the client takes nothing."""
        taken = -1
        while taken < self._taken:
            taken = self._taken
            if (await asyncio.wait(tasks, timeout=_STALLED_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
                return
        raise TimeoutError(f"a client took nothing for {_STALLED_SECONDS:.0f} seconds")

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        chunk = self._first
        while chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._taken += 1
            chunk = await anext(self._rest, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def stream_object(
    request: Request,
    opened: Opener[Source],
    *,
    place: AbstractAsyncContextManager[None],
    size: int | None,
    etag: str,
    headers: Mapping[str, str],
    refine: Refine[Source] | None = None,
) -> Response:
    """Answer with an object of `size` bytes, None where only the store knows: 200, 206, 304 without asking it, or 416.

    `place` is held while it is sent. `opened(byte_range)` opens it, `etag` is strong and quoted, `refine` may change
    headers by what was opened.
    Raises NotFound, TooMany and Unavailable before anything is sent.
    """
    headers = {**headers, "ETag": etag, "Accept-Ranges": "bytes"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        byte_range = wanted_range(request.headers.get("range"), request.headers.get("if-range"), etag)
        stream, source = await _started(place, opened, byte_range)
    except RangeNotSatisfiable as error:
        refusal = render(error, request.scope["state"]["request_id"])
        refusal.headers["Accept-Ranges"] = "bytes"
        if size is not None:
            refusal.headers["Content-Range"] = f"bytes */{size}"
        return refusal
    stream.headers.update({**headers, **(refine(source) if refine else {})})
    return stream


def wanted_range(header: str | None, if_range: str | None, etag: str) -> str | None:
    """Return the one range to ask the store for, or None for the whole object.

    A header that is not one range in bytes is ignored, as RFC 9110 wants. Raises RangeNotSatisfiable for the last 0
    bytes.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        if int(suffix) == 0:
            raise RangeNotSatisfiable("The last 0 bytes are no range.")
        return f"bytes=-{int(suffix)}"
    if last and int(last) < int(first):
        return None
    return f"bytes={int(first)}-{last}"


async def _started(
    place: AbstractAsyncContextManager[None], opened: Opener[Source], byte_range: str | None
) -> tuple[ClosingStream, Source]:
    """Take the place, then the source."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(place)
        first, rest, source, closing = await _opened(opened, byte_range)
        stack.push_async_exit(closing)
        stream = ClosingStream(first, rest, stack.pop_all(), 206 if source.content_range else 200)
    stream.headers["Content-Length"] = str(source.length)
    if source.content_range:
        stream.headers["Content-Range"] = source.content_range
    return stream, source


async def _opened(
    opened: Opener[Source], byte_range: str | None, *, tries: int = 2
) -> tuple[bytes, AsyncGenerator[bytes, None], Source, AsyncExitStack]:
    """Open the source and await its first bytes; once more when the store breaks off before them."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(opened(byte_range))
        rest = source.iter_chunks()
        stack.push_async_callback(rest.aclose)
        try:
            first = await anext(rest, b"")
        except Unavailable:
            if tries == 1:
                raise
            return await _opened(opened, byte_range, tries=tries - 1)
        return first, rest, source, stack.pop_all()
