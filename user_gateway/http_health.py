"""HTTP beside gRPC: `GET /health` for platforms whose check speaks no gRPC (Railway's, on $PORT), `GET /metrics`."""

import asyncio
from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST

from service_kit.settings import SettingsError
from user_gateway.auth import MetricsAccess

_READ_SECONDS = 5.0  # a health checker sends its few lines at once
_MAX_LINES = 100  # header lines of one request; more is no health checker
_LINE_BYTES = 16 * 1024
_HEADER_BYTES = 64 * 1024
_CONNECTIONS = 64  # a platform's check and a scraper need one each; what comes beyond is closed at once
_JSON = "application/json"


class HttpHealth:
    """Answers /health with 200 while it serves, 503 otherwise; /health/live with 200 as long as the process works.

    /metrics gets `numbers()` where `access` allows it.

    `status` tells whether the gateway serves, and whether it can check passwords. 404 for every other path.
    """

    def __init__(
        self, status: Callable[[], tuple[bool, bool]], numbers: Callable[[], bytes], access: MetricsAccess
    ) -> None:
        self._status = status
        self._numbers = numbers
        self._access = access
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, port: int) -> int:
        """Listen on all interfaces; return the port bound. Raises SettingsError when it is taken."""
        try:
            # asyncio binds both families for the empty host, and what there is of them.
            self._server = await asyncio.start_server(self._answer, None, port, limit=_LINE_BYTES)
        except OSError:
            raise SettingsError(f"cannot listen on PORT={port}: is it taken? It is the HTTP health port") from None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(_READ_SECONDS):
                line, headers = await _request(reader)
                peer = writer.get_extra_info("peername") or ("",)
                writer.write(self._response(line, headers.get("authorization", ""), str(peer[0])))
                writer.close()
                await writer.wait_closed()  # until all is sent; a client that does not read is not waited for
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # the checker left or spoke no HTTP: there is nobody to tell
        finally:
            writer.transport.abort()
            self._open -= 1

    def _response(self, request_line: str, authorization: str, address: str) -> bytes:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        status, kind, body = "404 Not Found", _JSON, b'{"detail":"try GET /health"}'
        if method in {"GET", "HEAD"} and path == "/health":
            status, body = self._health()
        elif method in {"GET", "HEAD"} and path == "/health/live":
            # A User DB that is away is no reason to restart the gateway.
            status, body = "200 OK", b'{"status":"alive"}'
        elif method in {"GET", "HEAD"} and path == "/metrics":
            allowed = self._access.status(authorization, address)
            if allowed == 200:  # noqa: PLR2004 - OK
                status, kind, body = "200 OK", CONTENT_TYPE_LATEST, self._numbers()
            elif allowed == 401:  # noqa: PLR2004 - Unauthorized
                status, body = "401 Unauthorized\r\nWWW-Authenticate: Bearer", b'{"detail":"send METRICS_TOKEN"}'
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else body)

    def _health(self) -> tuple[str, bytes]:
        serving, verifies = self._status()
        if not serving:
            return "503 Service Unavailable", b'{"status":"not serving"}'
        if not verifies:  # look-ups go on: it is no reason to take the gateway out of service
            return "200 OK", b'{"status":"serving","log_ins":"not serving"}'
        return "200 OK", b'{"status":"serving"}'


async def _request(reader: asyncio.StreamReader) -> tuple[str, Mapping[str, str]]:
    """Read the request up to its empty line, so that closing does not reset the connection; return line and headers."""
    first = await reader.readline()
    headers: dict[str, str] = {}
    size = len(first)
    for _ in range(_MAX_LINES):
        line = await reader.readline()
        size += len(line)
        if size > _HEADER_BYTES:
            raise ValueError("a header without an end")
        if line in {b"\r\n", b"\n", b""}:
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return first.decode("latin-1").strip(), headers
