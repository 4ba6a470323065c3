"""Large answers go out piece by piece: what a client does not take stays here, counted, and not in the socket's buffer.

A server takes a whole body at once and keeps it until the client has read it, however long that takes.
"""

import asyncio

from starlette.types import Receive, Scope, Send

from labeler_api.http.response import EncodedResponse

PIECE_BYTES = 128 * 1024  # twice what uvicorn's buffer holds before it asks to wait
# A poor mobile line carries 50 KB a second, and is served. Who takes much less has gone, or means harm.
_SLOWEST_BYTES_PER_SECOND = 32 * 1024
_GRACE_SECONDS = 10.0


class PacedResponse(EncodedResponse):
    """A body that is sent as fast as the client takes it, and cut off from one that takes nearly nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send. A client that is too slow is cut off, and sees it: the body is shorter than Content-Length says."""
        body = memoryview(self.body)  # its pieces are no copies
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with asyncio.timeout(_GRACE_SECONDS + len(body) / _SLOWEST_BYTES_PER_SECOND):
                for start in range(0, len(body), PIECE_BYTES):
                    piece, more = body[start : start + PIECE_BYTES], start + PIECE_BYTES < len(body)
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            scope["state"]["ended"] = "answer_unread"  # for the access line and the numbers
            return
