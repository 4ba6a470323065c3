"""Old rows may hold coordinates of any size: what is written of them is finite, and every tool can read it."""

import json
import math
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from labeler_api.annotations.geometry import MAX_PIXELS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.readers import members
from tests.fixtures.versions import BOX, CLASSES, annotate, annotation, downloaded, published

HUGE = 1e308
GEOMETRIES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "detection": [
        ("bbox", {"type": "bbox", "bbox": [HUGE, HUGE, HUGE, HUGE]}),
        ("bbox", {"type": "bbox", "bbox": [-HUGE, 1, HUGE, 1]}),
        ("bbox", {"x": 1, "y": 1, "width": HUGE, "height": HUGE}),
        ("rotated_bbox", {"type": "rotated_bbox", "cx": 1, "cy": 1, "width": HUGE, "height": HUGE, "angle": 1}),
        ("rotated_bbox", {"type": "rotated_bbox", "points": [[HUGE, 0], [0, HUGE], [-HUGE, 0], [0, -HUGE]]}),
    ],
    "segmentation": [("polygon", {"type": "polygon", "points": [[HUGE, 0], [0, HUGE], [-HUGE, -HUGE]]})],
}


async def _files(api: Api, dataset: Dataset, task: str, name: str) -> dict[str, bytes]:
    version = await published(await api.login("owner"), dataset, task_type=task, export_format=name)
    answer = await downloaded(api, version)
    assert answer.status_code == 200
    return members(answer.content) if answer.content.startswith(b"PK") else {"file.json": answer.content}


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("task", GEOMETRIES)
@pytest.mark.parametrize("name", ["dice", "coco", "yolo", "voc"])
async def test_huge_coordinates_of_old_rows(api: Api, task: str, name: str) -> None:
    classes = {task: CLASSES["detection"]}
    dataset = await api.dataset(tasks=[task], images=1, classes=classes)
    (image,) = dataset.image_ids
    good = (
        ("bbox", BOX) if task == "detection" else ("polygon", {"type": "polygon", "points": [[1, 1], [9, 1], [9, 9]]})
    )
    sized = {"image_width": 640, "image_height": 480}
    rows = [annotation(image, kind, {**shape, **sized}) for kind, shape in [*GEOMETRIES[task], good]]
    await annotate(api, dataset, *rows)

    found = await _files(api, dataset, task, name)

    lines = 0
    for path, content in found.items():
        if path.endswith(".json"):
            read = json.loads(content, parse_constant=pytest.fail)
            assert all(map(math.isfinite, _numbers(read))), path
            if name == "coco":
                lines += len(read["annotations"])
                assert all(abs(number) <= MAX_PIXELS**2 for number in _numbers(read["annotations"]))
        elif path.endswith(".xml"):
            boxes = ElementTree.fromstring(content).findall(".//bndbox")
            lines += len(boxes)
            assert all(0 <= float(edge.text or "x") <= 640 for box in boxes for edge in box), content
        elif "/labels/" in f"/{path}" and path.endswith(".txt"):
            for line in content.decode().splitlines():
                lines += 1
                number, *values = line.split()
                assert number.isdigit(), line
                assert all(0 <= float(value) <= 1 for value in values), line
    assert name == "dice" or lines == 1, found  # the good one
