"""A file as it would be with some of its bytes left out or replaced. Nothing is copied."""

import io
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import IO, NamedTuple

_BUFFER_BYTES = 64 * 1024


class Range(NamedTuple):
    """Bytes of the source."""

    start: int
    end: int


Piece = Range | bytes


class _Spliced(io.RawIOBase):
    def __init__(self, source: IO[bytes], pieces: Iterable[Piece], *, keeps_places: bool) -> None:
        super().__init__()
        self._source = source
        self._pieces: Sequence[Piece] = [piece for piece in pieces if _length(piece)]
        self._starts = [0, *accumulate(_length(piece) for piece in self._pieces)]
        self._at = 0
        self._keeps_places = keeps_places

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The source's: only where libraries that read it by its number find each byte in its place."""
        return self._source.fileno() if self._keeps_places else super().fileno()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence])
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._pieces):
            return 0
        piece, inside = self._pieces[number], self._at - self._starts[number]
        size = min(len(buffer), _length(piece) - inside)
        if isinstance(piece, bytes):
            data = piece[inside : inside + size]
        else:
            self._source.seek(piece.start + inside)
            data = self._source.read(size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def spliced(source: IO[bytes], pieces: Iterable[Piece], *, keeps_places: bool = False) -> IO[bytes]:
    """Put pieces of `source` and other bytes together. It is not closed with the result."""
    return io.BufferedReader(_Spliced(source, pieces, keeps_places=keeps_places), _BUFFER_BYTES)


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.end - piece.start
