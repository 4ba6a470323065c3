"""A crowd that comes at once is let in within a few turns of the event loop."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
import uvloop

from labeler_api.process.serving import accepting, listen

CROWD = 256
AT_ONCE = 16


@pytest.mark.parametrize(("workers", "expected"), [(1, AT_ONCE), (2, AT_ONCE // 2), (AT_ONCE, 1), (5 * AT_ONCE, 1)])
def test_a_crowd_is_let_in_within_a_few_turns(workers: int, expected: int) -> None:
    """Counted, since that is the same on a busy machine. The workers together take as many in a turn as one process."""
    turns = uvloop.run(_turns(workers))
    assert turns <= CROWD // expected + 2
    assert turns >= CROWD // expected


async def _turns(workers: int) -> int:
    """How many turns it takes until a crowd that waits is in."""
    loop = asyncio.get_running_loop()
    made: list[asyncio.BaseTransport] = []

    class Visitor(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    listener = listen("127.0.0.1", 0)
    servers = [await loop.create_server(Visitor, sock=one, backlog=CROWD) for one in accepting(listener, workers)]
    with ExitStack() as open_ones:
        for _ in range(CROWD):
            open_ones.enter_context(socket.create_connection(listener.getsockname()))
        turns = 0
        while len(made) < CROWD:
            turns += 1
            await asyncio.sleep(0)
        for one in made:
            one.close()
        for server in servers:
            server.close()
    return turns
