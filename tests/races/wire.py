"""A wire that delays and breaks, between a client and one server of this machine."""

import asyncio
import random
from urllib.parse import urlsplit

from tests.labeler_api.images.relay import Relay


class Wire(Relay):
    """Passes bytes on, late by `delay` (seconds, from..to), until as many as allowed have gone in one direction."""

    def __init__(self, target_port: int, choose: random.Random | None = None) -> None:
        super().__init__(target_port)
        self._choose = choose or random.Random(0)
        self.delay: tuple[float, float] | None = None
        self.left_request_bytes: int | None = None

    def cut_request_after(self, request_bytes: int) -> None:
        """Break the connection after so many more bytes of requests."""
        self.left_request_bytes = request_bytes

    def heal(self) -> None:
        """Break nothing any more."""
        self.left_bytes = self.left_request_bytes = None

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if self.delay is not None:
                await asyncio.sleep(self._choose.uniform(*self.delay))
            allowed = self.left_bytes if answers else self.left_request_bytes
            writer.write(data if allowed is None else data[:allowed])
            await writer.drain()
            if allowed is not None and len(data) >= allowed:
                raise ConnectionResetError
        writer.write_eof()


class HeldCommit(Relay):
    """In front of a database: what a client sends goes through, up to its COMMIT."""

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        super().__init__(self._parts.port or 5432)
        self._passing = asyncio.Event()
        self._passing.set()
        self.held = asyncio.Event()

    @property
    def dsn(self) -> str:
        """The database's URL by way of the wire."""
        login = self._parts.netloc.rpartition("@")[0]
        return self._parts._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()

    def hold(self) -> None:
        """Keep the next COMMIT back."""
        self._passing.clear()

    def let_go(self) -> None:
        """Pass everything on, what was kept back first."""
        self._passing.set()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if not answers and b"COMMIT\0" in data and not self._passing.is_set():
                self.held.set()
                await self._passing.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()
