"""What a format can carry survives it: others' tools read back what was annotated, whatever the names and places."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import coco as official_coco

from labeler_api.versions.formats import COCO, VOC, YOLO, Format
from labeler_api.versions.formats.source import Annotation, Image
from tests.fixtures import readers
from tests.fixtures.export_sources import Given, made, written

_EXAMPLES = settings(max_examples=25, deadline=None)  # each writes and reads files: some 20 ms

_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)
_class_names = _text.filter(str.strip)
_file_names = st.text("abㅎ한 %'#&.ü-", min_size=1, max_size=8).filter(lambda name: name.strip(". "))
_folders = st.sampled_from(["", "train/good", "val/한글 폴더"])


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> list[float]:
    """A box within the image, with the two decimals of the frontend."""
    left, right = sorted(draw(st.lists(st.integers(0, width * 100), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, height * 100), min_size=2, max_size=2, unique=True)))
    return [left / 100, top / 100, max(right - left, 100) / 100, max(bottom - top, 100) / 100]


@st.composite
def labeled(draw: st.DrawFn, kind: str, *, unlike: bool = False) -> tuple[list[Annotation], dict[str, dict[str, Any]]]:
    """Annotations of a few images, in the order of the files, and the classes of the task, `unlike` by their names."""
    names = draw(st.lists(_class_names, min_size=1, max_size=4, unique=unlike))
    classes = {f"c{number}": {"name": name, "order": number} for number, name in enumerate(names)}
    stems = draw(st.lists(st.tuples(_folders, _file_names), min_size=1, max_size=4, unique=True))
    found: list[Annotation] = []
    for folder, name in sorted(stems):
        path = f"{folder}/{name}" if folder else name
        width, height = draw(st.tuples(st.integers(2, 300), st.integers(2, 300)))
        image = Image(f"{path}.png", width, height, None)
        for x, y, w, h in draw(st.lists(boxes(width - 1, height - 1), min_size=0, max_size=3)):
            corners = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
            shape: dict[str, Any] = {"points": corners} if kind == "polygon" else {"bbox": [x, y, w, h]}
            class_id = draw(st.sampled_from(sorted(classes)))
            found.append(made(len(found) + 1, path, kind, shape, class_id=class_id, image=image))
        if not found or found[-1].image_id != path:
            found.append(made(len(found) + 1, path, "no_object", {"type": "no_object"}, class_id=None, image=image))
    return found, classes


def _expected(annotations: list[Annotation], classes: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Class names and boxes `[x1, y1, x2, y2]` by file name."""
    told: dict[str, list[Any]] = {a.image.file_name: [] for a in annotations}
    for annotation in annotations:
        if annotation.annotation_type == "no_object":
            continue
        x, y, w, h = annotation.geometry.get("bbox") or _around(annotation.geometry["points"])
        name = classes[str(annotation.class_id)]["name"]
        told[annotation.image.file_name].append((name, pytest.approx([x, y, x + w, y + h], abs=0.005)))
    return told


def _around(points: list[list[float]]) -> list[float]:
    (left, top), (right, bottom) = map(min, zip(*points, strict=True)), map(max, zip(*points, strict=True))
    return [left, top, right - left, bottom - top]


def _sizes(annotations: list[Annotation]) -> dict[str, tuple[int, int]]:
    return {a.image.file_name: (a.image.width, a.image.height) for a in annotations}


def _folder_of(file_name: str) -> str:
    return file_name.rpartition("/")[0]


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _rendered(kind: Format, annotations: list[Annotation], classes: dict[str, dict[str, Any]], task: str) -> bytes:
    return asyncio.run(written(kind, Given(annotations, classes, task_type=task)))


def _read(directory: Path, reader: Any, file_names: list[str]) -> tuple[dict[str, list[Any]], list[list[str]]]:
    """Regions by file name, and the classes that each folder told."""
    told: dict[str, list[Any]] = {}
    classes = []
    for folder in sorted({_folder_of(name) for name in file_names}):
        dataset = reader(directory, folder)
        classes.append(list(dataset.classes))
        told |= {str(Path(path).relative_to(directory / "images")): of for path, of in readers.regions(dataset).items()}
    return told, classes


@pytest.mark.parametrize(("kind", "task"), [("bbox", "detection"), ("polygon", "segmentation")])
def test_yolo(kind: str, task: str) -> None:
    @_EXAMPLES
    @given(labeled(kind))
    def survives(content: tuple[list[Annotation], dict[str, dict[str, Any]]]) -> None:
        annotations, classes = content
        sizes = _sizes(annotations)
        zipped = _rendered(YOLO, annotations, classes, task)
        names = dict(enumerate(entry["name"] for entry in classes.values()))
        files = readers.members(zipped)

        assert yaml.safe_load(files["data.yaml"])["names"] == names
        assert len(files["classes.txt"].decode().splitlines()) == len(names)
        assert {readers.label_path(f"root/images/{name}").removeprefix("root/") for name in sizes} <= set(files)
        with _directory() as directory:
            readers.unpack(zipped, directory, sizes)
            told, listed = _read(directory, readers.yolo, list(sizes))
        assert told == _expected(annotations, classes)
        assert all(found == list(names.values()) for found in listed)

    survives()


@pytest.mark.parametrize(("kind", "task"), [("bbox", "detection"), ("polygon", "segmentation")])
def test_voc(kind: str, task: str) -> None:
    @_EXAMPLES
    @given(labeled(kind))
    def survives(content: tuple[list[Annotation], dict[str, dict[str, Any]]]) -> None:
        annotations, classes = content
        sizes = _sizes(annotations)
        zipped = _rendered(VOC, annotations, classes, task)
        for entry in classes.values():
            entry["name"] = "".join(character if _in_xml(character) else "\ufffd" for character in entry["name"])

        with _directory() as directory:
            readers.unpack(zipped, directory, sizes)
            told, _ = _read(directory, readers.voc, list(sizes))
            listing = (directory / "ImageSets" / "Main" / "train.txt").read_text().splitlines()
        assert told == _expected(annotations, classes)
        assert listing == [name.removesuffix(".png") for name in sizes]

    survives()


@pytest.mark.parametrize(("kind", "task"), [("bbox", "detection"), ("polygon", "segmentation")])
def test_coco(kind: str, task: str) -> None:
    @_EXAMPLES
    @given(labeled(kind, unlike=True))  # supervision cannot tell classes of one name apart
    def survives(content: tuple[list[Annotation], dict[str, dict[str, Any]]]) -> None:
        annotations, classes = content
        sizes = _sizes(annotations)
        with _directory() as directory:
            file = directory / "annotations.json"
            file.write_bytes(_rendered(COCO, annotations, classes, task))
            readers.draw(directory / "images", sizes)
            dataset = readers.coco(directory / "images", file)
            told = readers.regions(dataset)
            official = official_coco.COCO(str(file))

        assert {str(Path(p).relative_to(directory / "images")): of for p, of in told.items()} == _expected(
            annotations, classes
        )
        categories = official.loadCats(official.getCatIds())
        assert [category["name"] for category in categories] == [entry["name"] for entry in classes.values()]
        images = {image["file_name"]: (image["width"], image["height"]) for image in official.imgs.values()}
        assert images == sizes
        regions = [a for a in annotations if a.annotation_type == kind]
        assert official.getAnnIds() == [a.id for a in regions]
        if kind == "polygon":
            kept = [entry["segmentation"] for entry in official.loadAnns(official.getAnnIds())]
            assert kept == [[[value for point in a.geometry["points"] for value in point]] for a in regions]

    survives()


async def test_a_polygon_is_the_same_mask_in_every_format(tmp_path: Path) -> None:
    shape = {"points": [[10, 10], [30, 10], [30, 40], [10, 40]]}
    source = Given([made(1, "a", "polygon", shape, image=Image("a.png", 64, 48, None))], {}, task_type="segmentation")
    for name, kind in (("yolo", YOLO), ("voc", VOC)):
        readers.unpack(await written(kind, source), tmp_path / name, {"a.png": (64, 48)})
    (tmp_path / "coco.json").write_bytes(await written(COCO, source))
    readers.draw(tmp_path, {"a.png": (64, 48)})

    read = [
        readers.yolo(tmp_path / "yolo", ""),
        readers.voc(tmp_path / "voc", ""),
        readers.coco(tmp_path, tmp_path / "coco.json"),
    ]

    masks = [next(iter(dataset.annotations.values())).mask[0] for dataset in read]
    assert [int(mask.sum()) for mask in masks] == [int(masks[0].sum())] * 3
    assert 21 * 31 >= masks[0].sum() >= 20 * 30


def _in_xml(character: str) -> bool:
    return (
        character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or ord(character) > 0xFFFF
    )
