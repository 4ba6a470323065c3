"""What the access line and the numbers say of an answer that did not become whole."""

from collections.abc import AsyncIterator

import pytest
from starlette.types import Message, Scope

from labeler_api.db.pool import StatementCount
from labeler_api.http.exchange import Exchange
from labeler_api.telemetry.instruments import Instruments

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
PIECE: Message = {"type": "http.response.body", "body": b"12", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"3", "more_body": False}
DISCONNECT: Message = {"type": "http.disconnect"}


async def exchange(sent: list[Message], received: list[Message], state: dict[str, object]) -> tuple[Exchange, Scope]:
    scope: Scope = {"type": "http", "method": "GET", "path": "/x", "state": {"request_id": "an-id-of-mine", **state}}
    messages: AsyncIterator[Message] = _each(received)

    async def receive() -> Message:
        return await anext(messages)

    async def send(message: Message) -> None:
        pass

    made = Exchange(scope, receive, send, StatementCount())
    for message in sent:
        await made.send(message)
    for _ in received:
        await made.receive()
    return made, scope


async def _each(messages: list[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


@pytest.mark.parametrize(
    ("sent", "received", "state", "outcome", "status", "counted"),
    [
        ([START, PIECE, END], [], {}, "whole", 200, 0),
        ([START, PIECE, END], [DISCONNECT], {}, "whole", 200, 0),
        ([START, PIECE], [], {}, "cut", 502, 1),
        ([START, PIECE], [DISCONNECT], {}, "left", 499, 1),
        ([], [DISCONNECT], {}, "left", 499, 0),
        ([], [DISCONNECT], {"refused": 408}, "refused", 408, 0),
        ([START, PIECE], [DISCONNECT], {"ended": "answer_unread"}, "ended", 499, 1),
    ],
)
async def test_an_answer_is_counted_as_what_became_of_it(
    sent: list[Message], received: list[Message], state: dict[str, object], outcome: str, status: int, counted: int
) -> None:
    made, _ = await exchange(sent, received, state)
    instruments = Instruments()
    made.ended(instruments)
    assert made.outcome == outcome
    assert made.status == status
    read = instruments.metrics.registry.get_sample_value
    labels = {"method": "GET", "route": "unmatched", "status": str(status)}
    assert read("labeler_http_requests_total", labels) == 1
    assert (read("labeler_http_answers_cut_total", {"route": "unmatched", "outcome": outcome}) or 0) == counted
