"""The objects: a first pass while users work, a last one while they read only, and both stores read and compared."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.filesize import decimal

from labeler_ops.move.checks.check_findings import CheckFinding
from labeler_ops.move.context import MoveContext
from labeler_ops.move.engine import Phase, PhaseFacts
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.store_variables import service_variables

if TYPE_CHECKING:
    from labeler_ops.storage.object_findings import StoreComparison
    from labeler_ops.storage.store_sync import StoreSync

# An upload that the stop cut off may still put its object, and no row, for a moment: it is copied as well.
_LATE_PASSES = 3
_LATE = frozenset({"missing", "differs", "gone"})


@dataclass(frozen=True)
class ObjectMove:
    """The objects. `database` is the Labeler DB that says which there must be."""

    context: MoveContext
    database: str | None

    async def check(self) -> list[CheckFinding]:
        """Compare the references and both listings; nothing is read or changed."""
        report = await self._passes().compare()
        found = f"{report.source_objects:,}, {decimal(report.source_bytes)}; the target has {report.target_objects:,}"
        findings = [CheckFinding("objects", "ok", found)]
        if lost := report.counts.get("lost", 0):
            first = next(one for one in report.findings if one.kind == "lost")
            text = f"the database refers to {lost:,} that the source does not have, such as {first.key}: find out why"
            findings.append(CheckFinding("objects", "refused", text))
        if odd := report.counts.get("key", 0):
            text = f"{odd:,} have keys that some stores do not take: compare.findings.jsonl names them"
            findings.append(CheckFinding("objects", "note", text))
        return findings

    @property
    def phases(self) -> Mapping[str, Phase]:
        """What is done to the objects, by name and in its order."""
        return {
            "first": Phase(
                self.context.name("objects, first pass"), self._copy, description="all that is there; users work"
            ),
            "last": Phase(
                self.context.name("objects, last pass"), self._copy, description="what came since the first pass"
            ),
            "verify": Phase(
                self.context.name("verify objects"), self._verify, description="every object of both stores is read"
            ),
        }

    async def _copy(self, facts: PhaseFacts) -> None:
        async with self._exclusive() as passes:
            report = await self._pass(passes, facts)
        if not report.same:
            raise StorageError(f"not everything could be copied: {_first(report)}, and see {report.command}.txt")

    async def _verify(self, facts: PhaseFacts) -> None:
        async with self._exclusive() as passes:
            report = await self._read(passes)
            for _ in range(_LATE_PASSES):
                serious = {kind for kind in report.counts if report.serious(kind)}
                if report.same or not serious <= _LATE:
                    break
                await self._pass(passes, facts)
                report = await self._read(passes)
        self.context.reporter.show(report)
        facts.update(same=report.same, digest=report.digest, objects=report.source_objects, bytes=report.source_bytes)
        if not report.same:
            text = f"the stores are not the same: {_first(report)}, and see {report.command}.findings.jsonl"
            raise StorageError(text)

    async def _pass(self, passes: "StoreSync", facts: PhaseFacts) -> "StoreComparison":
        overwrite = self.context.options.overwrite
        copies, report = await (passes.copy_back if self.context.back else passes.copy)(overwrite=overwrite)
        self.context.reporter.line(
            f"copied {copies.copied:,} objects, {decimal(copies.copied_bytes)}; {copies.known:,} were done already, "
            f"{copies.equal:,} were there and are equal; {report.retries:,} requests were tried again"
        )
        facts.update(msgspec.to_builtins(copies))
        return report

    async def _read(self, passes: "StoreSync") -> "StoreComparison":
        return await (passes.verify_back() if self.context.back else passes.verify())

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator["StoreSync"]:
        from labeler_ops.move.lock import exclusive_copy

        passes = self._passes()
        root = self.context.run.directory.parent
        with exclusive_copy(root, passes.source if self.context.back else passes.target):
            yield passes

    def _passes(self) -> "StoreSync":
        from labeler_ops.storage.store_sync import StoreSync  # the S3 library takes its time to load

        context, stores = self.context, self.context.stores
        return StoreSync(
            context.run.directory,
            stores.source,
            stores.target,
            self.database,
            context.reporter,
            context.options.concurrency,
        )


def serving_variables(context: MoveContext) -> dict[str, str]:
    """What the services' environment says of the store that this way leads to; nothing where none is moved."""
    stores = context.endpoints.stores
    return {} if stores is None else service_variables(stores.source if context.back else stores.target)


def _first(report: "StoreComparison") -> str:
    return str(next(finding for finding in report.findings if finding.serious))
