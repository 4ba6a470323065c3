"""The objects: a first pass while users work, a last one while they read only, and both stores read and compared."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.filesize import decimal

from labeler_ops.move.checks.check_findings import Finding
from labeler_ops.move.context import Work
from labeler_ops.move.engine import Facts, Phase
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.sides import variables

if TYPE_CHECKING:
    from labeler_ops.storage.findings import StoreComparison
    from labeler_ops.storage.passes import Passes

# An upload that the stop cut off may still put its object, and no row, for a moment: it is copied as well.
_LATE_PASSES = 3
_LATE = frozenset({"missing", "differs", "gone"})


@dataclass(frozen=True)
class Objects:
    """The objects. `database` is the Labeler DB that says which there must be."""

    work: Work
    database: str | None

    async def check(self) -> list[Finding]:
        """Compare the references and both listings; nothing is read or changed."""
        report = await self._passes().compare()
        found = f"{report.source_objects:,}, {decimal(report.source_bytes)}; the target has {report.target_objects:,}"
        findings = [Finding("objects", "ok", found)]
        if lost := report.counts.get("lost", 0):
            first = next(one for one in report.findings if one.kind == "lost")
            text = f"the database refers to {lost:,} that the source does not have, such as {first.key}: find out why"
            findings.append(Finding("objects", "refused", text))
        if odd := report.counts.get("key", 0):
            text = f"{odd:,} have keys that some stores do not take: compare.findings.jsonl names them"
            findings.append(Finding("objects", "note", text))
        return findings

    @property
    def phases(self) -> Mapping[str, Phase]:
        """What is done to the objects, by name and in its order."""
        return {
            "first": Phase(self.work.name("objects, first pass"), self._copy, says="all that is there; users work"),
            "last": Phase(self.work.name("objects, last pass"), self._copy, says="what came since the first pass"),
            "verify": Phase(self.work.name("verify objects"), self._verify, says="every object of both stores is read"),
        }

    async def _copy(self, facts: Facts) -> None:
        async with self._exclusive() as passes:
            report = await self._pass(passes, facts)
        if not report.same:
            raise StorageError(f"not everything could be copied: {_first(report)}, and see {report.command}.txt")

    async def _verify(self, facts: Facts) -> None:
        async with self._exclusive() as passes:
            report = await self._read(passes)
            for _ in range(_LATE_PASSES):
                serious = {kind for kind in report.counts if report.serious(kind)}
                if report.same or not serious <= _LATE:
                    break
                await self._pass(passes, facts)
                report = await self._read(passes)
        self.work.reporter.show(report)
        facts.update(same=report.same, digest=report.digest, objects=report.source_objects, bytes=report.source_bytes)
        if not report.same:
            text = f"the stores are not the same: {_first(report)}, and see {report.command}.findings.jsonl"
            raise StorageError(text)

    async def _pass(self, passes: "Passes", facts: Facts) -> "StoreComparison":
        overwrite = self.work.wishes.overwrite
        copies, report = await (passes.copy_back if self.work.back else passes.copy)(overwrite=overwrite)
        self.work.reporter.line(
            f"copied {copies.copied:,} objects, {decimal(copies.copied_bytes)}; {copies.known:,} were done already, "
            f"{copies.equal:,} were there and are equal; {report.retries:,} requests were tried again"
        )
        facts.update(msgspec.to_builtins(copies))
        return report

    async def _read(self, passes: "Passes") -> "StoreComparison":
        return await (passes.verify_back() if self.work.back else passes.verify())

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator["Passes"]:
        from labeler_ops.move.lock import exclusive_copy

        passes = self._passes()
        root = self.work.run.directory.parent
        with exclusive_copy(root, passes.source if self.work.back else passes.target):
            yield passes

    def _passes(self) -> "Passes":
        from labeler_ops.storage.passes import Passes  # the S3 library takes its time to load

        work, stores = self.work, self.work.stores
        return Passes(
            work.run.directory, stores.source, stores.target, self.database, work.reporter, work.wishes.concurrency
        )


def serving_variables(work: Work) -> dict[str, str]:
    """What the services' environment says of the store that this way leads to; nothing where none is moved."""
    stores = work.ends.stores
    return {} if stores is None else variables(stores.source if work.back else stores.target)


def _first(report: "StoreComparison") -> str:
    return str(next(finding for finding in report.findings if finding.serious))
