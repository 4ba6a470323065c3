"""The header of an answer as bytes: what most answers have in common is checked and put together once.

uvicorn looks at each field of each answer with two patterns, which is a tenth of a short request.
"""

from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from labeler_api.http.at_once import Sending
from labeler_api.http.response import Field, lines

# Fields that have few values, all of them ours. None of them says where the body ends, or whether the connection does.
_OF_FEW_VALUES = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"cache-control",
        b"content-encoding",
        b"content-security-policy",
        b"content-type",
        b"cross-origin-resource-policy",
        b"referrer-policy",
        b"strict-transport-security",
        b"vary",
        b"x-content-type-options",
    }
)
_REMEMBERED = 512  # some ten values of each, and as many again
_WITHOUT_BODY = (204, 304)

# Fields that nearly every answer has, each with a value of its own: of those the value alone is checked.
_OF_MANY_VALUES = frozenset({b"content-length", b"etag", b"x-request-id"})

_lines: dict[Field, bytes] = {(b"content-disposition", b"inline"): b"content-disposition: inline\r\n"}
_of_all: tuple[list[Field], bytes] = ([], b"")  # the fields of all answers, which the server makes once a second


class Answer(RequestResponseCycle):
    """uvicorn's, which writes a header at once."""

    _says_close = False

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        if self.response_started or message["type"] != "http.response.start" or self.flow.write_paused:
            await super().send(message)
        elif not self.disconnected:
            self.response_started = True
            self.waiting_for_100_continue = False
            self._write_header(message["status"], message.get("headers", ()))

    def _write_header(self, status: int, fields: Iterable[Field]) -> None:
        header = [STATUS_LINE[status], _common(self.default_headers)]
        header += [_lines.get(field) or self._line(field) for field in fields]
        if not self.keep_alive and not self._says_close:
            header.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            header.append(b"transfer-encoding: chunked\r\n")
        header.append(b"\r\n")
        self.transport.write(b"".join(header))

    def _line(self, field: Field) -> bytes:
        """Write a field, and heed what it says of the body and the connection. Raises for what would be two."""
        name, value = field
        if HEADER_VALUE_RE.search(value) or (name not in _OF_MANY_VALUES and HEADER_RE.search(name)):
            raise RuntimeError("Invalid HTTP header.")
        name = name.lower()
        line = b"%b: %b\r\n" % (name, value)
        if name in _OF_FEW_VALUES:
            if len(_lines) < _REMEMBERED:
                _lines[field] = line
        elif name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length, self.chunked_encoding = int(value), False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length, self.chunked_encoding = 0, True
        elif name == b"connection" and b"close" in {token.strip() for token in value.lower().split(b",")}:
            self.keep_alive, self._says_close = False, True
        return line


def whole(sending: Sending, fields: list[Field]) -> bytes:
    """Put together a ready answer, with the server's own fields."""
    ready = sending.ready
    return b"%b%b%b\r\n%b" % (STATUS_LINE[ready.status], _common(fields), sending.lines, ready.body)


def _common(fields: list[Field]) -> bytes:
    global _of_all  # noqa: PLW0603 - as the server's own list, it belongs to the process
    if _of_all[0] is not fields:
        _of_all = (fields, lines(fields))
    return _of_all[1]
