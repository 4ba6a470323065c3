"""DICE files: the annotations stand inside their images, and every type has its own form."""

from typing import Any

import pytest

from tests.fixtures.annotation_files import dice
from tests.fixtures.import_reading import read

BOX: dict[str, Any] = {"bbox": [1, 2, 3, 4], "bbox_format": "xywh", "area": 12, "iscrowd": 0}


def image(*annotations: dict[str, Any], name: str = "a/1.jpg") -> dict[str, Any]:
    return {"id": 1, "file_name": name, "width": 640, "height": 480, "annotations": list(annotations)}


def of(class_id: Any = 0, name: str | None = "scratch", **shape: Any) -> dict[str, Any]:
    return {"id": 9, "image_id": 1, "class_id": class_id, "class_name": name, "attributes": {}, **shape}


def test_every_type_has_its_form() -> None:
    shapes: dict[str, dict[str, Any]] = {
        "bbox": BOX,
        "polygon": {"segmentation": [[0, 0, 4, 0, 4, 3]], "bbox": [0, 0, 4, 3], "bbox_format": "xywh"},
        "polyline": {"polyline": [0, 0, 4, 3], "bbox": [0, 0, 4, 3]},
        "circle": {"circle": {"center": [5, 6], "radius": 2.5}, "bbox": [2.5, 3.5, 5, 5]},
        "rotated_bbox": {"type": "rotated_bbox", "geometry": {"points": [[0, 0], [1, 1]], "angle": 3}},
    }
    found = read(dice([image(*(of(**shape) for shape in shapes.values()))]))
    assert found.messages == []
    assert [draft["annotation_type"] for draft in found.drafts] == list(shapes)
    sized = {"image_width": 640, "image_height": 480}
    assert found.shapes[1:4] == [
        sized | {"type": "polygon", "points": [[0, 0], [4, 0], [4, 3]]},
        sized | {"type": "polyline", "points": [[0, 0], [4, 3]]},
        sized | {"type": "circle", "center": [5, 6], "radius": 2.5},
    ]
    assert found.shapes[4]["angle"] == 3


def test_whole_images_and_images_without_anything() -> None:
    found = read(dice([image(of(1, "dent", attributes={"sure": True}))], "classification"))
    (draft,) = found.drafts
    assert draft["annotation_type"] == "classification"
    assert draft["class_name"] == "dent"
    assert draft["attributes"] == {"sure": True}
    nothing = {"class_id": -1, "class_name": "__background__", "is_background": True}
    told = {**nothing, "attributes": {"task_type": "segmentation", "n": 1}}
    found = read(dice([image({**nothing, "attributes": {}}, told)]))
    assert [(draft["annotation_type"], draft["task_type"]) for draft in found.drafts] == [
        ("no_object", "detection"),
        ("no_object", "segmentation"),
    ]
    assert found.drafts[1]["attributes"] == {"task_type": "segmentation", "n": 1}
    assert {draft["class_name"] for draft in found.drafts} == {"__background__"}
    assert found.shapes == [{"type": "no_object"}] * 2


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (of(), "it has no shape, and the file is about detection"),
        (of(5, None, **BOX), "its class 5 is not among the classes"),
        (of(1, "scratch", **BOX), "its class 1 is 'dent', and not 'scratch'"),
        (of(**BOX, attributes=None, polyline=[1]), "it has an x without its y"),
        (of(polyline=[1, 2]), "geometry.points"),
        (of(bbox=[1, 2, 3, 4], bbox_format="xyxy"), "'xyxy' and has to be xywh"),
        (of(type="keypoints", geometry={}), "The annotation type has to be one of"),
        (of(type="bbox", geometry={"bbox": "all"}), "geometry.bbox"),
        (of(circle={"center": [1, 2], "radius": 0}), "geometry.radius"),
    ],
)
def test_what_is_wrong_is_named(annotation: dict[str, Any], message: str) -> None:
    ((place, told),) = read(dice([image(), image(annotation)])).messages
    assert place == "images[1].annotations[0]"
    assert message in told


def test_bad_images_are_named() -> None:
    found = read(dice([{"id": 1}, image(of(**BOX))]))
    assert found.messages == [("images[0]", "file_name: is missing")]
    assert len(found.drafts) == 1
