"""Do with a store, once and under a key of our own, everything that the labeler does with it.

Nothing is left behind: the objects are removed at the end, unfinished uploads too.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from labeler_api.errors import AppError
from labeler_api.object_store.bucket_ownership import PROBE_PREFIX, State
from labeler_api.settings import Settings
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.bucket_tie import read_ties
from labeler_ops.storage.buckets import connect

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

_PART_BYTES = 5 * 1024 * 1024  # S3's smallest part
_LAST_BYTES = 1024
_CALL_SECONDS = 20.0

Level = Literal["ok", "note", "wrong"]
_CORS_SAID: Mapping[str, tuple[Level, str]] = {
    "NoSuchCORSConfiguration": ("wrong", "browsers may read nothing: run `labeler storage init`"),
    # A key for objects alone cannot read the rules, and they may still be right.
    "AccessDenied": ("note", "the key may not read the bucket's rules; look at them in the store's console"),
    "NotImplemented": ("note", "the store cannot tell its rules; look at them in its console"),
}
# Without a tie everything works but deletion, as it does before the first start of the API.
_TIES: Mapping[State, Level] = {"tied": "ok", "missing": "note", "other": "wrong", "unreadable": "wrong"}
_FAILURES = (ClientError, BotoCoreError, HTTPClientError, OSError, TimeoutError, AssertionError)


class Seen(msgspec.Struct, frozen=True):
    """What one try showed, in a sentence."""

    what: str
    level: Level
    text: str


class _Difference(AssertionError):
    """The store answered, but not what S3 says."""


class _Bucket:
    """One bucket under the probe's key. Each method is one try; its name says enough."""

    def __init__(self, client: "S3Client", bucket: str, origins: Sequence[str]) -> None:
        self._client = client
        self._origins = origins
        self._content = secrets.token_bytes(4096)
        prefix = PROBE_PREFIX + secrets.token_hex(8)
        self._small: Any = {"Bucket": bucket, "Key": f"{prefix}/small é 한.bin"}
        self._large: Any = {"Bucket": bucket, "Key": f"{prefix}/large.bin"}
        self._prefix: Any = {"Bucket": bucket, "Prefix": prefix}
        self._bucket: Any = {"Bucket": bucket}

    async def bucket(self) -> str:
        # Some stores make a bucket of any name that is written to: without this look a misspelt one would pass.
        await self._client.head_bucket(**self._bucket)
        return "it exists"

    async def put(self) -> str:
        await self._client.put_object(
            **self._small, Body=self._content, ContentType="image/png", Metadata={"probe": "1"}
        )
        return f"{len(self._content)} bytes, a content type and metadata"

    async def get(self) -> str:
        answer = await self._client.get_object(**self._small)
        _same(await _body(answer) == self._content, "gave back other bytes than were put")
        _same(answer["ContentType"] == "image/png", f"changed the content type to {answer['ContentType']}")
        _same(answer["Metadata"] == {"probe": "1"}, "did not keep the metadata")
        return "the same bytes, content type and metadata"

    async def range(self) -> str:
        answer = await self._client.get_object(**self._small, Range="bytes=100-199")
        _same(answer["ResponseMetadata"]["HTTPStatusCode"] == 206, "does not answer ranges")  # noqa: PLR2004
        _same(await _body(answer) == self._content[100:200], "gave back another range")
        return "100 bytes from the middle"

    async def list(self) -> str:
        answer = await self._client.list_objects_v2(**self._prefix)
        _same(
            [entry["Key"] for entry in answer.get("Contents", [])] == [self._small["Key"]],
            "does not list what was just put",
        )
        return "what was just put is there"

    async def multipart(self) -> str:
        upload = (await self._client.create_multipart_upload(**self._large))["UploadId"]
        parts: list[Any] = []
        for number, size in ((1, _PART_BYTES), (2, _LAST_BYTES)):
            sent = await self._client.upload_part(
                **self._large, UploadId=upload, PartNumber=number, Body=bytes([number]) * size
            )
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        await self._client.complete_multipart_upload(**self._large, UploadId=upload, MultipartUpload={"Parts": parts})
        size = (await self._client.head_object(**self._large))["ContentLength"]
        _same(size == _PART_BYTES + _LAST_BYTES, f"made an object of {size} bytes from its parts")
        return "two parts became one object"

    async def presign(self) -> str:
        url = await self._client.generate_presigned_url("get_object", Params=self._small, ExpiresIn=60)
        status, body, _ = await _fetch(url)
        _same(status == 200 and body == self._content, f"answers a signed link with {status}")  # noqa: PLR2004
        signature = url[-8:]
        forged = url.removesuffix(signature) + signature[::-1]
        status, *_ = await _fetch(forged if forged != url else f"{url[:-1]}0")
        _same(status in {400, 403}, f"answers a link with a wrong signature with {status}")
        return "a signed link works, a forged one does not"

    async def cors(self) -> str:
        rules = (await self._client.get_bucket_cors(**self._bucket))["CORSRules"]
        allowed = {origin for rule in rules for origin in rule["AllowedOrigins"]}
        missing = [] if "*" in allowed else [origin for origin in self._origins if origin not in allowed]
        _same(not missing, f"has no CORS rule for {', '.join(missing)}: run `labeler storage init`")
        url = await self._client.generate_presigned_url("get_object", Params=self._small, ExpiresIn=60)
        for origin in self._origins:
            *_, headers = await _fetch(url, origin)
            said = headers.get("Access-Control-Allow-Origin")
            _same(said in {origin, "*"}, f"says {said!r} to a browser that comes from {origin}")
        return f"browsers may read from {', '.join(self._origins)}"

    async def delete(self) -> str:
        for where in (self._small, self._large):
            await self._client.delete_object(**where)
        uploads = await self._client.list_multipart_uploads(**self._prefix)
        for upload in uploads.get("Uploads", []):
            await self._client.abort_multipart_upload(**self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return "the probe's objects are gone"

    def tries(self) -> Sequence[tuple[str, Callable[[], Awaitable[str]]]]:
        names = ("bucket", "put", "get", "range", "list", "multipart", "presign", "cors")
        return [(name, getattr(self, name)) for name in names]


async def probe(access: StorageAccess, origins: Sequence[str]) -> list[Seen]:
    """Try everything in both buckets; never raises for what it finds."""
    try:
        async with connect(access) as client:
            found = [await _probe_bucket(client, bucket, origins) for bucket in access.buckets]
    except (BotoCoreError, ValueError, OSError) as error:  # no client can be made of these settings
        return [Seen("connection", "wrong", f"{access.endpoint}: {_said(error)}")]
    return [one for bucket in found for one in bucket]


async def tie(settings: Settings) -> list[Seen]:
    """Say what the buckets say of their database; a bucket that the probe could not use says nothing."""
    try:
        ties = await read_ties(settings)
    except AppError as error:
        return [Seen("tie", "note", f"{error.detail} Without a tie nothing is deleted.")]
    return [Seen(f"{look.bucket}: tie", _TIES[look.state], look.text) for look in ties]


async def _probe_bucket(client: "S3Client", bucket: str, origins: Sequence[str]) -> list[Seen]:
    one = _Bucket(client, bucket, origins)
    seen: list[Seen] = []
    async with _cleaned(one, bucket, seen):
        for name, action in one.tries():
            seen.append(await _tried(bucket, name, action))
            if name in {"bucket", "put"} and seen[-1].level == "wrong":
                break  # nothing else can be tried without an object
    return seen


@asynccontextmanager
async def _cleaned(one: _Bucket, bucket: str, seen: list[Seen]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if len(seen) > 1:  # the bucket is there, and something was put
            seen.append(await _tried(bucket, "delete", one.delete))


async def _tried(bucket: str, name: str, action: Callable[[], Awaitable[str]]) -> Seen:
    begun = perf_counter()
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            text = await action()
    except _FAILURES as error:
        if name == "bucket" and _code(error) == "404":
            return Seen(
                f"{bucket}: {name}", "wrong", "it does not exist: run `labeler storage init`, or name another one"
            )
        if name != "cors" or (code := _code(error)) not in _CORS_SAID:
            return Seen(f"{bucket}: {name}", "wrong", _said(error))
        return Seen(f"{bucket}: {name}", *_CORS_SAID[code])
    return Seen(f"{bucket}: {name}", "ok", f"{text} ({(perf_counter() - begun) * 1000:.0f} ms)")


def _same(right: bool, otherwise: str) -> None:
    if not right:
        raise _Difference(f"the store {otherwise}")


async def _body(answer: Any) -> bytes:
    async with answer["Body"] as body:
        content: bytes = await body.read()
        return content


async def _fetch(url: str, origin: str | None = None) -> tuple[int, bytes, Any]:
    """Fetch a link as a browser does: without a key of ours. Blocking, so in a thread."""
    return await asyncio.to_thread(_fetched, Request(url, headers={"Origin": origin} if origin else {}))  # noqa: S310 - the store's own link


def _fetched(request: Request) -> tuple[int, bytes, Any]:
    try:
        with urlopen(request, timeout=_CALL_SECONDS) as answer:  # noqa: S310 - the store's own link
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def _code(error: BaseException) -> str:
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_CALL_SECONDS:.0f} s"
    return " ".join(str(error).split()) or type(error).__name__
