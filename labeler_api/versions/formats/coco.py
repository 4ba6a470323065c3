"""COCO (contract#coco; https://cocodataset.org/#format-data), one task a file.

Boxes and polygons are COCO's own. A circle, a polyline and a rotated box are carried by the upright box around them,
with their exact shape in a member of its own (`circle`, `polyline`, `geometry`), which readers of COCO pass over.
`classification` and `no_object` have no region and therefore no entry among the annotations: their images are listed,
and the classes of an image as a whole stand in its `category_ids`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from labeler_api.versions.formats import shapes
from labeler_api.versions.formats.source import KST, Annotation, Header, LabeledImage, VersionSource
from labeler_api.versions.formats.writing import Array, closing, members, opening


async def render(source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Yield the file, piece by piece."""
    header = source.header
    yield opening({"info": _info(header), "licenses": [{"id": 1, "name": "Unknown License", "url": ""}]})
    async for piece in _images(source):
        yield piece
    async for piece in _annotations(source):
        yield piece
    yield members({"categories": _categories(header)})
    yield closing()


async def _images(source: VersionSource) -> AsyncGenerator[bytes, None]:
    array = Array("images")
    yield array.begin()
    number = 0
    async with aclosing(source.images()) as images:
        async for image in images:
            number += 1
            yield array.item(_image(number, image, source.header))
    yield array.end()


async def _annotations(source: VersionSource) -> AsyncGenerator[bytes, None]:
    array = Array("annotations")
    yield array.begin()
    number, image_id = 0, None
    async with aclosing(source.annotations()) as annotations:
        async for annotation in annotations:
            if annotation.image_id != image_id:
                number, image_id = number + 1, annotation.image_id
            region = _region(annotation)
            if region is not None:
                yield array.item(_annotation(annotation, number, region, source.header))
    yield array.end()


def _info(header: Header) -> dict[str, Any]:
    made = header.version_created_at.astimezone(KST)
    return {
        "description": header.project_description or f"Annotations of {header.project_name}",
        "url": "",
        "version": "1.0",
        "year": made.year,
        "contributor": "",
        "date_created": made.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _image(number: int, entry: LabeledImage, header: Header) -> dict[str, Any]:
    image = {
        "id": number,
        "file_name": entry.image.file_name,
        "width": entry.image.width,
        "height": entry.image.height,
        "license": 1,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": "",
    }
    if entry.labels:
        image["category_ids"] = sorted({header.classes.number(label) + 1 for label in entry.labels})
    return image


def _annotation(annotation: Annotation, image: int, region: dict[str, Any], header: Header) -> dict[str, Any]:
    return {
        "id": annotation.id,
        "image_id": image,
        "category_id": header.classes.number(annotation.class_id) + 1,
        "bbox": region.pop("bbox"),
        "area": region.pop("area"),
        "segmentation": region.pop("segmentation", []),
        "iscrowd": 0,
        **region,
    }


def _region(annotation: Annotation) -> dict[str, Any] | None:
    """Return `bbox`, `area` and what else the shape has; None for what COCO has no place for."""
    geometry = annotation.geometry
    match annotation.annotation_type:
        case "bbox":
            return _boxed(shapes.box_of(geometry))
        case "polygon":
            return _ringed(shapes.ring_of(geometry))
        case "polyline":
            points = shapes.points_of(geometry)
            return {"bbox": shapes.around(points), "area": 0.0, "polyline": shapes.flat(points)} if points else None
        case "circle":
            return _circle(geometry)
        case "rotated_bbox":
            region = _boxed(shapes.rotated_box_of(geometry))
            return region and {**region, "geometry": geometry}
    return None


def _boxed(box: shapes.Box | None) -> dict[str, Any] | None:
    return {"bbox": box, "area": shapes.box_area(box)} if box else None


def _ringed(ring: list[shapes.Point] | None) -> dict[str, Any] | None:
    if ring is None:
        return None
    return {"bbox": shapes.around(ring), "area": shapes.ring_area(ring), "segmentation": [shapes.flat(ring)]}


def _circle(geometry: dict[str, Any]) -> dict[str, Any] | None:
    circle = shapes.circle_of(geometry)
    if circle is None:
        return None
    center, radius = circle
    return {
        "bbox": shapes.around_circle(center, radius),
        "area": shapes.circle_area(radius),
        "circle": {"center": center, "radius": radius},
    }


def _categories(header: Header) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": entry.name, "supercategory": entry.supercategory}
        for number, entry in enumerate(header.classes.classes, start=1)
    ]
