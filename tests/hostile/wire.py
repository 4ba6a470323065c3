"""Clients that speak bytes, from an address of their own: what they do does not count for the bystander."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

ATTACKER = "127.0.0.66"


@dataclass
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def flood(self, piece: bytes, most: int) -> int:
        """Send the piece over and over until the server ends it or `most` bytes are sent; return how many were."""
        sent = 0
        try:
            while sent < most:
                self.writer.write(piece)
                await self.writer.drain()
                sent += len(piece)
        except ConnectionError:
            pass
        return sent

    async def ended(self, seconds: float) -> bytes:
        """What came until the server ended the connection. Raises TimeoutError when it does not."""
        came = b""
        async with asyncio.timeout(seconds):
            try:
                while chunk := await self.reader.read(65536):
                    came = (came + chunk)[-65536:]
            except ConnectionError:
                pass
        return came

    async def read_off(self, seconds: float) -> int:
        """Read until the end, or until nothing comes for so long; return how many bytes came."""
        came = 0
        try:
            while chunk := await asyncio.wait_for(self.reader.read(65536), seconds):
                came += len(chunk)
        except (ConnectionError, TimeoutError):
            pass
        return came


@asynccontextmanager
async def wires(url: str, count: int, *, address: str = ATTACKER, receive_bytes: int = 0) -> AsyncIterator[list[Wire]]:
    """So many connections at once."""
    opened: list[Wire] = []
    try:
        for _ in range(count):
            opened.append(await _open(url, address, receive_bytes))
        yield opened
    finally:
        for wire in opened:
            wire.writer.transport.abort()
        await asyncio.sleep(0)


async def _open(url: str, address: str, receive_bytes: int) -> Wire:
    parts = urlsplit(url)
    own = socket.socket()
    own.setblocking(False)
    if receive_bytes:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    own.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(own, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=own)
    return Wire(reader, writer)
