"""Passes over two object stores: compare the listings, copy as often as one likes, read both and compare, and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec

from labeler_ops.reporter import Reporter
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.inventory import Inventory
from labeler_ops.storage.manifest import Manifest, entries
from labeler_ops.storage.object_copy import Copier, Copies
from labeler_ops.storage.object_findings import ObjectFindings, StoreComparison
from labeler_ops.storage.s3 import Store
from labeler_ops.storage.store_variables import store_name
from labeler_ops.storage.tie_copy import compare_ties, copy_ties
from labeler_ops.storage.verifying import Verifier

CONCURRENCY = 16


@dataclass(frozen=True)
class StoreSync:
    """Between two stores. `database` is the Labeler DB's URL, None to go by the listings alone.

    `directory` keeps the manifests, what was found, and the reports.
    """

    directory: Path
    source: StorageAccess
    target: StorageAccess
    database: str | None
    reporter: Reporter
    concurrency: int = CONCURRENCY

    async def compare(self, *, one_way: bool = False) -> StoreComparison:
        """Compare the database's references and both listings, and read no object.

        `one_way`: the target may have more, as a copy has from which nothing is ever removed.
        """
        report = self._report("compare", self.source, self.target)
        with self._findings(report) as findings:
            async with self._inventory(report, self.source, self.target) as inventory:
                inventory.lost(findings)
                inventory.compare(findings)
                inventory.extras(findings, "kept" if one_way else "extra")
                inventory.odd_keys(findings)
                if self.database is not None:
                    inventory.orphans(findings)
        return self._written(report)

    async def copy(self, *, overwrite: bool = False) -> tuple[Copies, StoreComparison]:
        """Copy what the target lacks or has in an older form; repeated, what changed since."""
        report = self._report("copy", self.source, self.target)
        copies = await self._pass(report, self.source, self.target, self.path("manifest.jsonl"), overwrite=overwrite)
        return copies, self._written(report)

    async def verify(self, *, sample: float = 1.0, one_way: bool = False) -> StoreComparison:
        """Read both stores and compare everything, or a sample of the objects' bytes; `one_way` as in `compare`."""
        report = self._report("verify", self.source, self.target, sampled=sample)
        await self._read_all(report, self.source, self.target, "kept" if one_way else "extra")
        return self._written(report)

    async def copy_back(self, *, overwrite: bool = False) -> tuple[Copies, StoreComparison]:
        """Copy back what came to the target since it serves; nothing is removed from either side."""
        report = self._report("copy-back", self.target, self.source)
        back = self.path("manifest-back.jsonl")
        copies = await self._pass(report, self.target, self.source, back, overwrite=overwrite)
        return copies, self._written(report)

    async def verify_back(self) -> StoreComparison:
        """Read both stores: everything of the target has to be on the source, which may have kept more."""
        report = self._report("verify-back", self.target, self.source)
        await self._read_all(report, self.target, self.source, "kept")
        return self._written(report)

    def path(self, name: str) -> Path:
        """Where a pass keeps a file."""
        return self.directory / name

    async def _pass(
        self, report: StoreComparison, source: StorageAccess, target: StorageAccess, manifest: Path, *, overwrite: bool
    ) -> Copies:
        forward = self.path("manifest.jsonl")
        with self._findings(report) as findings:
            async with self._inventory(report, source, target) as inventory, self._stores(source, target) as stores:
                await copy_ties(*stores)
                if manifest != forward:
                    inventory.remember(entry.reversed() for entry in entries(forward))
                inventory.remember(entries(manifest))
                if source is self.source:
                    inventory.lost(findings)
                self.reporter.begin("copy", report.source_bytes)
                with Manifest(manifest) as written:
                    copier = Copier(*stores, written, findings, overwrite=overwrite, on_objects=self.reporter.done)
                    copies = await copier.run(inventory.pairs(), self.concurrency)
                report.retries += sum(store.retries for store in stores)
        return copies

    async def _read_all(
        self, report: StoreComparison, source: StorageAccess, target: StorageAccess, only_there: str
    ) -> None:
        with self._findings(report) as findings:
            async with self._inventory(report, source, target) as inventory, self._stores(source, target) as stores:
                self.reporter.begin("verify", report.source_bytes)
                verifier = Verifier(*stores, inventory, findings, sample=report.sampled, on_objects=self.reporter.done)
                await verifier.run(self.concurrency)
                await compare_ties(*stores, findings)
                inventory.lost(findings)
                inventory.extras(findings, only_there)
                if self.database is not None:
                    inventory.orphans(findings)
                report.digest = inventory.digest()
                report.retries += sum(store.retries for store in stores)

    @asynccontextmanager
    async def _inventory(
        self, report: StoreComparison, source: StorageAccess, target: StorageAccess
    ) -> AsyncIterator[Inventory]:
        self.reporter.begin("list")
        path, started = self.path("inventory.sqlite"), perf_counter()
        inventory = await Inventory.take(path, source, target, self.database, self.reporter.done)
        try:
            inventory.count_into(report, with_database=self.database is not None)
            yield inventory
        finally:
            inventory.close()
            path.unlink(missing_ok=True)
            report.seconds = round(report.seconds + perf_counter() - started, 3)

    @asynccontextmanager
    async def _stores(self, source: StorageAccess, target: StorageAccess) -> AsyncIterator[tuple[Store, Store]]:
        # A worker has one request under way in each store, one with an object in parts a few more.
        connections = 2 * self.concurrency
        async with Store.open(source, connections) as first, Store.open(target, connections) as second:
            yield first, second

    def _findings(self, report: StoreComparison) -> ObjectFindings:
        return ObjectFindings(self.path(f"{report.command}.findings.jsonl"), report)

    def _report(
        self, command: str, source: StorageAccess, target: StorageAccess, *, sampled: float = 1.0
    ) -> StoreComparison:
        return StoreComparison(command=command, source=store_name(source), target=store_name(target), sampled=sampled)

    def _written(self, report: StoreComparison) -> StoreComparison:
        encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
        self.path(f"{report.command}.json").write_bytes(encoded)
        self.path(f"{report.command}.txt").write_text(report.text())
        return report
