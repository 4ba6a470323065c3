"""An object that is written in parts of one size, as R2 wants them."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from labeler_ops.storage.access import StorageError
from labeler_ops.storage.description import wire
from labeler_ops.storage.s3 import MIB, PART_BYTES, WRITE_EVERY, ObjectGone, Store, TransientError, base64_of, digests

_PARTS = 10_000  # S3's limit
_UPLOAD_ID = re.compile(r"<UploadId>([^<]+)</UploadId>")


def part_size(size: int) -> int:
    """Size of the parts of an object: 16 MiB, more only where 10 000 of them would not do."""
    least = -(-size // _PARTS)
    return max(PART_BYTES, -(-least // MIB) * MIB)


class Parts:
    """An upload in parts of one size, the last may be smaller. Parts may be sent side by side."""

    def __init__(self, store: Store, bucket: str, key: str, upload_id: str) -> None:
        self._store, self._bucket, self._key = store, bucket, key
        self._id = quote(upload_id, safe="")
        self._sent: dict[int, str] = {}

    async def send(self, number: int, body: bytes) -> None:
        """Send one part; the first is number 1."""
        sha256, md5 = await digests(body)

        async def write() -> str:
            query = f"partNumber={number}&uploadId={self._id}"
            headers = {"Content-MD5": base64_of(md5)}
            answer = await self._store.ask(
                "PUT", self._bucket, self._key, query=query, headers=headers, body=body, sha256=sha256
            )
            return answer.headers.get("etag", "").strip('"')

        self._sent[number] = await self._store.insist(f"part {number} of {self._bucket}/{self._key}", write)

    async def complete(self) -> None:
        """Make the object of its parts."""
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
            for number, etag in sorted(self._sent.items())
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        sha256 = hashlib.sha256(body).hexdigest()

        async def finish() -> None:
            query = f"uploadId={self._id}"
            try:
                answer = await self._store.ask("POST", self._bucket, self._key, query=query, body=body, sha256=sha256)
            except ObjectGone:
                # The upload is over: an earlier try did it, and its answer was lost. The caller looks at the object.
                return
            if b"<Error>" in answer.body:  # S3 answers 200 first and may fail afterwards
                raise TransientError("the parts could not be put together")

        await self._store.insist(f"complete {self._bucket}/{self._key}", finish, at_least=WRITE_EVERY)

    async def abort(self) -> None:
        """Give the parts up; a store that is away drops them by its own rules."""
        try:
            await self._store.ask("DELETE", self._bucket, self._key, query=f"uploadId={self._id}")
        except (TransientError, ObjectGone, StorageError):
            return


@asynccontextmanager
async def in_parts(store: Store, bucket: str, key: str, description: Mapping[str, str]) -> AsyncIterator[Parts]:
    """Write an object in parts; it appears when the block ends, and never when the block raises."""

    async def begin() -> str:
        answer = await store.ask("POST", bucket, key, query="uploads=", headers=wire(description))
        found = _UPLOAD_ID.search(answer.body.decode(errors="replace"))
        if found is None:
            raise TransientError("no upload id in the answer")
        return found.group(1)

    upload = Parts(store, bucket, key, await store.insist(f"begin {bucket}/{key}", begin))
    try:
        yield upload
        await upload.complete()
    except BaseException:
        await asyncio.shield(upload.abort())  # parts that stay behind are paid for
        raise
