"""A store that fails now and then: a proxy before the real one that answers 503 to some requests."""

import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

from labeler_ops.stack.ports import free_port

Fails = Callable[[web.Request], bool]
_SLOW_DOWN = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_OF_THE_CONNECTION = {"transfer-encoding", "connection", "keep-alive", "content-encoding"}


def sometimes(share: float, seed: int) -> Fails:
    """So many of all requests, by chance that is the same in each run."""
    chance = random.Random(seed)
    return lambda _: chance.random() < share


@asynccontextmanager
async def flaky(target: str, fails: Fails) -> AsyncIterator[str]:
    """The URL of a proxy before the store at `target`."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if fails(request):
            return web.Response(status=503, text=_SLOW_DOWN, content_type="application/xml")
        url = target + request.raw_path
        async with session.request(
            request.method, URL(url, encoded=True), data=io.BytesIO(body) if body else None, headers=request.headers
        ) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
            if request.method == "HEAD":
                return web.Response(status=answer.status, headers=headers)
            headers.pop("Content-Length", None)
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()
