"""Exported files as others' tools read them."""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

with warnings.catch_warnings():
    # It says so at every import without OpenCV, which nothing here needs.
    warnings.filterwarnings("ignore", message="OpenCV", category=UserWarning)
    import supervision

Dataset = supervision.DetectionDataset
Detections = supervision.Detections


def members(content: bytes) -> dict[str, bytes]:
    """What is in a zip, by name, in its order; every checksum checked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def unpack(content: bytes, directory: Path, images: Mapping[str, tuple[int, int]]) -> None:
    """Unpack a zip, and put images of these sizes into `images/` beside it, as a person who trains does."""
    for name, data in members(content).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    draw(directory / "images", images)


def draw(directory: Path, images: Mapping[str, tuple[int, int]]) -> None:
    """Make blank images."""
    for name, size in images.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(path, format="PNG")


def label_path(image_path: str) -> str:
    """Where Ultralytics looks for the label of an image: its `img2label_paths`."""
    return "/labels/".join(image_path.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt"


def yolo(directory: Path, folder: str) -> Any:
    """Read one folder of images with their YOLO labels."""
    return Dataset.from_yolo(
        images_directory_path=str(directory / "images" / folder),
        annotations_directory_path=str(directory / "labels" / folder),
        data_yaml_path=str(directory / "data.yaml"),
    )


def voc(directory: Path, folder: str) -> Any:
    """Read one folder of images with their Pascal VOC files."""
    return Dataset.from_pascal_voc(
        images_directory_path=str(directory / "images" / folder),
        annotations_directory_path=str(directory / "Annotations" / folder),
    )


def coco(directory: Path, annotations: Path) -> Any:
    """Read a COCO file."""
    return Dataset.from_coco(images_directory_path=str(directory), annotations_path=str(annotations))


def regions(dataset: Any) -> dict[str, list[tuple[str, list[float]]]]:
    """Class names and boxes `[x1, y1, x2, y2]` by image path, in the order of the file."""
    return {
        path: [
            (dataset.classes[number], [float(value) for value in box])
            for number, box in zip(found.class_id, found.xyxy, strict=True)
        ]
        for path, found in dataset.annotations.items()
    }
