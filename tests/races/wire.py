"""A wire that delays and breaks, between a client and one server of this machine."""

import asyncio
import random

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
