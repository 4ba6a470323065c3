"""The move of the objects as phases of a run: copy, as often as one likes, verify, switch, and the way back."""

import fcntl
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from labeler_ops.runs import Run, RunError
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.carrying import carry, compare_ties
from labeler_ops.storage.copying import Copier, Copies
from labeler_ops.storage.findings import Findings, Report
from labeler_ops.storage.inventory import Inventory
from labeler_ops.storage.manifest import Manifest, entries
from labeler_ops.storage.s3 import Store
from labeler_ops.storage.sides import place, write_environment
from labeler_ops.storage.verifying import Verifier
from labeler_ops.voice import Voice

CONCURRENCY = 16
NEW_ENVIRONMENT, OLD_ENVIRONMENT = "environment.new", "environment.rollback"


class StorageMove:
    """One move between two stores. `dsn` is the Labeler DB's, None to go by the listings alone."""

    def __init__(
        self,
        run: Run,
        source: StorageAccess,
        target: StorageAccess,
        dsn: str | None,
        voice: Voice,
        *,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.run, self.source, self.target, self.dsn, self.voice = run, source, target, dsn, voice
        self._concurrency = concurrency
        if (known := run.facts) != (given := sides_of(source, target)):
            raise RunError(
                f"run {run.id} is about {known.get('source')} and {known.get('target')}, "
                f"not {given['source']} and {given['target']}"
            )

    @classmethod
    def begin(
        cls, root: Path, source: StorageAccess, target: StorageAccess, *rest: Any, **options: Any
    ) -> "StorageMove":
        """Start a run for these two stores."""
        return cls(Run.start(root, "storage", sides_of(source, target)), source, target, *rest, **options)

    async def compare(self) -> Report:
        """Compare the database's references and both listings, and read no object."""
        report = self._report("compare")
        with self._findings(report) as findings:
            async with self._inventory(report, self.source, self.target) as inventory:
                inventory.lost(findings)
                inventory.compare(findings)
                inventory.extras(findings)
                inventory.odd_keys(findings)
                if self.dsn is not None:
                    inventory.orphans(findings)
        return self._written(report)

    async def copy(self, *, overwrite: bool = False) -> tuple[Copies, Report]:
        """Copy what the target lacks or has in an older form; repeated, what changed since."""
        if self.run.ended("switch") is not None and self.run.ended("rollback") is None:
            raise RunError("the services have been switched to the target: the way is back now, with rollback")
        report = self._report("copy")
        with alone(self.run.directory.parent, self.target), self.run.phase("copy") as facts:
            copies = await self._pass(
                report, self.source, self.target, self.run.path("manifest.jsonl"), overwrite=overwrite
            )
            facts.update(msgspec.to_builtins(copies), same=report.same)
        return copies, self._written(report)

    async def verify(self, *, sample: float = 1.0) -> Report:
        """Read both stores and compare everything. A sample will do only after a whole comparison has succeeded."""
        if sample < 1 and not self._verified_whole():
            raise RunError("a sample is for a repetition: verify everything once first, without --sample")
        report = self._report("verify", sampled=sample)
        with self.run.phase("verify") as facts:
            await self._read_all(report, self.source, self.target, "extra")
            facts.update(same=report.same, sampled=sample, digest=report.digest)
        return self._written(report)

    def switch(self) -> Path:
        """Write the services' new environment, and the old one beside it."""
        verified, copied = self.run.ended("verify"), self._last_end("copy")
        if verified is None or not verified["same"]:
            raise RunError("the target has not been verified, or it differs: `labeler storage verify` first")
        if copied > self._last_end("verify"):
            raise RunError("something was copied after the last verify: `labeler storage verify` first")
        with self.run.phase("switch"):
            write_environment(self.run.path(OLD_ENVIRONMENT), self.source)
            write_environment(path := self.run.path(NEW_ENVIRONMENT), self.target)
        return path

    async def rollback(self, *, overwrite: bool = False, sample: float = 1.0) -> tuple[Copies, Report, Path]:
        """Copy back what came to the target since the switch, compare, and write the old environment."""
        if self.run.ended("switch") is None:
            raise RunError("there was no switch: the source still serves, there is nothing to go back from")
        report = self._report("rollback", sampled=sample)
        report.source, report.target = report.target, report.source  # read from the one, written to the other
        with alone(self.run.directory.parent, self.source), self.run.phase("rollback") as facts:
            copies = await self._pass(
                report, self.target, self.source, self.run.path("manifest-back.jsonl"), overwrite=overwrite
            )
            facts.update(msgspec.to_builtins(copies))
            if not report.same:
                raise StorageError(f"not everything could be copied back: {report.findings[0]}, and see rollback.json")
            await self._read_all(report, self.target, self.source, "kept")
            if not report.same:
                self._written(report)
                raise StorageError(
                    f"the source is not what the target is: {self._first(report)}, and see rollback.json"
                )
            write_environment(path := self.run.path(OLD_ENVIRONMENT), self.source)
        return copies, self._written(report), path

    async def _pass(
        self, report: Report, source: StorageAccess, target: StorageAccess, manifest: Path, *, overwrite: bool
    ) -> Copies:
        forward = self.run.path("manifest.jsonl")
        with self._findings(report) as findings:
            async with self._inventory(report, source, target) as inventory, self._stores(source, target) as stores:
                await carry(*stores)
                if manifest != forward:
                    inventory.remember(entry.reversed() for entry in entries(forward))
                inventory.remember(entries(manifest))
                if source is self.source:
                    inventory.lost(findings)
                self.voice.begin("copy", report.source_bytes)
                with Manifest(manifest) as written:
                    copier = Copier(*stores, written, findings, overwrite=overwrite, told=self.voice.done)
                    copies = await copier.run(inventory.pairs(), self._concurrency)
                report.retries += sum(store.retries for store in stores)
        return copies

    async def _read_all(self, report: Report, source: StorageAccess, target: StorageAccess, only_there: str) -> None:
        with self._findings(report) as findings:
            async with self._inventory(report, source, target) as inventory, self._stores(source, target) as stores:
                self.voice.begin("verify", report.source_bytes)
                verifier = Verifier(*stores, inventory, findings, sample=report.sampled, told=self.voice.done)
                await verifier.run(self._concurrency)
                await compare_ties(*stores, findings)
                inventory.lost(findings)
                inventory.extras(findings, only_there)
                if self.dsn is not None:
                    inventory.orphans(findings)
                report.digest = inventory.digest()
                report.retries += sum(store.retries for store in stores)

    @asynccontextmanager
    async def _inventory(
        self, report: Report, source: StorageAccess, target: StorageAccess
    ) -> AsyncIterator[Inventory]:
        self.voice.begin("list")
        path, started = self.run.path("inventory.sqlite"), perf_counter()
        inventory = await Inventory.take(path, source, target, self.dsn, self.voice.done)
        try:
            inventory.count_into(report, with_database=self.dsn is not None)
            yield inventory
        finally:
            inventory.close()
            path.unlink(missing_ok=True)
            report.seconds = round(report.seconds + perf_counter() - started, 3)

    @asynccontextmanager
    async def _stores(self, source: StorageAccess, target: StorageAccess) -> AsyncIterator[tuple[Store, Store]]:
        # A worker has one request under way in each store, one with an object in parts a few more.
        connections = 2 * self._concurrency
        async with Store.open(source, connections) as first, Store.open(target, connections) as second:
            yield first, second

    def _findings(self, report: Report) -> Findings:
        return Findings(self.run.path(f"{report.command}.findings.jsonl"), report)

    def _report(self, command: str, *, sampled: float = 1.0) -> Report:
        return Report(command=command, source=place(self.source), target=place(self.target), sampled=sampled)

    def _written(self, report: Report) -> Report:
        self.run.write(f"{report.command}.json", report)
        self.run.path(f"{report.command}.txt").write_text(report.text())
        return report

    def _verified_whole(self) -> bool:
        return any(
            event.phase == "verify" and event.event == "ended" and event.facts["same"] and event.facts["sampled"] >= 1
            for event in self.run.events
        )

    def _last_end(self, phase: str) -> int:
        ends = [i for i, event in enumerate(self.run.events) if event.phase == phase and event.event != "noted"]
        return max(ends, default=-1)

    @staticmethod
    def _first(report: Report) -> str:
        return str(next(finding for finding in report.findings if finding.serious))


def sides_of(source: StorageAccess, target: StorageAccess) -> Mapping[str, str]:
    """What a run is about."""
    return {"source": place(source), "target": place(target)}


@contextmanager
def alone(root: Path, target: StorageAccess) -> Iterator[None]:
    """Be the only one on this machine who copies to a store: two writers of a key would undo each other's work."""
    name = hashlib.sha256(place(target).encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".storage-{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a killed process lets go of it
        except OSError:
            raise StorageError(f"another copy to {place(target)} is at work: wait for it, or end it") from None
        yield
