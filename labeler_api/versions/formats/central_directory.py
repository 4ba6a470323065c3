"""The directory at the end of a zip file, kept on disk until it is written.

`zipfile` keeps it in memory, some 700 bytes a member at the end: too much for an archive with a member an image. The
records are those that `zipfile` would have written, byte for byte (APPNOTE.TXT 6.3.10, 4.3.12 to 4.3.16).
"""

import struct
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from zipfile import ZIP64_LIMIT, ZIP_FILECOUNT_LIMIT, ZipInfo

_IN_MEMORY = 1024 * 1024  # the directory of some ten thousand members
_PIECE = 256 * 1024
_UTF8 = 0x800  # flag: the name is not ASCII
_VERSION, _VERSION_64 = 20, 45  # what a reader must know: folders and deflate; zip64
_ELSEWHERE_32, _ELSEWHERE_16 = 0xFFFFFFFF, 0xFFFF  # "look into the zip64 record"
_MEMBER = struct.Struct("<4s4B4HL2L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")


class CentralDirectory:
    """Add members as they are written, then `pieces` of the directory, which begins where the last member ended."""

    def __init__(self) -> None:
        self._records = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._members = 0

    def add(self, info: ZipInfo) -> None:
        """Note a member that has been written."""
        self._records.write(_record(info))
        self._members += 1

    def pieces(self, start: int) -> Iterator[bytes]:
        """Yield the directory, which stands at byte `start`, and the end of the file."""
        size = self._records.tell()
        self._records.seek(0)
        while piece := self._records.read(_PIECE):
            yield piece
        yield _end(self._members, size, start)

    def close(self) -> None:
        """Forget the members."""
        self._records.close()


def _record(info: ZipInfo) -> bytes:
    sizes, offset = [info.compress_size, info.file_size], info.header_offset
    far: list[int] = []
    if max(sizes) > ZIP64_LIMIT:
        far, sizes = [info.file_size, info.compress_size], [_ELSEWHERE_32, _ELSEWHERE_32]
    if offset > ZIP64_LIMIT:
        far, offset = [*far, offset], _ELSEWHERE_32
    extra = struct.pack(f"<HH{len(far)}Q", 1, 8 * len(far), *far) if far else b""
    version = max(_VERSION_64 if far else _VERSION, info.extract_version)
    name, flags = info.filename.encode(), info.flag_bits
    if not info.filename.isascii():
        flags |= _UTF8
    year, month, day, hour, minute, second = info.date_time
    return (
        _MEMBER.pack(
            b"PK\x01\x02",
            max(version, info.create_version),
            info.create_system,
            version,
            info.reserved,
            flags,
            info.compress_type,
            hour << 11 | minute << 5 | second // 2,
            (year - 1980) << 9 | month << 5 | day,
            info.CRC,
            *sizes,
            len(name),
            len(extra),
            len(info.comment),
            0,
            info.internal_attr,
            info.external_attr,
            offset,
        )
        + name
        + extra
        + info.comment
    )


def _end(members: int, size: int, start: int) -> bytes:
    far = b""
    if members > ZIP_FILECOUNT_LIMIT or max(size, start) > ZIP64_LIMIT:
        record = (b"PK\x06\x06", _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, members, members, size, start)
        far = _END_64.pack(*record) + _LOCATOR_64.pack(b"PK\x06\x07", 0, start + size, 1)
        members, size, start = min(members, _ELSEWHERE_16), min(size, _ELSEWHERE_32), min(start, _ELSEWHERE_32)
    return far + _END.pack(b"PK\x05\x06", 0, 0, members, members, size, start, 0)
