"""What a comparison of two stores found: counted, named, as JSON and for people."""

from collections import Counter
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

_IN_REPORT = 1000  # by name; the file beside the report has all of them
_ON_SCREEN = 20

NOTES = frozenset({"orphan", "key", "kept"})
"""Kinds that are no difference between the stores."""

_TITLES = {
    "lost": "referenced by the database, absent from the source",
    "missing": "on the source, not on the target",
    "extra": "only on the target",
    "differs": "not the same on both sides",
    "gone": "removed while it was being read",
    "conflict": "on the target already, with other content that this run did not write",
    "tie": "the buckets do not belong to the same Labeler DB",
    "failed": "could not be read or written",
    "kept": "only where the copy goes to, kept: nothing is ever removed",
    "orphan": "on the source, referenced by nothing (copied all the same)",
    "key": "keys that some stores or tools do not take",
}


class ObjectFinding(msgspec.Struct, frozen=True):
    """One object: what is the matter (a key of the titles), where, and the details."""

    kind: str
    bucket: str
    key: str
    text: str = ""

    @property
    def serious(self) -> bool:
        """Whether it is a difference, not a note."""
        return self.kind not in NOTES

    def __str__(self) -> str:
        return f"{self.kind}: {self.bucket}/{self.key}" + (f": {self.text}" if self.text else "")


class StoreComparison(msgspec.Struct, kw_only=True):
    """A comparison. `digest` is over every object's digest in the order of the keys; sizes in bytes."""

    command: str
    source: str
    target: str
    source_objects: int = 0
    source_bytes: int = 0
    target_objects: int = 0
    target_bytes: int = 0
    referenced: int | None = None
    read_objects: int = 0
    read_bytes: int = 0
    sampled: float = 1.0
    retries: int = 0
    seconds: float = 0.0
    digest: str = ""
    counts: dict[str, int] = {}
    findings: list[ObjectFinding] = []

    @property
    def differences(self) -> int:
        """How many findings are differences."""
        return sum(count for kind, count in self.counts.items() if kind not in NOTES)

    @property
    def same(self) -> bool:
        """Whether no difference was found."""
        return self.differences == 0

    @staticmethod
    def serious(kind: str) -> bool:
        """Whether a kind of finding is a difference."""
        return kind not in NOTES

    def show(self, console: Console) -> None:
        """Print the totals, what was found, and the first of it by name."""
        grid = Table("", "objects", "bytes", box=None, pad_edge=False)
        grid.add_row("source", f"{self.source_objects:,}", decimal(self.source_bytes))
        grid.add_row(
            "target before" if self.command == "copy" else "target",
            f"{self.target_objects:,}",
            decimal(self.target_bytes),
        )
        if self.referenced is not None:
            grid.add_row("in the database", f"{self.referenced:,}", "")
        if self.read_objects:
            grid.add_row("read on both sides", f"{self.read_objects:,}", decimal(self.read_bytes))
        console.print(grid)
        for kind, count in sorted(self.counts.items()):
            console.print(f"{count:,} {kind}: {_TITLES.get(kind, kind)}", markup=False, highlight=False)
        serious = sorted(self.findings, key=lambda one: not one.serious)
        for finding in serious[:_ON_SCREEN]:
            console.print(f"  {finding}", markup=False, highlight=False, soft_wrap=True)
        console.print(self.verdict(), markup=False, highlight=False)

    def text(self) -> str:
        """Return what `show` prints."""
        console = Console(file=StringIO(), width=100)
        self.show(console)
        file = console.file
        assert isinstance(file, StringIO)  # noqa: S101 - given above
        return file.getvalue()

    def verdict(self) -> str:
        """Say it in a line."""
        seconds = f"{self.seconds:.1f} s"
        if not self.same:
            return f"{self.differences:,} differences, in {seconds}."
        if self.command == "copy":
            return f"The target has all that the source has, in {seconds}; verify proves it."
        if not self.digest:
            return f"No difference, in {seconds}."
        part = "every object" if self.sampled >= 1 else f"a sample of {self.sampled:.0%}"
        all_of_it = "All of the source is on the target" if self.counts.get("kept") else "The same"
        return f"{all_of_it}: {part} read on both sides, in {seconds}. Digest {self.digest[:16]}."


class ObjectFindings:
    """Collects findings: all of them in a file, the first thousand in the report."""

    def __init__(self, path: Path, report: StoreComparison) -> None:
        self.report = report
        self._path = path
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.report.counts = dict(self._counts)

    def add(self, kind: str, bucket: str, key: str, text: str = "") -> None:
        """Note one."""
        finding = ObjectFinding(kind, bucket, key, text)
        self._counts[kind] += 1
        self._file.write(msgspec.json.encode(finding) + b"\n")
        if len(self.report.findings) < _IN_REPORT:
            self.report.findings.append(finding)
