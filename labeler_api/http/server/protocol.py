"""HTTP/1.1 over one connection: uvicorn's protocol on httptools, with an end to everything that a client may send.

uvicorn 0.54 bounds neither a header nor the time that it takes, and a client that reads nothing holds its answer for
ever (docs/decisions/0016-bounded-connections.md). A request that is refused before the application sees it is answered
here, in the form of all errors.
"""

import asyncio
import socket
from dataclasses import dataclass, replace
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from labeler_api.http import at_once
from labeler_api.http.at_once import AtOnce, Sending
from labeler_api.http.response import lines
from labeler_api.http.server.answer import Answer, whole
from labeler_api.http.server.connections import STATE, Connections

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_ACKNOWLEDGED = slice(120, 128)  # tcpi_bytes_acked in Linux' struct tcp_info, a number of 64 bits
_SLICE_BYTES = 16 * 1024  # three thousand chunks of a byte, each a call
_READ_OFF_BYTES = 1024 * 1024  # after a refusal: closing with bytes unread would take the answer from the client
_FRAMING_FIELDS = (b"content-length", b"transfer-encoding")
_LENGTH_DIGITS = 20  # more than the parser takes
_RETRY_SECONDS = 5


class Phase:
    """What the connection reads. Plain numbers: an Enum's members cost microseconds a request."""

    NEW = 0  # nothing came yet
    IDLE = 1  # between two requests
    HEADER = 2
    BODY = 3
    REFUSED = 4  # not admitted: told so when it asks for something
    LEAVING = 5  # what still comes is read off and forgotten


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    code: str
    detail: str

    def about(self, *values: object) -> "Refusal":
        """Return it with numbers in its text."""
        return replace(self, detail=self.detail.format(*values))


class Stopped(Exception):
    """Makes the parser stop; `_refusal` says why."""


_NOT_HTTP = Refusal(400, "not_http", "This is no HTTP request that this server understands.")
_TOO_LARGE = Refusal(431, "header_too_large", "The request line and the header fields may have {} bytes together.")
_TOO_MANY = Refusal(431, "header_too_many_fields", "A request may have {} header fields.")
_PIPELINED = Refusal(400, "pipelined", "Wait for answers before sending more requests.")
_FRAMING = Refusal(400, "body_framing", "The body's chunks are more framing than content. Send larger chunks.")
_HEADER_SLOW = Refusal(408, "header_timeout", "The header of a request has to be here within {} seconds.")
_BODY_SLOW = Refusal(408, "body_timeout", "The body comes too slowly: each {} seconds have to bring {} bytes.")
_BUSY = Refusal(503, "too_many_connections", "There are too many connections at the moment. Try again shortly.")


class BoundedProtocol(HttpToolsProtocol):
    """One connection, looked at once a second by `Connections`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        given: Connections | None = app_state.get(STATE)
        self._all = Connections() if given is None else given
        self._at_once: AtOnce | None = app_state.get(at_once.STATE)
        self._beginnings = () if self._at_once is None else self._at_once.beginnings
        self._sending: Sending | None = None
        self._at_once_in_row = 0  # in what the transport read last
        self._bounds = self._all.bounds
        self._most_bytes = self._bounds.header_bytes
        self._phase = Phase.NEW
        self._waited = 0  # looks since the phase began, but for those at which nobody read
        self._fed = 0  # size of what the parser is given now
        self._header_bytes = 0  # of a header that has not ended, without what is fed now
        self._most_fields = self._bounds.fields
        self._trailers = 0
        self._chunked = False
        self._length = 0  # of the body, where its header says it
        self._framing = 0  # bytes of the body that are no content
        self._no_content = 0  # bytes since the last content
        self._content = self._content_before = 0  # of the body, now and when the window began
        self._read_off = 0
        self._answering: RequestResponseCycle | None = None
        self._refusal: Refusal | None = None
        self._unsent_looks = 0
        self._acknowledged = 0

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room."""
        super().connection_made(transport)
        if not self._all.admit(self, self.client[0] if self.client else ""):
            self._phase = Phase.REFUSED

    def connection_lost(self, exc: Exception | None) -> None:
        """End. uvicorn tells the newest request only, which need not be the one that is being answered."""
        self._all.leave(self)
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let the current request end, if there is one. A long request hears that the server stops."""
        self._all.on_shutdown()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it is within its bounds.

        A transport reads up to 256 KiB at once: forty thousand chunks of a byte, each a call that keeps everybody else
        waiting. So the bounds are asked after each slice, unless all of it is the content of a body of a known length.
        """
        self._at_once_in_row = 0
        if len(data) <= _SLICE_BYTES or self._is_content(len(data)):
            self._parse(data)
            return
        for start in range(0, len(data), _SLICE_BYTES):
            self._parse(data[start : start + _SLICE_BYTES])
            if self.transport.is_closing():  # ended by what was parsed: nothing behind it counts
                return

    def _parse(self, data: bytes) -> None:
        phase = self._phase
        if phase >= Phase.REFUSED:
            self._forget(data)
            return
        self._unset_keepalive_if_required()
        self._fed = fed = len(data)
        if phase <= Phase.IDLE:
            self._begin_header(0)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or _NOT_HTTP)
            return
        if self._phase == Phase.HEADER:
            self._header_bytes += fed
            if self._header_bytes > self._most_bytes:
                self._refuse(self._too_large())
        elif self._phase == Phase.BODY and self._chunked:
            self._framing += fed
            self._no_content += fed
            if self._is_mostly_framing():
                self._refuse(_FRAMING)

    def _feed(self, data: bytes) -> None:
        """Feed the parser. Whoever asks for an upgrade is answered as if it had not been asked for (RFC 9110, 7.8).

        The parser stops behind such a header. It would take the body for requests: somebody else may have written it.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                if self._phase == Phase.BODY:
                    self._expect_body()
            else:
                return

    def _expect_body(self) -> None:
        """Begin with a parser that is told of the body alone. It calls as for any request, and is not heard."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        framing = [field for field in self.headers if field[0] in _FRAMING_FIELDS]
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % lines(framing))

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._phase == Phase.BODY:  # told of the body alone
            return
        if self._phase != Phase.HEADER:
            self._begin_header(-self._fed)  # behind another one in the same bytes
        self._trailers = 0
        self._chunked = False
        self._length = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; trailers are read over."""
        if self._phase == Phase.BODY:
            self._trailers += 1
            if self._trailers > self._most_fields:
                raise self._stop(_TOO_MANY.about(self._most_fields))
            return
        if len(self.headers) >= self._most_fields:
            raise self._stop(_TOO_MANY.about(self._most_fields))
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"transfer-encoding":
            self._chunked = True
        elif name == b"content-length" and value.isdigit():  # else the parser stops
            self._length = int(value[:_LENGTH_DIGITS])
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        if self._phase == Phase.BODY:  # told of the body alone
            return
        most = self._most_bytes
        # What is fed now may hold more than the header: only where it could be too much is it added up.
        if (self._fed > most or self._header_bytes + self._fed > most) and self._header_size() > most:
            raise self._stop(self._too_large())
        if len(self.pipeline) >= self._bounds.pipelined:
            raise self._stop(_PIPELINED)
        self._waited = 0
        self._content = self._content_before = 0
        self._framing = self._no_content = -self._fed
        if self._at_once is not None and self.url.startswith(self._beginnings) and self._may_be_answered_at_once():
            self._sending = self._at_once.find(self.url, self.headers)
        if self._sending is None:
            super().on_headers_complete()  # raises for some addresses: then there is no body yet, nor whose it would be
        self._phase = Phase.BODY

    def on_body(self, body: bytes) -> None:
        """Take content of the body."""
        size = len(body)
        self._content += size
        self._framing -= size
        self._no_content = -self._fed
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if (self._chunked or self._length) and self.parser.should_upgrade():
            return  # the parser leaves the body to us
        self._phase = Phase.IDLE
        if self._at_once is None or self._sending is None:
            super().on_message_complete()
            return
        sending, self._sending = self._sending, None
        self._waited = 0
        self._at_once_in_row += 1
        self.server_state.total_requests += 1
        self.transport.write(whole(sending, self.server_state.default_headers))
        self._at_once.sent(sending)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one. `look` ends a connection on which none comes: no timer each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._phase == Phase.IDLE:
            self._waited = 0
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Answer  # uvicorn makes it, and asks nobody of which class
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    # What a second changes

    def look(self) -> None:
        """Do what a passed second asks for."""
        if self.transport.get_write_buffer_size():
            self._look_at_unsent()
        else:
            self._unsent_looks = 0
        phase = self._phase
        if self.flow.read_paused or (phase == Phase.IDLE and self._is_answering()):
            return
        self._waited += 1
        if phase == Phase.BODY:
            self._look_at_body()
        elif phase == Phase.HEADER:
            if self._waited > self._bounds.header_seconds:
                self._refuse(_HEADER_SLOW.about(self._bounds.header_seconds))
        elif phase == Phase.IDLE:
            if self._waited > self.timeout_keep_alive:
                self.transport.close()
        elif phase == Phase.NEW:
            if self._waited > self._bounds.header_seconds:
                self._end("silent")
        elif self._waited > self._bounds.leaving_seconds and not self._is_answering():
            self.transport.close()

    def abort(self) -> None:
        """End at once, unsent bytes and all."""
        self.transport.abort()

    def _look_at_body(self) -> None:
        if not self._is_answering():
            if self._waited > self._bounds.rest_seconds:
                self._end("rest_of_body")
        elif self._waited > self._bounds.window_seconds:
            if self._content - self._content_before < self._bounds.body_bytes:
                self._refuse(_BODY_SLOW.about(self._bounds.window_seconds, self._bounds.body_bytes))
                return
            self._waited, self._content_before = 0, self._content

    def _look_at_unsent(self) -> None:
        """End a client that does not read.

        The client's acknowledgements say how fast it reads; the size of our own buffer moves in steps of
        megabytes, which a slow and honest reader takes a minute for.
        """
        self._unsent_looks += 1
        if self._unsent_looks == 1:
            self._acknowledged = self._taken()
        elif self._unsent_looks > self._bounds.window_seconds:
            taken = self._taken()
            if taken - self._acknowledged < self._bounds.answer_bytes:
                self._end("answer_unread")
                return
            self._unsent_looks, self._acknowledged = 1, taken

    def _taken(self) -> int:
        """Return how many bytes the client has taken since it came."""
        if _TCP_INFO is None:  # not Linux: what leaves the buffer has to do
            return -self.transport.get_write_buffer_size()
        facts = self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
        return int.from_bytes(facts[_ACKNOWLEDGED], "little")

    # Ends

    def _may_be_answered_at_once(self) -> bool:
        """Whether the request is a GET without a body, and nothing of an earlier one waits to be sent.

        Of requests that came together only some are. The others wait their turn, or are refused as `pipelined`.
        """
        return (
            self._at_once_in_row < self._bounds.pipelined
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not (self._chunked or self.expect_100_continue or self.flow.write_paused or self._is_answering())
        )

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _end(self, reason: str) -> None:
        self._all.ended(reason)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.scope["state"]["ended"] = reason
        self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application, if it has not begun to, and end the connection."""
        if self._phase == Phase.BODY and self.cycle.response_complete:
            self._end(refusal.code)  # of the rest of a body: there is an answer already
            return
        self._all.ended(refusal.code)
        own_body = self._phase == Phase.BODY and self.cycle is self._answering
        self._phase, self._waited = Phase.LEAVING, 0
        self.flow.resume_reading()
        answering = self._answering
        if answering is not None and not answering.response_complete:
            if not own_body or answering.response_started:
                answering.keep_alive = False  # what was asked for before is answered; this is not
                self.pipeline.clear()
                return
            answering.scope["state"]["refused"] = refusal.status
            answering.disconnected = True
            answering.message_event.set()
            self._answering = None  # it will never complete an answer
        self._say(refusal)

    def _say(self, refusal: Refusal) -> None:
        body = msgspec.json.encode({"detail": refusal.detail, "code": refusal.code, "request_id": None})
        retry = b"retry-after: %d\r\n" % _RETRY_SECONDS if refusal.status == _BUSY.status else b""
        head = b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[refusal.status] + head + retry + length + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _forget(self, data: bytes) -> None:
        """Read on without looking, so that the client gets to the answer."""
        if self._phase == Phase.REFUSED:
            self._phase, self._waited = Phase.LEAVING, 0
            self._say(_BUSY)
        self._read_off += len(data)
        if self._read_off > _READ_OFF_BYTES and not self._is_answering():
            self.transport.abort()

    # Small parts

    def _begin_header(self, bytes_before: int) -> None:
        self._phase = Phase.HEADER
        self._waited = 0
        self._header_bytes = bytes_before
        self._refusal = None

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _is_content(self, size: int) -> bool:
        """Whether so many bytes are nothing but content of the body that is being read."""
        return self._phase == Phase.BODY and not self._chunked and size <= self._length - self._content

    def _is_mostly_framing(self) -> bool:
        most = self._bounds.framing_bytes
        return self._no_content > most or self._framing > most + self._content // 2

    def _too_large(self) -> Refusal:
        return _TOO_LARGE.about(self._bounds.header_bytes)

    def _stop(self, refusal: Refusal) -> Stopped:
        self._refusal = refusal
        return Stopped(refusal.code)
