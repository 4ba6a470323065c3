"""ZIP archives as different programs write them, byte by byte where Python's own would not."""

import struct
import zlib
from dataclasses import dataclass

UTF8 = 0x800
DOS, UNIX = 0, 3


@dataclass(frozen=True)
class Member:
    """A file as it stands in an archive: the bytes of its name, and what is said about them."""

    name: bytes
    content: bytes
    flags: int = 0
    extra: bytes = b""
    system: int = DOS
    attributes: int = 0
    zip64: bool = False
    """Its sizes stand in a field of their own, as writers do it that do not know them beforehand."""


def zipped(
    *members: Member, end64: bool = False, entries: int | None = None, directory_bytes: int | None = None
) -> bytes:
    """Put members together, stored; with ZIP64's records at the end, which may lie."""
    body, directory = b"", b""
    for one in members:
        offset, size, checksum = len(body), len(one.content), zlib.crc32(one.content)
        sizes = struct.pack("<HHQQ", 1, 16, size, size) if one.zip64 else b""
        said = 0xFFFFFFFF if one.zip64 else size
        head = struct.pack(
            "<HHHHHLLLHH",
            45 if one.zip64 else 20,
            one.flags,
            0,
            0,
            33,
            checksum,
            said,
            said,
            len(one.name),
            len(sizes + one.extra),
        )
        body += b"PK\x03\x04" + head + one.name + sizes + one.extra + one.content
        directory += (
            b"PK\x01\x02"
            + struct.pack("<BB", 45, one.system)
            + head
            + struct.pack("<HHHLL", 0, 0, 0, one.attributes, offset)
            + one.name
            + sizes
            + one.extra
        )
    count = len(members) if entries is None else entries
    length = len(directory) if directory_bytes is None else directory_bytes
    out = body + directory
    if end64:
        record = struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, count, count, length, len(body))
        out += b"PK\x06\x06" + record + b"PK\x06\x07" + struct.pack("<LQL", 0, len(body) + len(directory), 1)
        return out + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return out + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, length, len(body), 0)


def unicode_path(name: str, beside: bytes, version: int = 1) -> bytes:
    """Info-ZIP's field 0x7075: the name in UTF-8, and the sum of the one that it stands beside."""
    data = struct.pack("<BL", version, zlib.crc32(beside)) + name.encode()
    return struct.pack("<HH", 0x7075, len(data)) + data
