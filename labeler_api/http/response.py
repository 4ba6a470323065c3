"""An answer whose header fields are bytes already. Starlette's own encodes them and looks for two, each time."""

from collections.abc import Iterable, Mapping, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Field = tuple[bytes, bytes]

_JSON: Field = (b"content-type", b"application/json")


def encoded(headers: Mapping[str, str]) -> list[Field]:
    """Encode header fields."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def lines(fields: Iterable[Field]) -> bytes:
    """Write header fields, in order, as they are sent."""
    return b"".join(b"%b: %b\r\n" % field for field in fields)


class EncodedResponse(Response):
    """A body, and all of its header fields."""

    def __init__(self, body: bytes, status: int = 200, fields: Sequence[Field] = ()) -> None:
        self.body, self.status_code, self.raw_headers = body, status, list(fields)
        self.background = None

    @classmethod
    def of(cls, body: bytes, status: int, fields: Sequence[Field]) -> "EncodedResponse":
        """Make an answer: its length comes behind the fields, and JSON's type where these name none."""
        measured = [*fields, (b"content-length", b"%d" % len(body))]
        if b"content-type" not in dict(fields):
            measured.append(_JSON)
        return cls(body, status, measured)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
