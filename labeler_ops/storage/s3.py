"""An S3 store as a copier needs it: a thin client that tries again when the store stumbles.

botocore's calls cost 2 ms of CPU each, these an eighth of that; and they refuse metadata that is not ASCII, which other
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
from typing import Self, TypeVar
from urllib.parse import quote

from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.connection import Answer, Broken, Connections, Sink
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
_ON_THE_SPOT = 128 * 1024  # smaller ones are hashed sooner than a thread is woken
_NO_BYTES = hashlib.sha256(b"").hexdigest()

T = TypeVar("T")


class ObjectGone(Exception):
    """The object is not in the store any more."""


class TransientError(Exception):
    """What may go better the next time; `wait` is what the store asked for, in seconds."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """An object without its bytes: `size` in bytes, the ETag without quotes, and its description."""

    size: int
    etag: str
    description: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Read(ObjectFacts):
    """An object that was read to its end."""

    sha256: str
    md5: str = ""
    body: bytes = field(default=b"", repr=False)


class Store:
    """One S3 store. Its methods try again for what passes, raise ObjectGone, and StorageError when it does not pass."""

    def __init__(self, access: StorageAccess, connections: Connections) -> None:
        self.access = access
        self._connections = connections
        self._signer = Signer(access.endpoint, access.access_key, access.secret_key, access.region)
        self.retries = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, access: StorageAccess, connections: int) -> AsyncIterator[Self]:
        """Open a store with a bounded number of connections."""
        async with Connections(access.endpoint, connections) as opened:
            yield cls(access, opened)

    async def head(self, bucket: str, key: str) -> ObjectFacts:
        """Look at an object."""

        async def look() -> ObjectFacts:
            return _facts(await self.ask("HEAD", bucket, key))

        return await self.insist(f"HEAD {bucket}/{key}", look)

    async def fetch(self, bucket: str, key: str) -> Read:
        """Read an object into memory, and check its MD5 where the ETag is one. For what is below PUT_LIMIT."""

        async def read() -> Read:
            answer = await self.ask("GET", bucket, key)
            facts = _facts(answer)
            sha256, md5 = await digests(answer.body)
            _same_md5(facts.etag, md5)
            return Read(facts.size, facts.etag, facts.description, sha256, md5, answer.body)

        return await self.insist(f"GET {bucket}/{key}", read)

    async def fetch_range(self, bucket: str, key: str, start: int, length: int, etag: str) -> bytes:
        """Read a part of an object that is still the one with this ETag."""

        async def read() -> bytes:
            answer = await self._ask_range(bucket, key, start, length, etag)
            _whole(len(answer.body), length)
            return answer.body

        return await self.insist(f"GET {bucket}/{key} from {start}", read)

    async def _ask_range(
        self, bucket: str, key: str, start: int, length: int, etag: str, sink: Sink | None = None
    ) -> Answer:
        wanted = f"{start}-{start + length - 1}"
        headers = {"Range": f"bytes={wanted}", "If-Match": f'"{etag}"'}
        answer = await self.ask("GET", bucket, key, headers=headers, sink=sink)
        # Some stores send the range that they were asked for and call it 200.
        if not answer.headers.get("content-range", "").startswith(f"bytes {wanted}/"):
            raise StorageError(f"{self.access.endpoint} does not answer ranges: {answer.status}")
        return answer

    async def digest(self, bucket: str, key: str, size: int) -> Read:
        """Read an object to its end and keep nothing but its SHA-256; `size` is what the listing says, in bytes.

        What is not small is read in ranges, so that a cut body is read from the cut on.
        """
        if size < PUT_LIMIT:
            return await self._digest_small(bucket, key)
        facts = await self.head(bucket, key)
        sha256 = hashlib.sha256()
        for start in range(0, facts.size, PART_BYTES):
            sha256 = await self._digest_range(
                bucket, key, start, min(PART_BYTES, facts.size - start), facts.etag, sha256
            )
        return Read(facts.size, facts.etag, facts.description, sha256.hexdigest())

    async def _digest_range(
        self, bucket: str, key: str, start: int, length: int, etag: str, before: "hashlib._Hash"
    ) -> "hashlib._Hash":
        """Read a range into a copy of the digest so far: a try that fails leaves no trace."""

        async def read() -> "hashlib._Hash":
            after, count = before.copy(), 0

            def take(piece: bytes) -> None:
                nonlocal count
                count += len(piece)
                after.update(piece)

            await self._ask_range(bucket, key, start, length, etag, take)
            _whole(count, length)
            return after

        return await self.insist(f"GET {bucket}/{key} from {start}", read)

    async def _digest_small(self, bucket: str, key: str) -> Read:
        async def read() -> Read:
            sha256 = hashlib.sha256()
            facts = _facts(await self.ask("GET", bucket, key, sink=sha256.update))
            return Read(facts.size, facts.etag, facts.description, sha256.hexdigest())

        return await self.insist(f"GET {bucket}/{key}", read)

    async def put(self, bucket: str, key: str, read: Read) -> str:
        """Write an object in one request; the store checks SHA-256 and MD5. Return its ETag."""

        async def write() -> str:
            headers = wire(read.description) | {"Content-MD5": base64_of(read.md5)}
            answer = await self.ask("PUT", bucket, key, headers=headers, body=read.body, sha256=read.sha256)
            etag = answer.headers.get("etag", "").strip('"')
            _same_md5(etag, read.md5)
            return etag

        return await self.insist(f"PUT {bucket}/{key}", write, at_least=WRITE_EVERY)

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
        sink: Sink | None = None,
    ) -> Answer:
        """Send one signed request. Raises ObjectGone, Passing, or StorageError for an answer that will not change."""
        path = f"/{bucket}/{quote(key, safe='/-_.~')}" if key else f"/{bucket}"
        signed = self._signer.sign(method, path, query, headers or {}, sha256)
        target = f"{path}?{query}" if query else path
        try:
            answer = await self._connections.request(method, target, signed, body, sink)
        except Broken as error:
            raise TransientError(str(error)) from error
        except ValueError as error:
            raise StorageError(f"{method} {bucket}/{key}: {error}") from error
        if answer.status >= 300:  # noqa: PLR2004 - neither OK nor Partial Content
            _refuse(answer, f"{method} {self.access.endpoint}{target}")
        return answer

    async def insist(
        self, what: str, attempt: Callable[[], Awaitable[T]], at_least: float = 0.0, attempts: int = _ATTEMPTS
    ) -> T:
        """Try until it succeeds; at least `at_least` seconds lie between a failure and the next try."""
        for number in range(attempts):
            try:
                return await attempt()
            except TransientError as error:
                if number == attempts - 1:
                    raise StorageError(f"{self.access.endpoint}: {what}: {error}, {attempts} times") from error
                # Full jitter: many that were refused together must not come back together.
                wait = random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**number))  # noqa: S311
                self.retries += 1
                # From the failure on: when the store itself wrote, if it did, nobody here knows.
                await asyncio.sleep(max(wait, error.wait, at_least))
        raise AssertionError("unreachable")


def is_md5(etag: str) -> bool:
    """Whether an ETag is the MD5 of the bytes, as it is for an object that was written in one request."""
    return re.fullmatch(r"[0-9a-f]{32}", etag) is not None


def _whole(got: int, wanted: int) -> None:
    if got != wanted:
        raise TransientError(f"{got} bytes came instead of {wanted}")


def _facts(answer: Answer) -> ObjectFacts:
    size = int(answer.headers.get("content-length", "-1"))
    if size < 0:
        raise TransientError("the answer has no length")
    return ObjectFacts(size, answer.headers.get("etag", "").strip('"'), described(answer.headers))


def _refuse(answer: Answer, asked: str) -> None:
    text = answer.body[:2000].decode(errors="replace")
    said = " ".join(re.findall(r"<(?:Code|Message)>([^<]*)<", text)) or answer.reason
    if answer.status in {404, 412}:  # 412: not the object that was asked for any more
        if "NoSuchBucket" in said:
            raise StorageError(f"{asked}: {said}")
        raise ObjectGone(said)
    if answer.status in _PASSING:
        wait = answer.headers.get("retry-after", "")
        raise TransientError(f"{answer.status} {said}", min(float(wait) if wait.isdigit() else 0.0, _LONGEST_WAIT))
    raise StorageError(f"{asked}: {answer.status} {said}")


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
        raise TransientError(f"the bytes changed on their way: MD5 {md5}, ETag {etag}")


def base64_of(hexadecimal: str) -> str:
    """Turn a digest into the form of Content-MD5."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
