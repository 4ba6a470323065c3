"""COCO files as other tools write them."""

import json
from typing import Any

import pytest

from tests.fixtures.annotation_files import CATEGORIES, boxes, coco
from tests.fixtures.import_reading import read

RING = [1, 1, 100, 1, 50, 80.5]
RLE = {"size": [480, 640], "counts": "abc"}


def test_boxes_and_outlines() -> None:
    found = read(coco([*boxes(1), {"bbox": [1, 1, 99, 79.5], "segmentation": [RING], "category_id": 7}]))
    assert found.shapes == [
        {"image_width": 640, "image_height": 480, "type": "bbox", "bbox": [10, 20, 30, 40]},
        {"image_width": 640, "image_height": 480, "type": "polygon", "points": [[1, 1], [100, 1], [50, 80.5]]},
    ]
    assert [draft["task_type"] for draft in found.drafts] == ["detection", "segmentation"]
    assert [draft["class_name"] for draft in found.drafts] == ["scratch", "dent"]
    assert found.images == ["train/good/0000.jpg"]
    assert found.messages == []
    assert found.warnings == []


def test_each_ring_becomes_a_polygon() -> None:
    found = read(coco([{"segmentation": [RING, RING[::-1]]}, {"segmentation": RING}]))
    assert [draft["annotation_type"] for draft in found.drafts] == ["polygon"] * 3
    assert found.warnings == ["1 annotation has an outline of several rings; each ring became a polygon of its own."]


def test_a_project_with_boxes_alone_takes_boxes() -> None:
    content = coco([{"bbox": [1, 1, 99, 79.5], "segmentation": outline} for outline in ([RING], RLE, [])])
    found = read(content, ["detection"])
    assert [draft["annotation_type"] for draft in found.drafts] == ["bbox"] * 3
    assert found.warnings[0].startswith("2 annotations have an outline and a box.")
    assert [draft["annotation_type"] for draft in read(content, []).drafts] == ["polygon", "bbox"]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": [1, 1, 9, 9], "segmentation": RLE}, "the counts of its mask (RLE) end within a number"),
        ({}, "it has neither a box nor an outline"),
        ({"bbox": [1, 2, 3]}, "its bbox has not four numbers"),
        ({"bbox": [1, 2, 0, 4]}, "geometry.bbox"),
        ({"bbox": [1, 2, "3", 4]}, "bbox.2: has to be a number"),
        ({"bbox": [1, 2, 1e999, 4]}, "is out of range"),
        ({"segmentation": [[1, 2, 3, 4]]}, "an outline needs three points or more"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "it has an x without its y"),
        ({"segmentation": [[0.5, 1.5] * 10_001]}, "geometry.points"),
        ({"segmentation": "polygon"}, "has to be a list"),
        ({"bbox": [1, 2, 3, 4], "category_id": 5}, "its class 5 is not among the categories"),
        ({"bbox": [1, 2, 3, 4], "image_id": "2"}, "its image_id 2 is not among the images"),
        ({"bbox": [1, 2, 3, 4], "image_id": 1.5}, "1.5 is no id"),
        ({"bbox": [1, 2, 3, 4], "attributes": [1]}, "attributes"),
        ({"bbox": [1, 2, 3, 4], "attributes": {"a\0": 1}}, "NUL"),
    ],
)
def test_what_is_wrong_is_named(annotation: dict[str, Any], message: str) -> None:
    written = json.dumps({"id": 1, "image_id": 1, "category_id": 1, **annotation}).replace("Infinity", "1e999")
    found = read(coco([]).replace(b'"annotations":[]', b'"annotations":[%s]' % written.encode()))
    ((place, told),) = found.messages
    assert place == "annotations[0]"
    assert message in told


def test_a_file_without_categories_defines_its_classes_by_use() -> None:
    found = read(coco([{"bbox": [1, 2, 3, 4], "category_id": 9}, *boxes(1)], categories=[]))
    assert [entry.name for entry in found.classes] == ["9", "1"]
    assert read(coco([{"bbox": [1, 2, 3, 4], "category_id": None}])).drafts[0]["class_position"] is None


def test_twice_the_same_id_is_an_error() -> None:
    content = coco(boxes(1), categories=[*CATEGORIES, CATEGORIES[0]])
    assert read(content).messages == [("categories[2].id", "1 is the id of another one, too")]
    content = coco(boxes(1)).replace(b'"images":[', b'"images":[{"id":1,"file_name":"other.jpg"},')
    assert read(content).messages == [("images[1].id", "1 is the id of another image, too")]


def test_bad_entries_are_named() -> None:
    content = coco(boxes(1), categories=[{"name": "without id"}, {"id": 1, "name": "x" * 300}])
    places = [place for place, _ in read(content).messages]
    assert places == ["categories[0]", "class 1"]
    assert read(coco([]).replace(b'"annotations":[]', b'"annotations":[7,null]')).count == 2


def test_ten_thousand_annotations_are_the_most_of_an_image() -> None:
    found = read(coco(boxes(*[1] * 10_001)))
    assert found.messages == [("train/good/0000", "has 10001 annotations; 10000 are the most that an image may have")]
