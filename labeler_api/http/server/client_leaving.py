"""Notices clients that leave: the server reports it only while somebody reads from the connection."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

T = TypeVar("T")


async def client_left(receive: Receive) -> None:
    """Return when the client has left. The body of its request must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do long work that is of use to nobody but the client; it is cancelled when the client leaves.

    Raises ClientDisconnect then, after the work has cleaned up.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(client_left(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait({working, leaving})
    if working.cancelled():
        raise ClientDisconnect
    return working.result()
