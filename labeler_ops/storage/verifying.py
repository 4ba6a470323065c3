"""Read every object of both stores to its end and compare: bytes, size, content type, headers and metadata."""

import asyncio
import random
from collections.abc import Iterable

from labeler_ops.storage.access import StorageError
from labeler_ops.storage.description import unlike
from labeler_ops.storage.inventory import Inventory, Pair
from labeler_ops.storage.object_copy import OnObjects
from labeler_ops.storage.object_findings import ObjectFindings
from labeler_ops.storage.s3 import ObjectGone, Store
from labeler_ops.storage.store_variables import bucket_of


class Verifier:
    """Compares two stores. `sample` is the share of objects that is read, 1 for all of them."""

    def __init__(
        self,
        source: Store,
        target: Store,
        inventory: Inventory,
        findings: ObjectFindings,
        *,
        sample: float,
        on_objects: OnObjects,
    ) -> None:
        self._source, self._target = source, target
        self._inventory, self._findings = inventory, findings
        self._sample, self._on_objects = sample, on_objects
        self._unlike: dict[tuple[str, str], str] = {}
        self._twins: dict[tuple[str, str], str] = {}

    async def run(self, concurrency: int) -> None:
        """Note every difference. Objects that cannot be read are differences as well."""
        shared, self._twins = iter(self._inventory.pairs()), self._inventory.twins()

        async def work(pairs: Iterable[Pair]) -> None:
            for pair in pairs:
                await self._compare(pair)
                self._on_objects(1, pair.size)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work(shared))
        self._name()

    async def _compare(self, pair: Pair) -> None:
        if pair.target_size is None:
            twin = self._twins.get((pair.bucket, pair.key))
            text = f"the target has {twin} instead, in another case or composition" if twin else ""
            self._findings.add("missing", pair.bucket, pair.key, text)
        elif self._sample >= 1 or random.random() < self._sample:  # noqa: S311 - no secret hangs on it
            await self._read(pair)
        elif text := pair.plainly_unlike:
            self._unlike[pair.bucket, pair.key] = text

    async def _read(self, pair: Pair) -> None:
        here = self._source.digest(bucket_of(self._source.access, pair.bucket), pair.key, pair.size)
        there = self._target.digest(bucket_of(self._target.access, pair.bucket), pair.key, pair.target_size or 0)
        try:
            source, target = await asyncio.gather(here, there)
        except ObjectGone:
            self._findings.add("gone", pair.bucket, pair.key, "removed or changed meanwhile")
            return
        except StorageError as error:
            self._findings.add("failed", pair.bucket, pair.key, str(error))
            return
        self._inventory.note_digests(pair, source.sha256, target.sha256)
        said = []
        if source.size != target.size:
            said.append(f"{source.size:,} bytes on the source, {target.size:,} on the target")
        if source.sha256 != target.sha256:
            said.append(f"SHA-256 {source.sha256[:16]}… on the source, {target.sha256[:16]}… on the target")
        said += unlike(source.description, target.description)
        if said:
            self._unlike[pair.bucket, pair.key] = "; ".join(said)
        self._findings.report.read_objects += 1
        self._findings.report.read_bytes += source.size

    def _name(self) -> None:
        """Note what differs, and where the bytes belong that an object has instead of its own."""
        owners = {(bucket, key): owner for bucket, key, owner in self._inventory.found_elsewhere()}
        for (bucket, key), text in self._unlike.items():
            owner = owners.get((bucket, key))
            self._findings.add("differs", bucket, key, f"{text}; it has the bytes of {owner}" if owner else text)
