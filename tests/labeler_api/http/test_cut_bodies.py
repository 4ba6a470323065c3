"""A body that ends in its middle, over real sockets: to every operation that takes one, and nothing is written."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn

from labeler_ops.stack.ports import free_port
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.sample import build
from tests.fixtures.accounts import OWNER
from tests.fixtures.api import Api
from tests.labeler_api.http.test_bad_input import JSON, WITH_FORM, WITH_JSON, rows


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[int]:
    """The application of this test on a socket; gives the port."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(api.app, "127.0.0.1", port, lifespan="off", log_config=None, ws="none"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.02)
        yield port
    finally:
        server.should_exit = True
        await task


async def test_a_body_that_is_cut_in_the_middle_writes_nothing(api: Api) -> None:
    """Half of a good body, and then the connection ends: by a farewell, and by a reset."""
    callers, sample = Callers(api), await build(api.db)
    before = await rows(api.db)
    token = api.token(OWNER.id, OWNER.email)
    async with serving(api) as port:
        for good in [*WITH_JSON, *WITH_FORM]:
            ask = good.ask(sample)
            body = (
                json.dumps(ask.json).encode() if ask.json is not None else b"--b\r\nContent-Disposition: form-data; na"
            )
            kind = JSON if ask.json is not None else "multipart/form-data; boundary=b"
            url = httpx.URL(callers.url(good.call, sample, ask), params=dict(ask.params)).raw_path.decode()
            for framing in (f"Content-Length: {len(body) + 1}", "Transfer-Encoding: chunked"):
                chunk = b"%x\r\n%b\r\n" % (len(body), body) if "chunked" in framing else body
                head = f"{good.operation.method} {url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                request = f"{head}Content-Type: {kind}\r\n{framing}\r\n\r\n".encode() + chunk
                answer = await _cut(port, request, reset="chunked" in framing)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (good.call, answer[:300])
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
    await callers.close()
    assert await rows(api.db) == before


async def _cut(port: int, request: bytes, *, reset: bool) -> bytes:
    """Send what there is and leave; what the server said, if it could say anything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        if reset:
            writer.transport.abort()
            return b""
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
