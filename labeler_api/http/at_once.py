"""Answers that are there already: the server sends them at once, and makes no task for the request.

A feature says what it has in memory for an address. Whatever it has to wait for goes the usual way
(`labeler_api/http/request_layer.py`), and so does every request that asks for more than the plain answer. An answer at
once has the same header, the same access line and the same place in the metrics.
"""

from collections.abc import Callable, Mapping
from time import perf_counter

from msgspec import Struct
from starlette.types import Scope

from labeler_api.http.access_line import account
from labeler_api.http.answer_fields import AnswerFields, request_id
from labeler_api.http.input.header_lookup import Raw, by_name
from labeler_api.telemetry.instruments import Instruments

STATE = "at_once"
"""The name under which the lifespan hands the `AtOnce` to the server."""

Names = Mapping[bytes, bytes]


class Ready(Struct, frozen=True):
    """An answer to a GET: its own header fields as lines, and its body."""

    route: str
    status: int
    lines: bytes
    body: bytes


Find = Callable[[bytes, Names], Ready | None]
"""Returns the answer to an address (as it was sent, with its query) and header fields, if it is in memory and good."""


def address_of(scope: Scope) -> bytes:
    """Return the address of a request as it was sent."""
    path, query = scope["raw_path"], scope["query_string"]
    return b"%b?%b" % (path, query) if query else bytes(path)


class Sending(Struct, frozen=True):
    """A ready answer to one request."""

    ready: Ready
    lines: bytes
    """All lines of the header but the first one and those of the server."""
    request_id: bytes
    started: float


class AtOnce:
    """Asks the features for an answer, by the beginning of the address."""

    def __init__(self, fields: AnswerFields, instruments: Instruments, finders: Mapping[bytes, Find]) -> None:
        self._fields = fields
        self._instruments = instruments
        self._finders = tuple(finders.items())
        # A span ends where the request's task does.
        self.beginnings: tuple[bytes, ...] = () if instruments.tracing.on else tuple(finders)
        """What an address begins with that may be answered at once."""

    def find(self, address: bytes, raw: Raw) -> Sending | None:
        """Return what can be sent for a GET that has no body; None where the request has to go the usual way."""
        started, fields = perf_counter(), by_name(raw)
        if fields.get(b"content-length", b"0") != b"0" or b"upgrade" in fields:
            return None
        find = next(find for beginning, find in self._finders if address.startswith(beginning))
        ready = find(address, fields)
        if ready is None:
            return None
        own_id = request_id(fields.get(b"x-request-id"))
        common = self._fields.lines(fields.get(b"origin"))
        return Sending(ready, b"%bx-request-id: %b\r\n" % (ready.lines + common, own_id), own_id, started)

    def sent(self, sending: Sending) -> None:
        """Write the access line and count the request."""
        ready = sending.ready
        account(
            self._instruments,
            request_id=sending.request_id.decode(),
            method="GET",
            route=ready.route,
            status=ready.status,
            outcome="whole",
            seconds=perf_counter() - sending.started,
            statements=0,
            user_id=None,
            received_bytes=0,
            sent_bytes=len(ready.body),
            trace_id=None,
        )
