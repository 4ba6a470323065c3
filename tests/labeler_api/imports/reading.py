"""Files read without a database: every image that a file names is there, under its name without extension."""

import io
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from labeler_api.images.upload.schemas import Problem
from labeler_api.imports.checking.drafts import make_drafts
from labeler_api.imports.readers.items import FileClass, PlacedImage, Problems
from labeler_api.imports.readers.opening import open_reader
from labeler_api.imports.staging.store import STAGED

SIZE = (640, 480)


@dataclass
class Read:
    """What a file says: drafts with their class's name, and what is wrong with it."""

    format: str
    drafts: list[dict[str, Any]]
    classes: list[FileClass]
    images: list[str]
    warnings: list[str]
    problems: list[Problem]
    count: int

    @property
    def shapes(self) -> list[dict[str, Any]]:
        return [draft["geometry"] for draft in self.drafts]

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [(problem.place, problem.message) for problem in self.problems]


def read(
    content: bytes, tasks: Iterable[str] = ("detection", "segmentation"), size: tuple[int | None, int | None] = SIZE
) -> Read:
    """Read a file as an import does. Raises Unreadable."""
    problems = Problems()
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        reader = open_reader(file, set(tasks), problems)
        placed = [
            PlacedImage(_stem(image.name) if image.has_extension else image.name, *size) for image in reader.images
        ]
        drafts = make_drafts(reader, placed, problems)
        try:
            rows = [_row(line) for chunk in drafts.read() for line in chunk.splitlines()]
        finally:
            drafts.close()
    positions = list(drafts.classes)
    for row in rows:
        if row["class_position"] is not None:
            row["class_name"] = reader.classes[positions[int(row["class_position"])][1]].name
    return Read(
        format=reader.format,
        drafts=rows,
        classes=reader.classes,
        images=[image.name for image in reader.images],
        warnings=reader.warnings,
        problems=problems.first,
        count=problems.count,
    )


def count(content: bytes) -> int:
    """Read a file whose images are all there, and say how many annotations it has."""
    with io.BytesIO(content) as file:
        reader = open_reader(file, {"detection"}, Problems())
        drafts = make_drafts(reader, [PlacedImage(image.name, *SIZE) for image in reader.images], Problems())
        drafts.close()
    return drafts.total


def _row(line: bytes) -> dict[str, Any]:
    """Read a line as COPY does; JSON decoded."""
    values = [_value(field) for field in line.decode().split("\t")]
    row: dict[str, Any] = dict(zip(STAGED, values, strict=True))
    return row | {name: msgspec.json.decode(row[name]) for name in ("geometry", "attributes")}


def _value(field: str) -> str | None:
    meant = {"n": "\n", "r": "\r", "t": "\t"}
    return None if field == r"\N" else re.sub(r"\\(.)", lambda found: meant.get(found[1], found[1]), field)


def _stem(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)
