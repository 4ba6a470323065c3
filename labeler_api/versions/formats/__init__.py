"""The file formats in which a task's annotations can be had, and which task each of them can carry."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from labeler_api.versions.formats import coco, dice, voc, yolo
from labeler_api.versions.formats.source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its word on the wire, the name of its file in the bucket, and the function that writes it.

    `tasks` are those that it can carry, None where it carries every task. `needs_sizes`: it tells places in fractions
    of the image. `names_people`: it tells who labeled and who confirmed.
    """

    name: str
    file_name: str
    content_type: str
    render: Callable[[Source], AsyncGenerator[bytes, None]]
    tasks: frozenset[str] | None = None
    needs_sizes: bool = False
    names_people: bool = False

    @property
    def extension(self) -> str:
        """The file's extension, with the dot."""
        return "." + self.file_name.rpartition(".")[2]

    def carries(self, task_type: str) -> bool:
        """Whether annotations of this task can be told in it."""
        return self.tasks is None or task_type in self.tasks


DICE = Format("dice", "annotations.json", "application/json", dice.render, names_people=True)
COCO = Format("coco", "annotations_coco.json", "application/json", coco.render)
YOLO = Format("yolo", "annotations_yolo.zip", "application/zip", yolo.render, tasks=yolo.TASKS, needs_sizes=True)
VOC = Format("voc", "annotations_voc.zip", "application/zip", voc.render, tasks=voc.TASKS)

OFFERED: Mapping[str, Format] = {entry.name: entry for entry in (DICE, COCO, YOLO, VOC)}
