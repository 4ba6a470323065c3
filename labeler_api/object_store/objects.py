"""The object store: one aiobotocore client a process, opened in the lifespan."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

import aiohttp
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from labeler_api.errors import NotFound, RangeNotSatisfiable, Unavailable
from labeler_api.object_store.client import CHUNK_BYTES, ObservedCalls, make_client
from labeler_api.object_store.presigning import Presigner
from labeler_api.resilience.retry import retry_while_unavailable
from labeler_api.settings import Settings
from labeler_api.telemetry.instruments import Instruments
from labeler_api.text.counted_nouns import counted

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import (
        CompletedMultipartUploadTypeDef,
        CompletedPartTypeDef,
        DeleteTypeDef,
        UploadPartOutputTypeDef,
    )

_FIRST_ANSWER_SECONDS = 15.0  # for the first answer, the wait for a free connection of the pool included
_RETRY_SECONDS = 2
_PART_BYTES = 8 * 1024 * 1024  # S3 wants 5 MiB at least; 10 000 parts of 8 MiB are 78 GiB
_DELETE_BATCH = 1000  # S3's own limit of DeleteObjects
_MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
_BAD_RANGE = {"InvalidRange", "416"}
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_NO_BULK_DELETE = {"NotImplemented", "501", "MissingContentMD5", "InvalidDigest"}

log = structlog.get_logger("labeler_api.object_store.objects")


class DeletionGuard(Protocol):
    """Says whether this process may delete a bucket's objects; `bucket_ownership` is the one that counts."""

    async def require(self, bucket: str) -> None:
        """Raise Unavailable when they may not."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object, as a listing or a HEAD describes it; `etag` is the store's, without quotes."""

    key: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str = ""
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """Parts in the store that are no object yet."""

    key: str
    upload_id: str
    begun_at: datetime


class ByteStream(Protocol):
    """Open bytes: an object, or what is put together of several. `length` is how many of them come."""

    length: int
    content_range: str | None

    def iter_chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes as they arrive. Raises Unavailable when the store breaks off."""


class ObjectStream:
    """An open object. `size` is the whole object's, `length` what this stream carries: less for a range."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self._body = answer["Body"]
        self.length: int = answer["ContentLength"]
        self.content_range: str | None = answer.get("ContentRange") or None
        self.size: int = int(self.content_range.rpartition("/")[2]) if self.content_range else self.length
        self.etag: str = answer.get("ETag", "").strip('"')
        self.content_type: str = answer.get("ContentType", "")
        self.metadata: Mapping[str, str] = answer.get("Metadata", {})

    async def iter_chunks(self, size: int = CHUNK_BYTES) -> AsyncGenerator[bytes, None]:
        """Yield the bytes as they arrive, at most `size` at once. Raises Unavailable when the store breaks off."""
        with _translated():
            while chunk := await self._body.read(size):
                yield chunk

    async def read(self) -> bytes:
        """Return all of it; for what is known to be small."""
        return b"".join([chunk async for chunk in self.iter_chunks()])


class Upload:
    """Writes one object of unknown size: a single PUT when it stays small, parts of 8 MiB when it does not."""

    def __init__(self, client: "S3Client", bucket: str, key: str, headers: Any) -> None:
        self._client = client
        self._where: Any = {"Bucket": bucket, "Key": key}
        self._headers = headers
        self._buffer = bytearray()
        self._id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Take bytes; sends a part whenever one is full."""
        self.size += len(data)
        self._buffer += data
        while len(self._buffer) >= _PART_BYTES:
            part = bytes(self._buffer[:_PART_BYTES])
            del self._buffer[:_PART_BYTES]
            await self._send(part)

    async def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        with _translated():
            if self._id is None:
                made = await self._client.create_multipart_upload(**self._where, **self._headers)
                self._id = made["UploadId"]
        upload_id = self._id

        async def send() -> "UploadPartOutputTypeDef":
            with _translated():
                return await self._client.upload_part(**self._where, UploadId=upload_id, PartNumber=number, Body=part)

        sent = await retry_while_unavailable(send)
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    async def finish(self) -> None:
        """Make the object visible."""
        if self._id is not None and self._buffer:
            await self._send(bytes(self._buffer))
        with _translated():
            if self._id is None:
                await self._client.put_object(**self._where, **self._headers, Body=bytes(self._buffer))
                return
            parts: CompletedMultipartUploadTypeDef = {"Parts": self._parts}
            await self._client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload=parts)

    async def abort(self) -> None:
        """Give up the parts that were sent. A store that is away keeps them until its own rules drop them."""
        if self._id is not None:
            with suppress(Unavailable, NotFound), _translated():
                await self._client.abort_multipart_upload(**self._where, UploadId=self._id)


class ObjectStore:
    """S3, MinIO, R2 or SeaweedFS: puts, opens, copies, deletes and lists objects.

    Every method raises NotFound for an object that is not there, Unavailable for a store that does not answer.

    Nothing is deleted without asking `guard` first, and before every thousand again; without a guard nothing at all.
    """

    def __init__(self, client: "S3Client", probe: "S3Client", presigner: Presigner, buckets: Sequence[str]) -> None:
        self._client, self._probe, self._presigner, self._buckets = client, probe, presigner, buckets
        self.guard: DeletionGuard | None = None
        self.open_streams = 0

    @classmethod
    async def connect(cls, settings: Settings, stack: AsyncExitStack, instruments: Instruments | None = None) -> Self:
        """Make the clients, and let `stack` close them. Opens no connection: an absent store does not stop the start.

        The probe has one of its own, which tries once: it is to say soon why the store does not answer.
        """
        instruments = instruments or Instruments()

        async def observed(attempts: int) -> Any:
            client = make_client(settings, settings.storage_url, attempts)
            return ObservedCalls(await stack.enter_async_context(client), instruments)

        # Browsers may reach the store under another name than we do; the host is part of what is signed.
        public = settings.s3_public_endpoint or settings.storage_url
        presigner = Presigner(public, settings.s3_region, settings.s3_access_key, settings.s3_secret_key)
        return cls(await observed(2), await observed(1), presigner, settings.buckets)

    async def ping(self) -> None:
        """Ask for both buckets."""
        for bucket in self._buckets:
            with _translated(f"The bucket {bucket} does not exist."):
                await self._probe.head_bucket(Bucket=bucket)

    async def put(
        self,
        bucket: str,
        key: str,
        body: bytes | AsyncIterable[bytes],
        content_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object, replacing what is there; it appears whole or not at all. Metadata is ASCII."""
        if isinstance(body, bytes):
            with _translated():
                await self._client.put_object(Bucket=bucket, Key=key, Body=body, **_headers(content_type, metadata))
            return
        async with self.upload_stream(bucket, key, content_type, metadata) as upload:
            async for chunk in body:
                await upload.write(chunk)

    async def put_new(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        """Write an object where there is none; False, with nothing written, where there is one. Of two, one wins."""
        given: Any = {"Bucket": bucket, "Key": key, "Body": body, **_headers(content_type, None)}
        with _translated():
            try:
                await self._client.put_object(**given, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) not in _THERE_ALREADY:
                    raise
                return False
        return True

    @asynccontextmanager
    async def upload_stream(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> AsyncIterator[Upload]:
        """Lend an Upload to write to; the object appears when the block ends, and never when it raises."""
        upload = Upload(self._client, bucket, key, _headers(content_type, metadata))
        try:
            yield upload
            await upload.finish()
        except BaseException:
            # Shielded: parts that a cancelled request leaves behind are paid for until somebody finds them.
            await asyncio.shield(upload.abort())
            raise

    @asynccontextmanager
    async def open(self, bucket: str, key: str, byte_range: str | None = None) -> AsyncIterator[ObjectStream]:
        """Open an object for reading; `byte_range` as in a Range header. Closed when the block ends, read or not.

        Raises RangeNotSatisfiable for a range that begins beyond the end.
        """
        given: Any = {"Range": byte_range} if byte_range else {}
        with _translated():
            async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
                answer = await self._client.get_object(Bucket=bucket, Key=key, **given)
        self.open_streams += 1
        try:
            yield ObjectStream(answer)
        finally:
            self.open_streams -= 1
            answer["Body"].close()  # not read on: an unread rest would pin the connection or be paid for

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        """Look at an object without its bytes."""
        with _translated():
            answer = await self._client.head_object(Bucket=bucket, Key=key)
        facts = (answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"], answer["ContentType"])
        return ObjectInfo(key, *facts, answer.get("Metadata", {}))

    async def copy(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object inside the store, content type and metadata with it."""
        with _translated():
            await self._client.copy_object(Bucket=to_bucket, Key=to_key, CopySource={"Bucket": bucket, "Key": key})

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects; those that are gone already are no error. Raises Unavailable when the guard forbids it."""
        for start in range(0, len(keys), _DELETE_BATCH):
            await self.require_deletable(bucket)
            with _translated():
                await self._delete_batch(bucket, keys[start : start + _DELETE_BATCH])

    async def require_deletable(self, bucket: str) -> None:
        """Raise Unavailable when the guard lets nothing be deleted in the bucket."""
        if self.guard is None:
            raise Unavailable(
                "Nothing is deleted: nobody can say to which database the bucket belongs.", code="not_tied"
            )
        await self.guard.require(bucket)

    async def _delete_batch(self, bucket: str, keys: Sequence[str]) -> None:
        try:
            wanted: DeleteTypeDef = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            answer = await self._client.delete_objects(Bucket=bucket, Delete=wanted)
        except ClientError as error:
            if _code(error) not in _NO_BULK_DELETE:
                raise
            # Stores that want another checksum for the bulk call than this SDK sends take single deletes.
            for key in keys:
                await self._client.delete_object(Bucket=bucket, Key=key)
            return
        if refused := answer.get("Errors"):
            what = counted(len(refused), "object was", "objects were")
            raise _unavailable(f"{what} not deleted: {refused[0].get('Code')}")

    async def list(self, bucket: str, prefix: str) -> AsyncGenerator[ObjectInfo, None]:
        """Yield every object whose key begins with `prefix`, in the order of the keys."""
        where: Any = {"Bucket": bucket, "Prefix": prefix}
        while where:
            with _translated():
                page = await self._client.list_objects_v2(**where)
            for entry in page.get("Contents", []):
                yield ObjectInfo(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])
            more = page.get("NextContinuationToken") if page.get("IsTruncated") else None
            where = where | {"ContinuationToken": more} if more else None

    async def unfinished(self, bucket: str, prefix: str) -> AsyncGenerator[UnfinishedUpload, None]:
        """Yield every upload in parts that was begun under a prefix and neither completed nor given up."""
        where: Any = {"Bucket": bucket, "Prefix": prefix}
        while where:
            with _translated():
                page = await self._client.list_multipart_uploads(**where)
            for entry in page.get("Uploads", []):
                yield UnfinishedUpload(entry["Key"], entry["UploadId"], entry["Initiated"])
            more = {"KeyMarker": page.get("NextKeyMarker"), "UploadIdMarker": page.get("NextUploadIdMarker")}
            where = where | more if page.get("IsTruncated") else None

    async def give_up(self, bucket: str, upload: UnfinishedUpload) -> None:
        """Drop the parts of an upload; one that is gone already is no error. Raises Unavailable as `delete_many`."""
        await self.require_deletable(bucket)
        with suppress(NotFound), _translated():
            await self._client.abort_multipart_upload(Bucket=bucket, Key=upload.key, UploadId=upload.upload_id)

    def presign(self, bucket: str, key: str, disposition: str | None = None) -> str:
        """Make a link with which anybody may GET the object for 12 to 24 hours; no call to the store."""
        return self._presigner.link(bucket, key, disposition)


def _headers(content_type: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    return {"ContentType": content_type, "Metadata": dict(metadata or {})}


@contextmanager
def _translated(missing: str = "The object is not in the store.") -> Iterator[None]:
    """Turn the SDK's errors into the application's; those of the application pass."""
    try:
        yield
    except ClientError as error:
        if _code(error) in _MISSING:
            raise NotFound(missing, code="object_not_found") from error
        if _code(error) in _BAD_RANGE:
            raise RangeNotSatisfiable("The range begins beyond the end of the object.") from error
        raise _unavailable(str(error)) from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _unavailable(str(error)) from error


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _unavailable(reason: str) -> Unavailable:
    log.warning("object store failed", reason=" ".join(reason.split())[:500])
    return Unavailable(
        "The object store is not available at the moment. Try again shortly.",
        code="storage_unavailable",
        retry_after=_RETRY_SECONDS,
    )
