"""The file formats in which a task's annotations can be had, and which task each of them can carry."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from labeler_api.versions.formats import coco, dice, voc, yolo
from labeler_api.versions.formats.archive import Archive
from labeler_api.versions.formats.source import VersionSource

Render = Callable[[VersionSource], AsyncGenerator[bytes, None]]


async def _one_file(name: str, render: Render, archive: Archive, source: VersionSource) -> AsyncGenerator[bytes, None]:
    archive.begin(name)
    async for piece in render(source):
        archive.write(piece)
        if out := archive.take():
            yield out
    archive.end()


def _path(image_path: str) -> str:
    return image_path


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its word on the wire, the name of its file in the bucket, and the function that writes it.

    `tasks` are those that it can carry, None if it carries every task. `needs_sizes`: its coordinates are fractions of
    the image's size. `names_people`: it names who labeled and who confirmed.

    With the images: `fill` adds its files to an archive. `images_folder` is the folder in which readers look for the
    images. `label_of` gives the path of an image's label, by which readers match the two.
    """

    name: str
    file_name: str
    content_type: str
    render: Render
    fill: Callable[[Archive, VersionSource], AsyncGenerator[bytes, None]]
    images_folder: str = "images"
    label_of: Callable[[str], str] = _path
    tasks: frozenset[str] | None = None
    needs_sizes: bool = False
    names_people: bool = False

    @property
    def bundle_name(self) -> str:
        """Name, in the bucket, of the archive that has the images, too."""
        return f"{self.name}_with_images.zip"

    @property
    def extension(self) -> str:
        """The file's extension, with the dot."""
        return "." + self.file_name.rpartition(".")[2]

    def carries(self, task_type: str) -> bool:
        """Whether it can carry annotations of this task."""
        return self.tasks is None or task_type in self.tasks


_COCO_FILE = "annotations/instances_default.json"  # where CVAT and Datumaro look; other readers are given the path

DICE = Format(
    "dice",
    "annotations.json",
    "application/json",
    dice.render,
    partial(_one_file, "annotations.json", dice.render),
    names_people=True,
)
COCO = Format(
    "coco", "annotations_coco.json", "application/json", coco.render, partial(_one_file, _COCO_FILE, coco.render)
)
YOLO = Format(
    "yolo",
    "annotations_yolo.zip",
    "application/zip",
    yolo.render,
    yolo.fill,
    label_of=yolo.label_of,
    tasks=yolo.TASKS,
    needs_sizes=True,
)
VOC = Format(
    "voc",
    "annotations_voc.zip",
    "application/zip",
    voc.render,
    voc.fill,
    images_folder="JPEGImages",
    label_of=voc.label_of,
    tasks=voc.TASKS,
)

EXPORT_FORMATS: Mapping[str, Format] = {entry.name: entry for entry in (DICE, COCO, YOLO, VOC)}
