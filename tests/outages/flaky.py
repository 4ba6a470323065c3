"""A store some of whose requests fail: an HTTP relay in front of it that answers 503 by chance."""

import random
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

_UNAVAILABLE = (
    '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
# Signed headers must arrive as they were sent; these belong to one connection (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})


class FlakyStore:
    """Listens on a port of its own; `failing` is the share of requests that are answered 503, from 0 to 1."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._choose = random.Random(0)
        self.failing = 0.0
        self.failed = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self._choose.random() < self.failing:
            self.failed += 1
            return web.Response(status=503, text=_UNAVAILABLE, content_type="application/xml")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = URL(f"{self._endpoint}{request.raw_path}", encoded=True)  # the path is signed as it was sent
        try:
            return await self._asked(request.method, url, headers, body)
        except aiohttp.ClientError:
            # The store is away: so is this one.
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway from None

    async def _asked(self, method: str, url: URL, headers: dict[str, str], body: bytes) -> web.Response:
        asked = self._session.request(method, url, headers=headers, data=body, allow_redirects=False)
        async with asked as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            content = await answer.read()
            if method == "HEAD":
                return web.Response(status=answer.status, headers=passed)
            passed.pop("Content-Length", None)
            return web.Response(status=answer.status, headers=passed, body=content)
