"""The manifest of a copy: one line an object that is on the target, on disk before the copy is said to have ended."""

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec

_SYNC_EVERY = 2.0  # seconds; what a power cut takes from the end is compared again, not copied again


class CopiedObject(msgspec.Struct, frozen=True, array_like=True):
    """An object that was copied or found to be equal: both sides at that moment. `size` in bytes.

    `source_modified` is as the listing had it; empty when it is not known.
    """

    bucket: str
    key: str
    size: int
    sha256: str
    source_etag: str
    source_modified: str
    target_etag: str

    def reversed(self) -> "CopiedObject":
        """The same fact for the way back."""
        return CopiedObject(self.bucket, self.key, self.size, self.sha256, self.target_etag, "", self.source_etag)


class Manifest:
    """Lines are only added; the last one of an object counts. A line that a killed process left half is cut off."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path.exists():
            os.truncate(self._path, sum(len(line) for line, _ in _whole_lines(self._path)))
        self._file = self._path.open("ab")
        self._synced = monotonic()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._sync()
        self._file.close()

    def add(self, entry: CopiedObject) -> None:
        """Write one down."""
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()  # a killed process loses nothing; the disk follows in batches
        if monotonic() - self._synced > _SYNC_EVERY:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = monotonic()


def entries(path: Path) -> Iterator[CopiedObject]:
    """Yield every whole line of a manifest; none when there is no such file."""
    if path.exists():
        yield from (entry for _, entry in _whole_lines(path))


def _whole_lines(path: Path) -> Iterator[tuple[bytes, CopiedObject]]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                yield line, msgspec.json.decode(line, type=CopiedObject)
            except msgspec.MsgspecError:
                return
