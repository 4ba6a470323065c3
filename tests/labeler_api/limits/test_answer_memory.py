"""Room for large answers: a sum for all, a share for each, and nobody waits behind a greedy one."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message

from labeler_api.errors import TooMany, Unavailable
from labeler_api.http.server import pacing
from labeler_api.http.server.pacing import PIECE_BYTES, PacedResponse
from labeler_api.limits.answer_memory import AnswerMemory


async def test_a_person_who_holds_too_much_is_refused_and_nobody_else() -> None:
    room = AnswerMemory(pages=4, pages_of_one=2, wait=0.05)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(room.page(1))
        with pytest.raises(TooMany) as refused:
            await stack.enter_async_context(room.page(1))
        assert refused.value.code == "answers_pending"
        assert refused.value.retry_after == 2
        await stack.enter_async_context(room.page(2))
        await stack.enter_async_context(room.page(3))
        with pytest.raises(Unavailable) as busy:
            await stack.enter_async_context(room.page(4))
        assert busy.value.code == "answers_busy"
    async with room.page(4), room.page(4):  # all of it was given back
        pass


async def test_sixteen_pages_are_held_at_once_and_four_by_one_person() -> None:
    room = AnswerMemory(wait=0.05)
    async with AsyncExitStack() as stack:
        for number in range(16):
            await stack.enter_async_context(room.page(number // 4))
        with pytest.raises(TooMany):
            await stack.enter_async_context(room.page(0))
        with pytest.raises(Unavailable):
            await stack.enter_async_context(room.page(4))


async def test_who_waits_is_let_in_when_there_is_room() -> None:
    room = AnswerMemory(pages=2, pages_of_one=1, wait=30)
    order: list[str] = []

    async def ask(person: int, name: str) -> None:
        async with room.page(person):
            order.append(name)

    async with room.page(1) as first:
        waiting = [asyncio.create_task(ask(1, "again"))]
        await asyncio.sleep(0)
        await ask(2, "another")  # does not stand behind the first one's second
        assert order == ["another"]
        first.needs(100)  # a small answer: its room is free before it is sent
        await asyncio.gather(*waiting)
        assert order == ["another", "again"]


async def test_who_leaves_while_waiting_takes_nothing() -> None:
    room = AnswerMemory(pages=1, pages_of_one=1, wait=30)
    async with room.page(1):
        waiting = asyncio.create_task(room.page(2).__aenter__())
        await asyncio.sleep(0)
    waiting.cancel()  # at the moment in which it was given
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5), room.page(3):
        pass


async def test_a_large_body_goes_out_in_pieces() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    body = bytes(range(256)) * 2048
    await PacedResponse.of(body, 200, [])({"type": "http"}, _nothing, send)
    start, *pieces = sent
    assert (b"content-length", str(len(body)).encode()) in start["headers"]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert max(len(piece["body"]) for piece in pieces) == PIECE_BYTES
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_GRACE_SECONDS", 0.01)
    monkeypatch.setattr(pacing, "_SLOWEST_BYTES_PER_SECOND", 2**40)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 1:
            await asyncio.Event().wait()

    state: dict[str, str] = {}
    async with asyncio.timeout(30):
        await PacedResponse(b"x" * (2 * PIECE_BYTES))({"type": "http", "state": state}, _nothing, send)
    assert len(sent) == 2
    assert state["ended"] == "answer_unread"


async def _nothing() -> Message:
    raise AssertionError
