"""The passes over two stores with another S3 client beneath: aiobotocore and obstore beside ours.

`python -m benchmarks.object_clients CLIENT copy|verify|list DIRECTORY` between SOURCE_S3_… and TARGET_S3_…; `list` counts
the target's datasets bucket. Everything above the client is the same: inventory, manifest, retries, hashes, comparison.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientPayloadError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from labeler_ops.storage import inventory, listing, object_copy, parts, s3, store_sync, tie_copy
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.description import METADATA, described, wire
from labeler_ops.storage.s3 import (
    MIB,
    PUT_LIMIT,
    ObjectFacts,
    ObjectGone,
    Read,
    Store,
    TransientError,
    base64_of,
    digests,
)
from labeler_ops.storage.store_variables import read_both

_T = TypeVar("_T")
_NAMES = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
}
_PIECE = 256 * 1024


class Other(Store):
    """What both others need: the methods that the passes call, over four that each writes its own way."""

    retries = 0

    def __init__(self, access: StorageAccess) -> None:
        self.access = access
        self.retries = 0

    async def digest(self, bucket: str, key: str, size: int) -> Read:  # noqa: ARG002 - as ours is called
        async def read() -> Read:
            return await self.stream(bucket, key)

        return await self.insist(f"GET {bucket}/{key}", read)

    async def stream(self, bucket: str, key: str) -> Read:
        raise NotImplementedError

    def pages(self, bucket: str, at_once: int, prefix: str) -> AsyncGenerator[list[listing.Entry], None]:
        raise NotImplementedError


class Boto(Other):
    """aiobotocore, configured as the API does it."""

    client: Any

    @classmethod
    @asynccontextmanager
    async def open(cls, access: StorageAccess, connections: int) -> AsyncIterator[Self]:
        config = AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=connections,
            retries={"total_max_attempts": 1},
        )
        async with get_session().create_client(
            "s3",
            endpoint_url=access.endpoint,
            region_name=access.region,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            config=config,
        ) as client:
            self = cls(access)
            self.client = client
            yield self

    async def call(self, what: str, work: Callable[[], Awaitable[_T]], at_least: float = 0.0) -> _T:
        async def attempt() -> _T:
            try:
                return await work()
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status in {404, 412}:
                    raise ObjectGone(str(error)) from error
                if status in {408, 429} or status >= 500:
                    raise TransientError(str(error)) from error
                raise StorageError(str(error)) from error
            except (HTTPClientError, ClientPayloadError, OSError) as error:
                raise TransientError(str(error)) from error
            except BotoCoreError as error:
                raise StorageError(str(error)) from error

        return await self.insist(what, attempt, at_least)

    async def head(self, bucket: str, key: str) -> ObjectFacts:
        return await self.call("HEAD", lambda: self._head(bucket, key))

    async def _head(self, bucket: str, key: str) -> ObjectFacts:
        return _facts(await self.client.head_object(Bucket=bucket, Key=key))

    async def fetch(self, bucket: str, key: str) -> Read:
        async def work() -> Read:
            answer = await self.client.get_object(Bucket=bucket, Key=key)
            async with answer["Body"] as stream:
                body = await stream.read()
            sha256, md5 = await digests(body)
            facts = _facts(answer)
            return Read(facts.size, facts.etag, facts.description, sha256, md5, body)

        return await self.call("GET", work)

    async def fetch_range(self, bucket: str, key: str, start: int, length: int, etag: str) -> bytes:
        async def work() -> bytes:
            wanted = f"bytes={start}-{start + length - 1}"
            answer = await self.client.get_object(Bucket=bucket, Key=key, Range=wanted, IfMatch=f'"{etag}"')
            async with answer["Body"] as stream:
                content: bytes = await stream.read()
                return content

        return await self.call("GET", work)

    async def stream(self, bucket: str, key: str) -> Read:
        async def work() -> Read:
            answer, sha256 = await self.client.get_object(Bucket=bucket, Key=key), hashlib.sha256()
            async with answer["Body"] as stream:
                async for piece in stream.iter_chunks(_PIECE):
                    sha256.update(piece)
            facts = _facts(answer)
            return Read(facts.size, facts.etag, facts.description, sha256.hexdigest())

        return await self.call("GET", work)

    async def put(self, bucket: str, key: str, read: Read) -> str:
        async def work() -> str:
            answer = await self.client.put_object(
                Bucket=bucket, Key=key, Body=read.body, ContentMD5=base64_of(read.md5), **_given(read.description)
            )
            return str(answer["ETag"]).strip('"')

        return await self.call("PUT", work, s3.WRITE_EVERY)

    async def pages(self, bucket: str, at_once: int, prefix: str) -> AsyncGenerator[list[listing.Entry], None]:
        token: dict[str, str] = {}
        while True:

            async def work() -> Any:
                asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": at_once, **token}  # noqa: B023 - at once
                return await self.client.list_objects_v2(**asked)

            answer = await self.call("LIST", work)
            yield [
                (one["Key"], one["Size"], one["ETag"].strip('"'), one["LastModified"].isoformat())
                for one in answer.get("Contents", [])
            ]
            if not answer["IsTruncated"]:
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    @asynccontextmanager
    async def in_parts(self, bucket: str, key: str, description: Mapping[str, str]) -> AsyncIterator[Any]:
        where: Any = {"Bucket": bucket, "Key": key}
        upload = (await self.client.create_multipart_upload(**where, **_given(description)))["UploadId"]
        sent: dict[int, str] = {}
        client, call = self.client, self.call

        class Sending:
            async def send(self, number: int, body: bytes) -> None:
                async def work() -> str:
                    md5 = (await digests(body))[1]
                    answer = await client.upload_part(
                        **where, UploadId=upload, PartNumber=number, Body=body, ContentMD5=base64_of(md5)
                    )
                    return str(answer["ETag"])

                sent[number] = await call("PART", work)

        yield Sending()
        made = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(sent.items())]
        await client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": made})


def _facts(answer: Mapping[str, Any]) -> ObjectFacts:
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return ObjectFacts(answer["ContentLength"], answer["ETag"].strip('"'), described(headers))


def _given(description: Mapping[str, str]) -> dict[str, Any]:
    sent = wire(description)
    metadata = {name.removeprefix(METADATA): value for name, value in sent.items() if name.startswith(METADATA)}
    return {_NAMES[name]: value for name, value in sent.items() if name in _NAMES} | {"Metadata": metadata}


class Obstore(Other):
    """obstore. It names no header of a HEAD, drops Expires, and takes no key with an empty name or of dots."""

    library: Any
    stores: Mapping[str, Any]

    @classmethod
    @asynccontextmanager
    async def open(cls, access: StorageAccess, connections: int) -> AsyncIterator[Self]:
        self = cls(access)
        self.library = import_module("obstore")  # tried here alone: no dependency
        made = import_module("obstore.store").S3Store
        self.stores = {
            bucket: made(
                bucket,
                endpoint=access.endpoint,
                access_key_id=access.access_key,
                secret_access_key=access.secret_key,
                region=access.region,
                virtual_hosted_style_request=False,
                client_options={"allow_http": True, "pool_max_idle_per_host": str(connections)},
                retry_config={"max_retries": 8, "retry_timeout": timedelta(minutes=2)},
            )
            for bucket in access.buckets
        }
        yield self

    async def call(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """It tries a request again by itself, but not one whose body was cut: so all that fails is tried again."""
        return await self.insist("obstore", lambda: self._called(work))

    async def _called(self, work: Callable[[], Awaitable[_T]]) -> _T:
        errors = import_module("obstore.exceptions")
        try:
            return await work()
        except (FileNotFoundError, errors.NotFoundError, errors.PreconditionError) as error:
            raise ObjectGone(str(error)) from error
        except errors.GenericError as error:
            raise TransientError(str(error)) from error
        except ValueError as error:
            raise StorageError(str(error)) from error

    async def head(self, bucket: str, key: str) -> ObjectFacts:
        """A HEAD for its size; what it is described as needs a GET whose body is left alone."""

        async def work() -> ObjectFacts:
            answer = await self.library.get_async(self.stores[bucket], key, options={"head": True})
            return ObjectFacts(answer.meta["size"], answer.meta["e_tag"].strip('"'), _said(answer.attributes))

        return await self.call(work)

    async def fetch(self, bucket: str, key: str) -> Read:
        async def work() -> Read:
            answer = await self.library.get_async(self.stores[bucket], key)
            meta, description = answer.meta, _said(answer.attributes)
            body = bytes(await answer.bytes_async())
            sha256, md5 = await digests(body)
            return Read(meta["size"], meta["e_tag"].strip('"'), description, sha256, md5, body)

        return await self.call(work)

    async def fetch_range(self, bucket: str, key: str, start: int, length: int, etag: str) -> bytes:
        async def work() -> bytes:
            options = {"range": (start, start + length), "if_match": f'"{etag}"'}
            return bytes(await (await self.library.get_async(self.stores[bucket], key, options=options)).bytes_async())

        return await self.call(work)

    async def stream(self, bucket: str, key: str) -> Read:
        async def work() -> Read:
            answer, sha256 = await self.library.get_async(self.stores[bucket], key), hashlib.sha256()
            meta, description = answer.meta, _said(answer.attributes)
            async for piece in answer.stream(_PIECE):
                sha256.update(piece)
            return Read(meta["size"], meta["e_tag"].strip('"'), description, sha256.hexdigest())

        return await self.call(work)

    async def put(self, bucket: str, key: str, read: Read) -> str:
        async def work() -> str:
            attributes = _attributes(read.description)
            made = await self.library.put_async(
                self.stores[bucket], key, read.body, attributes=attributes, use_multipart=False
            )
            return str(made["e_tag"]).strip('"')

        return await self.call(work)

    async def pages(self, bucket: str, at_once: int, prefix: str) -> AsyncGenerator[list[listing.Entry], None]:
        async for page in self.library.list(self.stores[bucket], prefix or None, chunk_size=at_once):
            yield [
                (one["path"], one["size"], (one["e_tag"] or "").strip('"'), one["last_modified"].isoformat())
                for one in page
            ]

    @asynccontextmanager
    async def in_parts(self, bucket: str, key: str, description: Mapping[str, str]) -> AsyncIterator[Any]:
        """It sends parts of one size out of a stream; what the copier hands over in parts goes through a queue."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        store, attributes = self.stores[bucket], _attributes(description)

        class Sending:
            async def send(self, number: int, body: bytes) -> None:
                await turns[number].wait()
                await queue.put(body)
                turns[number + 1].set()

        turns = {number: asyncio.Event() for number in range(1, 10_002)}
        turns[1].set()

        async def pieces() -> AsyncIterator[bytes]:
            while (piece := await queue.get()) is not None:
                yield piece

        whole = asyncio.ensure_future(
            self.library.put_async(
                store, key, pieces(), attributes=attributes, chunk_size=16 * MIB, max_concurrency=4, use_multipart=True
            )
        )
        yield Sending()
        await queue.put(None)
        await whole


def _said(attributes: Mapping[str, str]) -> dict[str, str]:
    known = {name.lower(): value for name, value in attributes.items()}
    return described({name if name in _NAMES else METADATA + name: value for name, value in known.items()})


def _attributes(description: Mapping[str, str]) -> dict[str, str]:
    titles = {name: "-".join(part.capitalize() for part in name.split("-")) for name in _NAMES}
    sent = wire({name: value for name, value in description.items() if name != "expires"})
    return {titles.get(name, name.removeprefix(METADATA)): value for name, value in sent.items()}


CLIENTS: Mapping[str, type[Store]] = {"labeler": Store, "aiobotocore": Boto, "obstore": Obstore}


def use(name: str) -> type[Store]:
    """Put a client beneath the passes of this process."""
    chosen = CLIENTS[name]
    if not issubclass(chosen, Other):
        return chosen
    for module in (store_sync, inventory):
        setattr(module, "Store", chosen)  # noqa: B010 - a module of ours, on purpose

    ours = listing.pages

    def pages(store: Any, bucket: str, *, at_once: int = 1000, prefix: str = "") -> Any:
        if not isinstance(store, Other):  # a test's own
            return ours(store, bucket, at_once=at_once, prefix=prefix)
        return store.pages(bucket, at_once, prefix)

    for module in (inventory, tie_copy, listing):
        setattr(module, "pages", pages)  # noqa: B010
    for module in (object_copy, parts):
        setattr(module, "in_parts", lambda store, *where: store.in_parts(*where))  # noqa: B010
    return chosen


class Silent:
    """A reporter that says nothing."""

    def line(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def begin(self, what: str, size: int | None = None) -> None: ...

    def done(self, objects: int, size: int) -> None: ...

    def show(self, what: object) -> None: ...


async def main(client: str, step: str, directory: Path) -> None:
    """Do one pass. Exits with 1 where it found a difference."""
    store, (source, target) = use(client), read_both()
    if step == "list":
        async with store.open(target, 1) as opened:
            count = sum([len(page) async for page in listing.pages(opened, target.datasets_bucket)])
        print(count)  # noqa: T201
        return
    work = store_sync.StoreSync(directory, source, target, None, Silent())
    report = (await work.copy())[1] if step == "copy" else await work.verify()
    if not report.same or report.source_objects == 0:
        raise SystemExit(report.text())


assert PUT_LIMIT > 16 * MIB  # what is smaller goes in one request, with every client

if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
