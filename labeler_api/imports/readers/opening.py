"""Finds out what a file is by what is in it, and opens the reader for it. Blocking."""

import zipfile
from collections.abc import Mapping, Set
from contextlib import ExitStack
from typing import IO
from weakref import finalize

from labeler_api.imports.readers import yolo, yolo_layout, zipped
from labeler_api.imports.readers.coco import CocoReader
from labeler_api.imports.readers.dice import DiceReader
from labeler_api.imports.readers.items import Problems, Reader, Unreadable
from labeler_api.imports.readers.strict_json import Document
from labeler_api.imports.readers.voc import VocReader

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an empty archive
_JSON_SPACE = b" \t\r\n\xef\xbb\xbf"
_LOOKED_AT = 64  # bytes; more blanks than that nobody writes in front


def is_archive(file: IO[bytes]) -> bool:
    """Whether a file is a ZIP archive."""
    file.seek(0)
    start = file.read(len(_ZIP[0]))
    file.seek(0)
    return start.startswith(_ZIP)


def open_reader(file: IO[bytes], tasks: Set[str], problems: Problems) -> Reader:
    """Open a file for a project that has these tasks. Raises Unreadable when it is in none of the formats."""
    if is_archive(file):
        return _in_archive(*yolo.opened(file), tasks, problems)
    if not _is_object(file):
        raise Unreadable(
            "it is neither a JSON object (COCO or DICE) nor a ZIP archive (YOLO, Pascal VOC, or COCO in one)"
            if file.read(1)
            else "it is empty"
        )
    reader = _in_json(Document(file), tasks, problems)
    if reader is None:
        raise Unreadable('it is JSON, but neither COCO nor DICE: it has neither "annotations" nor "images"')
    return reader


def _in_archive(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], tasks: Set[str], problems: Problems
) -> Reader:
    """Tell formats apart by the files that only one of them has."""
    if any(map(yolo_layout.is_description, entries)):
        return yolo.YoloReader(archive, entries, problems)
    parts: list[tuple[str, Reader]] = []
    with ExitStack() as files:
        for name, member in zipped.annotation_files(archive, entries):
            files.callback(member.close)
            reader = _in_json(Document(member), tasks, zipped.Within(problems, name)) if _is_object(member) else None
            if reader is not None:
                parts.append((name, reader))
        if parts:
            whole = zipped.ZippedReader(parts, set(entries))
            finalize(whole, files.pop_all().close)  # it reads them again
            return whole
    if any(name.lower().endswith(".xml") for name in entries) and not yolo.has_labels(archive, entries):
        return VocReader(archive, entries, tasks, problems)
    return yolo.YoloReader(archive, entries, problems)


def _in_json(document: Document, tasks: Set[str], problems: Problems) -> Reader | None:
    if "annotations" in document:
        return CocoReader(document, tasks, problems)
    if "images" in document and ("format_version" in document or "classes" in document):
        return DiceReader(document, problems)
    if "images" in document:  # either of the two, with classes of whole images or nothing at all
        return CocoReader(document, tasks, problems)
    return None


def _is_object(file: IO[bytes]) -> bool:
    file.seek(0)
    start = file.read(_LOOKED_AT)
    file.seek(0)
    return start.lstrip(_JSON_SPACE).startswith(b"{")
