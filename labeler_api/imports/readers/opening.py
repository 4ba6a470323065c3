"""Finds out what a file is by what is in it, and opens the reader for it. Blocking."""

from collections.abc import Set
from typing import IO

from labeler_api.imports.readers.coco import CocoReader
from labeler_api.imports.readers.dice import DiceReader
from labeler_api.imports.readers.items import Problems, Reader, Unreadable
from labeler_api.imports.readers.yolo import YoloReader, opened
from labeler_api.imports.strict_json import Document

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an empty archive
_JSON_SPACE = b" \t\r\n\xef\xbb\xbf"


def open_reader(file: IO[bytes], tasks: Set[str], problems: Problems) -> Reader:
    """Open a file for a project that has these tasks. Raises Unreadable when it is in none of the formats."""
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    if start.startswith(_ZIP):
        return YoloReader(*opened(file), problems)
    if not start.lstrip(_JSON_SPACE).startswith(b"{"):
        raise Unreadable(
            "it is neither a JSON object (COCO or DICE) nor a ZIP archive (YOLO)" if start else "it is empty"
        )
    document = Document(file)
    if "annotations" in document:
        return CocoReader(document, tasks, problems)
    if "images" in document and ("format_version" in document or "classes" in document):
        return DiceReader(document, problems)
    if "images" in document:  # either of the two, with classes of whole images or nothing at all
        return CocoReader(document, tasks, problems)
    raise Unreadable('it is JSON, but neither COCO nor DICE: it has neither "annotations" nor "images"')
