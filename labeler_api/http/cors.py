"""Which pages of other origins may call the API and read its answers: Starlette's rules, asked once an origin."""

from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labeler_api.http.response import Field

# Chromium caps it at 7 200 s, Firefox at 86 400 s; every call of the frontend is pre-flighted.
_PREFLIGHT_SECONDS = 86_400
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EXPOSED = (
    "ETag",
    "Content-Length",
    "Content-Range",
    "Content-Disposition",
    "Retry-After",
    "X-Request-Id",
    "X-Next-Cursor",
)
_REMEMBERED = 256  # origins, of which CORS_ORIGINS has a few; anybody may send others
_ERROR = 400
_VARY = (b"vary", b"Origin")


class Cors(CORSMiddleware):
    """Answers pre-flights, and says which header fields the answer to a page of an origin has."""

    def __init__(self, origins: Sequence[str]) -> None:
        super().__init__(
            _nobody,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            allow_credentials=True,
            expose_headers=_EXPOSED,
            max_age=_PREFLIGHT_SECONDS,
        )
        self.fields = lru_cache(_REMEMBERED)(self._fields)
        """The header fields of an answer, given the request's Origin; None is one that has none."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a pre-flight; the refusal names what is not allowed."""
        response = super().preflight_response(request_headers)
        if response.status_code < _ERROR:
            return response
        body = (
            b'{"detail":"This origin, method or header is not allowed here; see CORS_ORIGINS.",'
            b'"code":"cors_refused","request_id":null}'
        )
        headers = {
            name: value for name, value in response.headers.items() if name not in {"content-length", "content-type"}
        }
        return Response(body, response.status_code, headers, media_type="application/json")

    def _fields(self, origin: bytes | None) -> tuple[Field, ...]:
        if origin is None:
            return (_VARY,)
        headers = dict(self.simple_headers)
        if self.is_allowed_origin(origin.decode("latin-1")):
            headers["Access-Control-Allow-Origin"] = origin.decode("latin-1")
        return (*((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()), _VARY)


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that Starlette's class would stand around; it is asked for its rules alone."""
