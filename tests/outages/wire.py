"""A wire that falls silent: connections stay open and no byte moves, in either direction."""

import asyncio

from tests.fixtures.wire import Wire


class SilentWire(Wire):
    """Passes bytes on until it is silenced. A connection that was silenced stays so: a firewall has forgotten it."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._speaking = asyncio.Event()
        self._speaking.set()

    def silence(self, *, new: bool) -> None:
        """Move nothing on the connections that are open; with `new` on those to come neither, until `speak`."""
        self._speaking.clear()
        if not new:
            self._speaking = asyncio.Event()
            self._speaking.set()

    def speak(self) -> None:
        """Let new connections through again."""
        self._speaking = asyncio.Event()
        self._speaking.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._speaking.is_set():
            # Accepted by the kernel before anybody could refuse it, and then nothing.
            self._writers.add(writer)
            return
        await super()._accept(reader, writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        speaking = self._speaking
        while data := await reader.read(65536):
            if self.delay is not None:
                await asyncio.sleep(self._choose.uniform(*self.delay))
            await speaking.wait()
            writer.write(data)
            await writer.drain()
        await speaking.wait()
        writer.write_eof()
