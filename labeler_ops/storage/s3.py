"""An S3 store as a copier needs it: a thin client on aiohttp that tries again when the store stumbles.

botocore's calls cost 2 ms of CPU each, these a fifth of that; and they refuse metadata that is not ASCII, which other
clients have written.
"""

import asyncio
import base64
import hashlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from time import monotonic
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.description import described, wire
from labeler_ops.storage.signature import Signer

MIB = 1024 * 1024
PUT_LIMIT = 64 * MIB  # below it one PUT, so that the ETag is the MD5 on both sides
PART_BYTES = 16 * MIB  # R2 wants equal parts of 5 MiB or more
_ATTEMPTS = 8  # with the waits below, more than a minute: a store that restarts is waited for
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 20.0
WRITE_EVERY = 1.05  # seconds; R2 allows one write a second to a key
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_CHUNK = MIB  # hashed on another thread, so that reading goes on
_ON_THE_SPOT = 128 * 1024  # smaller ones are hashed sooner than a thread is woken
_NO_BYTES = hashlib.sha256(b"").hexdigest()

T = TypeVar("T")


class ObjectGone(Exception):
    """The object is not in the store any more."""


class Passing(Exception):
    """What may go better the next time; `wait` is what the store asked for, in seconds."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Facts:
    """An object without its bytes: `size` in bytes, the ETag without quotes, and its description."""

    size: int
    etag: str
    description: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Read(Facts):
    """An object that was read to its end."""

    sha256: str
    md5: str = ""
    body: bytes = field(default=b"", repr=False)


class Store:
    """One S3 store. Its methods try again for what passes, raise ObjectGone, and StorageError when it does not pass."""

    def __init__(self, access: StorageAccess, session: aiohttp.ClientSession) -> None:
        self.access = access
        self._session = session
        self._origin = access.endpoint.rstrip("/")
        self._signer = Signer(access.endpoint, access.access_key, access.secret_key, access.region)
        self.retries = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, access: StorageAccess, connections: int) -> AsyncIterator[Self]:
        """Open a store with at most so many connections."""
        connector = aiohttp.TCPConnector(limit=connections)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMEOUT,
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
            read_bufsize=_CHUNK,
        ) as session:
            yield cls(access, session)

    async def head(self, bucket: str, key: str) -> Facts:
        """Look at an object."""

        async def look() -> Facts:
            async with self.ask("HEAD", bucket, key) as answer:
                return _facts(answer)

        return await self.insist(f"HEAD {bucket}/{key}", look)

    async def fetch(self, bucket: str, key: str) -> Read:
        """Read an object into memory, and check its MD5 where the ETag is one. For what is below PUT_LIMIT."""

        async def read() -> Read:
            async with self.ask("GET", bucket, key) as answer:
                facts, body = _facts(answer), await answer.read()
            sha256, md5 = await digests(body)
            _same_md5(facts.etag, md5)
            return Read(facts.size, facts.etag, facts.description, sha256, md5, body)

        return await self.insist(f"GET {bucket}/{key}", read)

    async def fetch_range(self, bucket: str, key: str, start: int, length: int, etag: str) -> bytes:
        """Read a part of an object that is still the one with this ETag."""

        async def read() -> bytes:
            headers = {"Range": f"bytes={start}-{start + length - 1}", "If-Match": f'"{etag}"'}
            async with self.ask("GET", bucket, key, headers=headers) as answer:
                if answer.status != 206:  # noqa: PLR2004 - Partial Content
                    raise StorageError(f"{self.access.endpoint} does not answer ranges: {answer.status}")
                body = await answer.read()
            if len(body) != length:
                raise Passing(f"{len(body)} bytes came instead of {length}")
            return body

        return await self.insist(f"GET {bucket}/{key} from {start}", read)

    async def digest(self, bucket: str, key: str) -> Read:
        """Read an object to its end and keep nothing but its SHA-256; a cut body is read from the cut on."""
        facts = await self.head(bucket, key) if (whole := await self._digest_small(bucket, key)) is None else whole
        if isinstance(facts, Read):
            return facts
        sha256 = hashlib.sha256()
        for start in range(0, facts.size, PART_BYTES):
            length = min(PART_BYTES, facts.size - start)
            part = await self.fetch_range(bucket, key, start, length, facts.etag)
            await asyncio.to_thread(sha256.update, part)
        return Read(facts.size, facts.etag, facts.description, sha256.hexdigest())

    async def _digest_small(self, bucket: str, key: str) -> Read | None:
        """Digest what is below PUT_LIMIT as it streams; None for what is larger."""

        async def read() -> Read | None:
            async with self.ask("GET", bucket, key) as answer:
                facts = _facts(answer)
                if facts.size >= PUT_LIMIT:
                    return None
                sha256 = hashlib.sha256()
                if facts.size <= _ON_THE_SPOT:
                    sha256.update(await answer.read())
                else:
                    async for chunk in answer.content.iter_chunked(_CHUNK):
                        await asyncio.to_thread(sha256.update, chunk)
                return Read(facts.size, facts.etag, facts.description, sha256.hexdigest())

        return await self.insist(f"GET {bucket}/{key}", read)

    async def put(self, bucket: str, key: str, read: Read) -> str:
        """Write an object in one request; the store checks SHA-256 and MD5. Return its ETag."""

        async def write() -> str:
            headers = wire(read.description) | {"Content-MD5": base64_of(read.md5)}
            async with self.ask("PUT", bucket, key, headers=headers, body=read.body, sha256=read.sha256) as answer:
                etag = answer.headers.get("ETag", "").strip('"')
            _same_md5(etag, read.md5)
            return etag

        return await self.insist(f"PUT {bucket}/{key}", write, at_least=WRITE_EVERY)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str = _NO_BYTES,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one signed request. Raises ObjectGone, Passing, or StorageError for an answer that will not change."""
        path = f"/{bucket}/{quote(key, safe='/-_.~')}" if key else f"/{bucket}"
        signed = self._signer.sign(method, path, query, headers or {}, sha256)
        url = URL(self._origin + path + (f"?{query}" if query else ""), encoded=True)
        try:
            async with self._session.request(
                method, url, data=_payload(body), headers=signed, allow_redirects=False
            ) as answer:
                if answer.status >= 300:  # noqa: PLR2004 - neither OK nor Partial Content
                    await _refuse(answer)
                yield answer
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Passing(f"{type(error).__name__} {error}".strip()) from error

    async def insist(
        self, what: str, attempt: Callable[[], Awaitable[T]], at_least: float = 0.0, attempts: int = _ATTEMPTS
    ) -> T:
        """Try until it succeeds; `at_least` seconds lie between the beginnings of two tries."""
        for number in range(attempts):
            began = monotonic()
            try:
                return await attempt()
            except Passing as error:
                if number == attempts - 1:
                    raise StorageError(f"{self.access.endpoint}: {what}: {error}, {attempts} times") from error
                # Full jitter: many that were refused together must not come back together.
                wait = random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**number))  # noqa: S311
                self.retries += 1
                await asyncio.sleep(max(wait, error.wait, began + at_least - monotonic()))
        raise AssertionError("unreachable")


def is_md5(etag: str) -> bool:
    """Whether an ETag is the MD5 of the bytes, as it is for an object that was written in one request."""
    return re.fullmatch(r"[0-9a-f]{32}", etag) is not None


def _payload(body: bytes) -> bytes | BytesIO | None:
    """Let what is large be sent in pieces, so that other requests have their turn."""
    return BytesIO(body) if len(body) > _CHUNK else body or None


def _facts(answer: aiohttp.ClientResponse) -> Facts:
    size = int(answer.headers.get("Content-Length", "-1"))
    if size < 0:
        raise Passing("the answer has no length")
    return Facts(size, answer.headers.get("ETag", "").strip('"'), described(answer.headers))


async def _refuse(answer: aiohttp.ClientResponse) -> None:
    text = (await answer.content.read(2000)).decode(errors="replace")
    said = " ".join(re.findall(r"<(?:Code|Message)>([^<]*)<", text)) or answer.reason or ""
    if answer.status in {404, 412}:  # 412: not the object that was asked for any more
        if "NoSuchBucket" in said:
            raise StorageError(f"{answer.url.origin()}: {said}")
        raise ObjectGone(said)
    if answer.status in _PASSING:
        asked = answer.headers.get("Retry-After", "")
        raise Passing(f"{answer.status} {said}", min(float(asked) if asked.isdigit() else 0.0, _LONGEST_WAIT))
    raise StorageError(f"{answer.method} {answer.url}: {answer.status} {said}")


async def digests(body: bytes) -> tuple[str, str]:
    """Return SHA-256 and MD5, in hexadecimal."""
    if len(body) <= _ON_THE_SPOT:
        return hashlib.sha256(body).hexdigest(), _md5_hex(body)
    first, second = asyncio.to_thread(hashlib.sha256, body), asyncio.to_thread(_md5_hex, body)
    sha256, md5 = await asyncio.gather(first, second)
    return sha256.hexdigest(), md5


def _md5_hex(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _same_md5(etag: str, md5: str) -> None:
    if is_md5(etag) and etag != md5:
        raise Passing(f"the bytes changed on their way: MD5 {md5}, ETag {etag}")


def base64_of(hexadecimal: str) -> str:
    """Turn a digest into the form of Content-MD5."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
