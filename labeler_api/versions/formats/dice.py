"""DICE, the Platform's own file format (contract#dice), not the Dice score: classes, annotated images, statistics."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

from labeler_api.versions.formats import shapes
from labeler_api.versions.formats.source import CLASSIFICATION, KST, NO_OBJECT, Annotation, Header, VersionSource
from labeler_api.versions.formats.writing import Array, closing, members, opening

Geometry = Mapping[str, Any]

_TASKS = {
    "detection": "object_detection",
    "segmentation": "instance_segmentation",
    "keypoint": "keypoint_detection",
    "keypoints": "keypoint_detection",
    "line": "line_detection",
    "geometry": "geometry_detection",
}
_BACKGROUND = "__background__"
_CHANNELS = 3
_SPLIT = "train"
_IMAGE_DEPTH = 2  # images stand in an array of the top object


async def render(source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Yield the file, piece by piece."""
    header = source.header
    distribution: Counter[str] = Counter()
    yield opening(_top(header))
    images = _Images(header)
    async with aclosing(source.annotations()) as annotations:
        for piece in images.begin():
            yield piece
        async for annotation in annotations:
            distribution[_class_of(annotation, header)[1]] += 1
            for piece in images.add(annotation):
                yield piece
        for piece in images.end():
            yield piece
    yield members({"statistics": _statistics(header, distribution)})
    yield closing()


class _Images:
    """The array of images; one is open at a time, and closed when the next one's first annotation comes."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._images = Array("images")
        self._annotations = Array("annotations", _IMAGE_DEPTH)
        self._number = 0
        self._first: Annotation | None = None
        self._confirmed_by: int | None = None

    def begin(self) -> Iterator[bytes]:
        yield self._images.begin()

    def add(self, annotation: Annotation) -> Iterator[bytes]:
        if self._first is None or annotation.image_id != self._first.image_id:
            yield from self._close_image()
            yield from self._open_image(annotation)
        if self._confirmed_by is None:
            self._confirmed_by = annotation.confirmed_by
        yield self._annotations.item(_annotation(annotation, self._number, self._header))

    def end(self) -> Iterator[bytes]:
        yield from self._close_image()
        yield self._images.end()

    def _open_image(self, first: Annotation) -> Iterator[bytes]:
        self._first, self._confirmed_by = first, None
        self._number += 1
        self._annotations = Array("annotations", _IMAGE_DEPTH)
        head = {
            "id": self._number,
            "file_name": first.image.file_name,
            "width": first.image.width,
            "height": first.image.height,
            "depth": _CHANNELS,
            "split": _SPLIT,
        }
        yield self._images.next() + opening(head, _IMAGE_DEPTH) + self._annotations.begin()

    def _close_image(self) -> Iterator[bytes]:
        if self._first is not None:
            metadata = _metadata(self._first, self._confirmed_by, self._header)
            yield self._annotations.end() + members({"metadata": metadata}, _IMAGE_DEPTH) + closing(_IMAGE_DEPTH)


def _top(header: Header) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "dataset_id": header.dataset_id,
        "dataset_name": header.dataset_name,
        "task_type": _TASKS.get(header.task_type, header.task_type),
        "created_at": _korean(header.project_created_at),
        "last_modified_at": _korean(header.version_created_at),
        "version": 1,
        "classes": [
            {"id": number, "name": entry.name, "color": entry.color, "supercategory": entry.supercategory}
            for number, entry in enumerate(header.classes.classes)
        ],
    }


def _metadata(first: Annotation, confirmed_by: int | None, header: Header) -> dict[str, Any]:
    reviewed_at = first.image.confirmed_at
    return {
        "labeled_by": header.emails.get(first.created_by),
        "labeled_at": _korean(first.created_at),
        "reviewed_by": header.emails.get(confirmed_by) if reviewed_at and confirmed_by else None,
        "reviewed_at": _korean(reviewed_at) if reviewed_at else None,
        "source": "platform_labeler_v1.0",
    }


def _annotation(annotation: Annotation, image: int, header: Header) -> dict[str, Any]:
    class_id, class_name = _class_of(annotation, header)
    return {
        "id": annotation.id,
        "image_id": image,
        "class_id": class_id,
        "class_name": class_name,
        "attributes": annotation.attributes,
        **_shape(annotation),
    }


def _class_of(annotation: Annotation, header: Header) -> tuple[int, str]:
    if annotation.annotation_type == NO_OBJECT:
        return -1, _BACKGROUND
    return header.classes.number(annotation.class_id), header.classes.name(annotation.class_id)


def _shape(annotation: Annotation) -> dict[str, Any]:
    """Tell the shape; as it is stored where it has not the form that its type should have."""
    kind = annotation.annotation_type
    if kind == CLASSIFICATION:
        return {}
    if kind == NO_OBJECT:
        return {"is_background": True}
    told = _TELLERS[kind](annotation.geometry) if kind in _TELLERS else None
    return told or {"type": kind, "geometry": annotation.geometry}


def _bbox(geometry: Geometry) -> dict[str, Any] | None:
    box = shapes.box_of(geometry)
    return {**_box(box), "area": shapes.box_area(box), "iscrowd": 0} if box else None


def _polygon(geometry: Geometry) -> dict[str, Any] | None:
    ring = shapes.ring_of(geometry)
    if ring is None:
        return None
    region = {**_box(shapes.around(ring)), "area": shapes.ring_area(ring), "iscrowd": 0}
    return {"segmentation": [shapes.flat(ring)], **region}


def _polyline(geometry: Geometry) -> dict[str, Any] | None:
    points = shapes.points_of(geometry)
    if points is None:
        return None
    # Fewer than two points are no line: readers want the member empty and nothing beside it.
    return {"polyline": shapes.flat(points), **_box(shapes.around(points))} if len(points) > 1 else {"polyline": []}


def _circle(geometry: Geometry) -> dict[str, Any] | None:
    circle = shapes.circle_of(geometry)
    if circle is None:
        return None
    center, radius = circle
    box = _box(shapes.around_circle(center, radius))
    return {"circle": {"center": center, "radius": radius}, **box, "area": shapes.circle_area(radius)}


_TELLERS: Mapping[str, Callable[[Geometry], dict[str, Any] | None]] = {
    "bbox": _bbox,
    "polygon": _polygon,
    "polyline": _polyline,
    "circle": _circle,
}


def _box(box: shapes.Box) -> dict[str, Any]:
    return {"bbox": box, "bbox_format": "xywh"}


def _statistics(header: Header, distribution: Counter[str]) -> dict[str, Any]:
    names = [*(entry.name for entry in header.classes.classes), _BACKGROUND]
    images, annotations = header.image_count, header.annotation_count
    return {
        "total_images": images,
        "total_annotations": annotations,
        "avg_annotations_per_image": round(annotations / images, 2) if images else 0,
        "class_distribution": {name: distribution[name] for name in names if distribution[name]},
        "split_distribution": {_SPLIT: images} if images else {},
    }


def _korean(moment: datetime) -> str:
    return moment.astimezone(KST).isoformat()
