"""A zip file that is handed on while it grows.

The same members give the same bytes: the time of every member is the first that the format knows, the system that made
it is the same everywhere, and the compression is named. Memory holds one member up to a mebibyte, and some hundred
bytes for the name of each, so that no two are alike; the directory waits on disk.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from types import TracebackType
from typing import IO, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from labeler_api.versions.formats.central_directory import CentralDirectory

_LEVEL = 6  # zlib's own choice, named so that it stays; 9 takes twice the time for a hundredth of the size
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644 << 16  # a plain file that its owner may write and everybody read
_WHOLE_BYTES = 1024 * 1024  # up to here a member's size is known before it is written, which plain readers like better
_DIGEST_BYTES = 16  # no two names have one
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Archive:
    """Add members, `take` the bytes that have come out, and at last yield what `finish` yields."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._directory = CentralDirectory()
        self._names = set[bytes]()
        self._zip = ZipFile(self._sink, "w", ZIP_DEFLATED, compresslevel=_LEVEL)  # type: ignore[call-overload]
        self._name: str | None = None
        self._comment = ""
        self._whole = bytearray()
        self._parts: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what is open, whether the file was finished or given up."""
        if self._parts is not None:
            self._parts.close()
        self._directory.close()

    def begin(self, name: str) -> None:
        """Begin a member; the one before is ended."""
        self.end()
        self._name, self._comment = name, ""

    def write(self, data: bytes) -> None:
        """Add bytes to the member that was begun."""
        if self._parts is not None:
            self._parts.write(data)
            return
        self._whole += data
        if len(self._whole) > _WHOLE_BYTES and self._name is not None:
            # Its size is not known yet and may be more than 4 GiB.
            self._parts = self._zip.open(_described(self._name), "w", force_zip64=True)
            self._parts.write(self._whole)
            self._whole.clear()

    def end(self) -> None:
        """End the member that was begun, if one was."""
        if self._parts is not None:
            self._parts.close()
        elif self._name is not None:
            self._zip.writestr(_described(self._name), bytes(self._whole))
        self._parts, self._name = None, None
        self._whole.clear()
        if self._zip.filelist:  # moved to the directory: here it would stay in memory
            info = self._zip.filelist.pop()
            del self._zip.NameToInfo[info.filename]
            info.comment = self._comment.encode()
            self._directory.add(info)

    def place(self, name: str, size: int, crc: int) -> int:
        """Add a member, not packed, whose bytes somebody else puts in; return how many bytes came out before them."""
        self.end()
        info = _described(name)
        info.compress_type = ZIP_STORED
        info.file_size = info.compress_size = size
        info.CRC = crc
        info.header_offset = self._sink.tell()
        self._sink.write(info.FileHeader())
        at = self._sink.come_out
        self._sink.left_out += size
        self._directory.add(info)
        return at

    def finish(self) -> Iterator[bytes]:
        """End the file; yield the rest of it."""
        self.end()
        start = self._sink.tell()
        yield self.take()
        yield from self._directory.pieces(start)

    def add(self, name: str, content: bytes) -> None:
        """Add a small member whole."""
        self.begin(name)
        self.write(content)
        self.end()

    def begin_for(self, file_name: str, extension: str, comment: str = "") -> str:
        """Begin the member that belongs to an image; return its path, without the extension.

        That is `file_name` without its own extension, which is where readers look. Where another image has it already
        (`a.jpg` and `a.png`), the later one keeps its extension: `a.png.txt`. The comment stands in the directory.
        """
        self.end()
        for path in _candidates(file_name):
            name = f"{path}{extension}"
            if (digest := blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()) not in self._names:
                self._names.add(digest)
                self._name, self._comment = name, comment
                return path
        raise AssertionError  # the candidates never end

    def take(self) -> bytes:
        """Return the bytes that have come out since the last time."""
        return self._sink.take()


class _Sink:
    """What `zipfile` writes to: a file that cannot seek."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.come_out = self.left_out = 0

    def tell(self) -> int:
        return self.come_out + self.left_out

    def write(self, data: bytes) -> int:
        self._buffer += data
        self.come_out += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def _described(name: str) -> ZipInfo:
    info = ZipInfo(name, _FIRST_TIME)
    info.compress_type = ZIP_DEFLATED
    info.create_system = _UNIX
    info.external_attr = _MODE
    return info


def _candidates(path: str) -> Iterator[str]:
    folder, slash, name = path.rpartition("/")
    yield folder + slash + (name.rpartition(".")[0] or name)
    yield path
    for number in count(2):
        yield f"{path}~{number}"


def safe_path(file_name: str) -> str:
    """Return a path that stays where it is unpacked, whatever an old row says."""
    parts = [part for part in _CONTROL.sub("_", file_name).split("/") if part not in {"", "."}]
    return "/".join("__" if part == ".." else part for part in parts) or "_"
