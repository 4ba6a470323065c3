r"""YOLO (contract#yolo; https://docs.ultralytics.com/datasets/detect): a zip of labels, one task a file.

- `data.yaml`: `train: images`, `val: images` (unpack, and put the images into `images/` beside it, under the paths that
  they have in the dataset), `layout`, by which an import of ours knows that they lie so, `nc`, and `names`, a mapping
  of class number to name: `0: "cat"`. The names are exact, whatever they hold; equal ones stay apart by their numbers.
- `classes.txt`: the same names by number, one a line, a line break within a name made a space.
- `labels/<path of the image without its extension>.txt`: one for each image that has a line, and an empty one for each
  that is marked as showing nothing. Where the path has a folder `images` itself, the last of them is `labels`, and the
  one at the top stays `images`, as readers have it (`yolo_paths`). For `a.jpg` and `a.png` in one folder, which YOLO
  readers cannot tell apart, the second is `labels/a.png.txt`. A label whose path does not tell the image's has that as
  the comment of its member.

A line of a **detection** is `<class number> <x centre> <y centre> <width> <height>`, of a **segmentation**
`<class number> <x1> <y1> <x2> <y2> …`; all are fractions of the image's size as displayed, with 6 decimals, `\n` behind
each line. In one file all lines are of one kind, because readers take a file with one polygon for polygons alone.

What is not carried: a rotated box is the upright box around it; what lies beyond the image's border is cut off (readers
refuse the whole file otherwise), and what lies outside altogether is left out; attributes and authors. An image of
unknown size cannot be written, and is refused before anything is written.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import yaml

from labeler_api.versions.formats import shapes, yolo_paths
from labeler_api.versions.formats.archive import Archive, safe_path
from labeler_api.versions.formats.source import NO_OBJECT, Annotation, Header, Image, VersionSource
from labeler_api.versions.formats.texts import class_lines

TASKS = frozenset({"detection", "segmentation"})
_EVERYTHING = {"train": [yolo_paths.ROOT], "val": [yolo_paths.ROOT]}
LAYOUT = "images/<path>"
"""What our export says about the places of its images; older exports have labels at `labels/<path>` for every path.
"""


async def render(source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Yield the file, piece by piece."""
    with Archive() as archive:
        async for piece in fill(archive, source):
            yield piece
        for piece in archive.finish():
            yield piece


async def fill(archive: Archive, source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Add the members; yield what comes out meanwhile."""
    header = source.header
    line_of = _polygon_line if header.task_type == "segmentation" else _box_line
    image_id = None
    archive.add("data.yaml", _description(header))
    archive.add("classes.txt", class_lines(header.classes))
    async with aclosing(source.annotations()) as annotations:
        async for annotation in annotations:
            line = line_of(annotation)
            if line is None and annotation.annotation_type != NO_OBJECT:
                continue
            if annotation.image_id != image_id:
                image_id = annotation.image_id
                _begin(archive, annotation.image)
            if line is not None:
                archive.write(f"{header.classes.number(annotation.class_id)} {line}\n".encode())
            if piece := archive.take():
                yield piece


def _begin(archive: Archive, image: Image) -> None:
    """Begin the label of an image."""
    name = image.dataset_name or image.file_name
    label = yolo_paths.label_path(safe_path(image.file_name))
    tells = yolo_paths.image_paths(label) == [name]
    archive.begin_for(label, ".txt", "" if tells else name)


def label_of(image_path: str) -> str:
    """Return the path of an image's label, without its extension: what readers tell images apart by."""
    folder, slash, name = yolo_paths.label_path(image_path).rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _description(header: Header) -> bytes:
    classes, splits = header.classes, header.splits or _EVERYTHING
    names = [f"  {number}: {_quoted(entry.name)}" for number, entry in enumerate(classes.classes)]
    lines = [line for split, folders in splits.items() for line in _split(split, folders)]
    lines += [f"layout: {LAYOUT}", f"nc: {len(names)}"]
    lines += ["names:" if names else "names: {}", *names]
    return "".join(f"{line}\n" for line in lines).encode()


def _split(name: str, folders: Sequence[str]) -> list[str]:
    if folders == [yolo_paths.ROOT]:
        return [f"{name}: {yolo_paths.ROOT}"]
    return [f"{name}:", *(f"  - {_quoted(folder)}" for folder in folders)]


def _quoted(name: str) -> str:
    """In double quotes whatever it is: PyYAML's other styles lose some line ends."""
    text: str = yaml.safe_dump(name, default_style='"', allow_unicode=True, width=float("inf"))
    return text.rstrip("\n")


def _box_line(annotation: Annotation) -> str | None:
    box = shapes.upright_box_of(annotation.annotation_type, annotation.geometry)
    if box is None:
        return None
    left, top, width, height = box
    x1, x2 = _fractions([left, left + width], annotation.image.width)
    y1, y2 = _fractions([top, top + height], annotation.image.height)
    if x1 == x2 or y1 == y2:
        return None
    return f"{(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {abs(x2 - x1):.6f} {abs(y2 - y1):.6f}"


def _polygon_line(annotation: Annotation) -> str | None:
    ring = shapes.outline_of(annotation.annotation_type, annotation.geometry)
    if ring is None:
        return None
    xs = _fractions([x for x, _ in ring], annotation.image.width)
    ys = _fractions([y for _, y in ring], annotation.image.height)
    if min(xs) == max(xs) or min(ys) == max(ys):
        return None
    return " ".join([f"{x:.6f} {y:.6f}" for x, y in zip(xs, ys, strict=True)])


def _fractions(values: Sequence[float], size: int) -> list[float]:
    """Return pixels as fractions of the image, those beyond its border on it."""
    fractions = [value / size for value in values]
    if min(fractions) < 0 or max(fractions) > 1:
        return [min(max(fraction, 0.0), 1.0) for fraction in fractions]
    return fractions
