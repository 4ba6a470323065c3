"""A stream whose client takes nothing ends; one whose client takes a little goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message

from labeler_api.http import streaming
from labeler_api.http.streaming import ClosingStream

SECONDS = 0.2


class Client:
    """Takes `number` chunks, each after a while, and then no more."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.taken: list[bytes] = []

    async def send(self, message: Message) -> None:
        if not (body := message.get("body")):
            return
        if not self.left:
            await asyncio.Event().wait()
        self.left -= 1
        await asyncio.sleep(SECONDS * 0.6)
        self.taken.append(body)

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError("it never leaves")


async def sent_to(client: Client, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Send four chunks; whether the source was closed."""
    monkeypatch.setattr(streaming, "_STALLED_SECONDS", SECONDS)
    closed: list[bool] = []

    async def rest() -> AsyncGenerator[bytes, None]:
        for chunk in (b"b", b"c", b"d"):
            yield chunk

    closing = AsyncExitStack()
    closing.callback(lambda: closed.append(True))
    scope = {"type": "http", "state": {}}
    try:
        await ClosingStream(b"a", rest(), closing, 200)(scope, client.receive, client.send)
    finally:
        assert closed == [True]
    return True


async def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(1)
    with pytest.raises(TimeoutError, match="took nothing"):
        await sent_to(client, monkeypatch)
    assert client.taken == [b"a"]


async def test_a_slow_client_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(4)
    await sent_to(client, monkeypatch)
    assert client.taken == [b"a", b"b", b"c", b"d"]
