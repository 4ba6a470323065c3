"""`GET /health` over HTTP, for platforms whose health check does not speak gRPC (Railway's asks on $PORT)."""

import asyncio
from collections.abc import Callable

from user_gateway.settings import SettingsError

_READ_SECONDS = 5.0  # a health checker sends its few lines at once
_MAX_LINES = 100  # header lines of one request; more is no health checker


class HttpHealth:
    """Answers 200 while `is_serving()`, 503 otherwise, 404 for every other path."""

    def __init__(self, is_serving: Callable[[], bool]) -> None:
        self._is_serving = is_serving
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen on all interfaces; return the port bound. Raises SettingsError when it is taken."""
        try:
            # asyncio binds both families for the empty host, and what there is of them.
            self._server = await asyncio.start_server(self._answer, None, port, limit=16 * 1024)
        except OSError:
            raise SettingsError(f"cannot listen on PORT={port}: is it taken? It is the HTTP health port") from None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                writer.write(self._response(await _request_line(reader)))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # the checker left or spoke no HTTP: there is nobody to tell
        finally:
            writer.close()

    def _response(self, request_line: str) -> bytes:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path != "/health" or method not in {"GET", "HEAD"}:
            status, body = "404 Not Found", b'{"detail":"try GET /health"}'
        elif self._is_serving():
            status, body = "200 OK", b'{"status":"serving"}'
        else:
            status, body = "503 Service Unavailable", b'{"status":"not serving"}'
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else body)


async def _request_line(reader: asyncio.StreamReader) -> str:
    """Read the request up to its empty line, so that closing does not reset the connection; return the first."""
    first = await reader.readline()
    for _ in range(_MAX_LINES):
        if (await reader.readline()) in {b"\r\n", b"\n", b""}:
            break
    return first.decode("latin-1").strip()
