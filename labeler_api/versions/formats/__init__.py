"""The file formats in which a version can be published."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from labeler_api.versions.formats import coco, dice
from labeler_api.versions.formats.source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its word on the wire, the name of its file in the bucket, and the function that writes it."""

    name: str
    file_name: str
    content_type: str
    render: Callable[[Source], AsyncGenerator[bytes, None]]

    @property
    def extension(self) -> str:
        """The file's extension, with the dot."""
        return "." + self.file_name.rpartition(".")[2]


DICE = Format("dice", "annotations.json", "application/json", dice.render)
COCO = Format("coco", "annotations_coco.json", "application/json", coco.render)

OFFERED: Mapping[str, Format] = {entry.name: entry for entry in (DICE, COCO)}
