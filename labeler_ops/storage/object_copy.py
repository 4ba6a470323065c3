"""Copy what the target does not have; what is there already is compared, and never written over unless it is ours."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from labeler_ops.storage.access import StorageError
from labeler_ops.storage.description import unlike
from labeler_ops.storage.inventory import Pair
from labeler_ops.storage.manifest import CopiedObject, Manifest
from labeler_ops.storage.object_findings import ObjectFindings
from labeler_ops.storage.parts import Parts, in_parts, part_size
from labeler_ops.storage.s3 import MIB, PUT_LIMIT, ObjectGone, Store
from labeler_ops.storage.store_variables import bucket_of

_IN_MEMORY = 192 * MIB  # bytes of objects under way, however many there are
_SMALL = MIB  # not counted: as many as there are workers are little
_PARTS_AT_ONCE = 4  # of one object; together they hold what a single PUT at most holds
_TOO_MANY = 20  # objects that fail after every retry: it is not the objects then

OnObjects = Callable[[int, int], None]
"""Hears how many objects and bytes are done since the last call."""


class Copies(msgspec.Struct):
    """What a pass did; sizes in bytes. `equal`: there already, found to be the same; `known`: by the manifest."""

    copied: int = 0
    copied_bytes: int = 0
    equal: int = 0
    known: int = 0


@dataclass(slots=True)
class _Budget:
    """Lends bytes of memory; a copy that wants more than is left waits."""

    free: int = _IN_MEMORY
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def lend(self, size: int) -> AsyncIterator[None]:
        wanted = min(size, PUT_LIMIT)
        if wanted <= _SMALL:
            yield
            return
        async with self.changed:
            await self.changed.wait_for(lambda: self.free >= wanted)
            self.free -= wanted
        try:
            yield
        finally:
            async with self.changed:
                self.free += wanted
                self.changed.notify_all()


class Copier:
    """Copies from one store to another; `overwrite` also what somebody else wrote to the target."""

    def __init__(
        self,
        source: Store,
        target: Store,
        manifest: Manifest,
        findings: ObjectFindings,
        *,
        overwrite: bool,
        on_objects: OnObjects,
    ) -> None:
        self._source, self._target = source, target
        self._manifest, self._findings = manifest, findings
        self._overwrite, self._on_objects = overwrite, on_objects
        self._budget = _Budget()
        self._failed = 0
        self.copies = Copies()

    async def run(self, pairs: Iterable[Pair], concurrency: int) -> Copies:
        """Bring the target up to every pair. Raises StorageError when too much fails; a little is a finding."""
        shared = iter(pairs)  # each pair goes to one worker, so no key ever has two writers

        async def work() -> None:
            for pair in shared:
                await self._bring(pair)
                self._on_objects(1, pair.size)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work())
        except* StorageError as errors:
            raise StorageError(str(errors.exceptions[0])) from None
        return self.copies

    async def _bring(self, pair: Pair) -> None:
        try:
            if pair.done:
                self.copies.known += 1
            elif pair.target_size is None or pair.ours or not await self._stands(pair):
                async with self._budget.lend(pair.size):
                    await (self._in_parts if pair.size >= PUT_LIMIT else self._whole)(pair)
        except ObjectGone:
            self._findings.add("gone", pair.bucket, pair.key, "removed or changed meanwhile: copy again")
        except StorageError as error:
            self._findings.add("failed", pair.bucket, pair.key, str(error))
            self._failed += 1
            if self._failed >= _TOO_MANY:
                raise

    async def _stands(self, pair: Pair) -> bool:
        """Whether what somebody else wrote there is to stay: it is equal, or it may not be written over."""
        where = self._places(pair)
        read, found = await asyncio.gather(
            self._source.digest(*where[0], pair.size), self._target.digest(*where[1], pair.target_size or 0)
        )
        if read.sha256 == found.sha256 and not unlike(read.description, found.description):
            self._note(pair, read.etag, read.size, read.sha256, found.etag)
            self.copies.equal += 1
            return True
        if self._overwrite:
            return False
        self._findings.add("conflict", pair.bucket, pair.key, f"{read.size:,} bytes here, {found.size:,} bytes there")
        return True

    async def _whole(self, pair: Pair) -> None:
        where = self._places(pair)
        read = await self._source.fetch(*where[0])
        etag = await self._target.put(*where[1], read)
        await self._confirm(pair, read.etag, read.size, read.sha256, read.description, etag)

    async def _in_parts(self, pair: Pair) -> None:
        where = self._places(pair)
        facts = await self._source.head(*where[0])
        length = part_size(facts.size)
        sha256 = hashlib.sha256()
        room = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def send(upload: Parts, number: int, body: bytes) -> None:
            try:
                await upload.send(number, body)
            finally:
                room.release()

        async with in_parts(self._target, *where[1], facts.description) as upload:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, start in enumerate(range(0, facts.size, length), 1):
                        await room.acquire()
                        size = min(length, facts.size - start)
                        part = await self._source.fetch_range(*where[0], start, size, facts.etag)
                        await asyncio.to_thread(sha256.update, part)
                        group.create_task(send(upload, number, part))
            except* (StorageError, ObjectGone) as errors:
                raise errors.exceptions[0] from None
        await self._confirm(pair, facts.etag, facts.size, sha256.hexdigest(), facts.description, None)

    async def _confirm(
        self, pair: Pair, source_etag: str, size: int, sha256: str, description: Mapping[str, str], etag: str | None
    ) -> None:
        """Look at what was written; only what is as it should be goes into the manifest."""
        facts = await self._target.head(*self._places(pair)[1])
        if facts.size != size or (etag is not None and facts.etag != etag):
            raise StorageError(f"the target has {facts.size:,} bytes with ETag {facts.etag} after {size:,} were put")
        if facts.description != description:
            raise StorageError("; ".join(unlike(description, facts.description)))
        self._note(pair, source_etag, size, sha256, facts.etag)
        self.copies.copied += 1
        self.copies.copied_bytes += size

    def _note(self, pair: Pair, source_etag: str, size: int, sha256: str, target_etag: str) -> None:
        self._manifest.add(CopiedObject(pair.bucket, pair.key, size, sha256, source_etag, pair.modified, target_etag))

    def _places(self, pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
        source, target = bucket_of(self._source.access, pair.bucket), bucket_of(self._target.access, pair.bucket)
        return (source, pair.key), (target, pair.key)
