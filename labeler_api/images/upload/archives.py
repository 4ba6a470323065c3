"""ZIP archives: counted and weighed before anything is expanded, then read member by member. Blocking."""

import stat
import struct
import zipfile
from dataclasses import dataclass, field
from typing import IO

from labeler_api.errors import FileRejected, TooManyEntries
from labeler_api.images.paths import ImagePath, image_path, normal
from labeler_api.images.upload import archive_names
from labeler_api.images.upload.rejections import Rejections

_MAX_ENTRIES = 20_000  # some 20 MB of what the library keeps of each
_MAX_TOTAL_BYTES = 2 * 1024**3
_MAX_RATIO = 100  # photographs hardly shrink; a bomb is a thousand times its size
_DIRECTORY_BYTES_PER_ENTRY = 400  # its name and what else is said of it; the library reads all of it at once
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # the others may ask for gigabytes of dictionary
_ENTRY = b"PK\x01\x02"
_END = struct.Struct("<4s4H2LH")
_END_SEARCH_BYTES = _END.size + 0xFFFF  # the comment that may follow the end record
_LOCATOR_BYTES = 20  # of ZIP64, in front of the end record
_END64 = struct.Struct("<4sQ2H2L4Q")
_COPY_BYTES = 256 * 1024
_ENCRYPTED = 0x1  # a bit of the entry's flags
_DOS_FOLDER = 0x10  # an attribute


@dataclass(slots=True)
class ArchiveContents:
    """What an archive holds: the files whose names are good, and those that are not taken."""

    archive: zipfile.ZipFile
    entries: int
    taken: list[tuple[zipfile.ZipInfo, ImagePath]] = field(default_factory=list)
    refused: Rejections = field(default_factory=Rejections)


def read_contents(file: IO[bytes], dataset_id: str, max_entries: int) -> ArchiveContents:
    """Open an archive and judge every name in it: a second and more for the largest. Raises FileRejected."""
    try:
        archive = open_archive(file, min(max_entries, _MAX_ENTRIES))
    except TooManyEntries as refusal:
        if max_entries < _MAX_ENTRIES:
            raise FileRejected(
                "it has too many entries beside the other archives; send it in another request"
            ) from refusal
        raise
    contents = ArchiveContents(archive, len(archive.infolist()))
    for entry in archive.infolist():
        if _is_folder(entry):
            continue
        try:
            contents.taken.append((entry, image_path(entry.filename, dataset_id)))
        except FileRejected as refusal:
            contents.refused.add(entry.filename, refusal.detail, is_member=True)
    return contents


def open_archive(file: IO[bytes], max_entries: int = _MAX_ENTRIES) -> zipfile.ZipFile:
    """Open an archive whose size, count and ratio are within bounds. Raises FileRejected with a reason.

    The names of its entries are as they were meant.
    """
    _check_end_record(file, max_entries)
    try:
        archive = zipfile.ZipFile(file)
    except (
        zipfile.BadZipFile,
        ValueError,
        ArithmeticError,
        OSError,
        EOFError,
        struct.error,
        NotImplementedError,
    ) as error:
        raise FileRejected("it is not a ZIP archive, or it is damaged") from error
    entries = archive.infolist()
    packed, total = sum(entry.compress_size for entry in entries), sum(entry.file_size for entry in entries)
    if len(entries) > max_entries:
        raise TooManyEntries(f"it has more than {max_entries} entries")
    if total > _MAX_TOTAL_BYTES:
        raise FileRejected(f"it is larger than {_MAX_TOTAL_BYTES // 1024**2} MiB unpacked")
    if total > _MAX_RATIO * max(packed, 1):
        raise FileRejected(f"it unpacks to more than {_MAX_RATIO} times its size")
    archive_names.read(entries)
    return archive


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\")) or bool(entry.external_attr & _DOS_FOLDER and not entry.file_size)


def entry_name(entry: zipfile.ZipInfo) -> str:
    """The path of an entry of an archive that `open_archive` opened, spelt as ids are; that of a folder ends with /."""
    return normal(entry.filename)


def _check_end_record(file: IO[bytes], max_entries: int) -> None:
    """Read the directory's size from the archive's end: the library would read any size without asking."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_SEARCH_BYTES))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise FileRejected("it is not a ZIP archive, or it is damaged")
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    if tail[max(0, at - _LOCATOR_BYTES) : at].startswith(b"PK\x06\x07"):
        end -= _LOCATOR_BYTES + _END64.size
        entries, directory_bytes = _read_end64(file, end)
    if entries > max_entries or directory_bytes > max_entries * _DIRECTORY_BYTES_PER_ENTRY:
        raise TooManyEntries(f"it has more than {max_entries} entries")
    # The count may lie, and an entry may be as short as 46 bytes: counted before the library makes an object of each.
    file.seek(max(0, end - directory_bytes))
    if file.read(directory_bytes).count(_ENTRY) > max_entries:
        raise TooManyEntries(f"it has more than {max_entries} entries")
    file.seek(0)


def _read_end64(file: IO[bytes], start: int) -> tuple[int, int]:
    """Read the numbers that count where there are ZIP64 records: writers add them to small archives, too.

    The library looks for them right in front of their locator, and so must what is checked here.
    """
    file.seek(max(0, start))
    record = file.read(_END64.size)
    if start < 0 or len(record) < _END64.size or not record.startswith(b"PK\x06\x06"):
        raise FileRejected("its ZIP64 records cannot be read; pack it again")
    *_, entries, directory_bytes, _ = _END64.unpack(record)
    return entries, directory_bytes


def extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: IO[bytes], limit: int) -> int:
    """Expand one entry of at most `limit` bytes into `target`, return its size. Raises FileRejected with a reason."""
    if entry.flag_bits & _ENCRYPTED:
        raise FileRejected("it is encrypted")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FileRejected("it is a link and no file")
    if entry.compress_type not in _METHODS:
        raise FileRejected("it is packed with a method other than deflate")
    if entry.file_size > limit:
        raise FileRejected(f"it is larger than {limit} bytes")
    try:
        _copy(archive, entry, target, limit)
    except FileRejected:
        raise
    except Exception as error:  # zipfile and zlib raise many things at damaged bytes
        raise FileRejected("it is damaged inside the archive") from error
    size = target.tell()
    target.seek(0)
    return size


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: IO[bytes], limit: int) -> None:
    left = limit
    with archive.open(entry) as source:
        while chunk := source.read(_COPY_BYTES):
            left -= len(chunk)
            if left < 0:  # the directory may lie about the size
                raise FileRejected(f"it is larger than {limit} bytes")
            target.write(chunk)
