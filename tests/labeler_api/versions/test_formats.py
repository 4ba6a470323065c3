"""The formats as pure functions: what they write for one source that has a bit of everything."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labeler_api.versions.formats import COCO, DICE, Format
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Image
from tests.fixtures.accounts import ANNOTATOR, REVIEWER
from tests.fixtures.export_sources import Given, made, written

GOLDEN = {name: Path(__file__).with_name(f"golden_{name}.json") for name in ("dice", "coco")}
CONFIRMED = datetime(2026, 11, 21, tzinfo=UTC)
CONFIRMED_IMAGE = Image("b/2.png", 0, 0, CONFIRMED)
EVERYTHING = [
    made(11, "a/1", "bbox", {"bbox": [1, 2, 30.25, 4]}, attributes=msgspec.Raw(b'{"note":"line\\nbreak"}')),
    made(12, "a/1", "bbox", {"x": 1, "y": 2, "width": 3, "height": 4}, class_id="a"),
    made(13, "b/2", "polygon", {"points": [[0, 0], [4, 0], [4, 3]]}, image=CONFIRMED_IMAGE, created_by=99),
    made(14, "b/2", "polyline", {"points": [[0.1, 0], [3.3, 5]]}, image=CONFIRMED_IMAGE, confirmed_by=REVIEWER.id),
    made(15, "b/2", "polyline", {"points": [[1, 1]]}, image=CONFIRMED_IMAGE, confirmed_by=ANNOTATOR.id),
    made(16, "b/2", "circle", {"center": [10, 10], "radius": 2.5}, image=CONFIRMED_IMAGE),
    made(17, "c", "classification", {"type": "classification"}, class_id="gone", class_name="Old name"),
    made(18, "c", "classification", {"type": "classification"}, class_id="a"),
    made(19, "d", "no_object", {"type": "no_object"}, class_id=None),
    made(20, "e", "rotated_bbox", {"points": [[1, 0], [2, 1], [1, 2], [0, 1]], "angle": 45}, class_id=None),
    made(21, "e", "bbox", {"type": "bbox"}),
]
LISTED: dict[str, dict[str, Any]] = {
    "b": {"name": "second", "color": "#fff", "order": 1},
    "a": {"name": "first", "supercategory": "zip"},
}


@pytest.mark.parametrize("kind", [DICE, COCO], ids=lambda kind: str(kind.name))
async def test_the_file_is_the_golden_one_byte_for_byte(kind: Format) -> None:
    golden = GOLDEN[kind.name].read_bytes()

    assert (await written(kind, Given(EVERYTHING, LISTED))).decode() == golden.decode()
    assert json.dumps(json.loads(golden), indent=2, ensure_ascii=False) == golden.decode()


@pytest.mark.parametrize("kind", [DICE, COCO])
async def test_nothing_at_all_is_a_whole_document_too(kind: Format) -> None:
    document = json.loads(await written(kind, Given([], {}, project_description="About")))

    assert document["images"] == []
    assert document.get("statistics", {}).get("total_annotations", 0) == 0
    assert document.get("info", {}).get("description", "About") == "About"


@pytest.mark.parametrize(
    ("kind", "geometry"),
    [
        ("bbox", {"bbox": [1, 2, 3]}),
        ("bbox", {"bbox": "all of it"}),
        ("bbox", {"x": 1, "y": 2, "width": None, "height": 4}),
        ("polygon", {"points": [[0, 0], [1, 1]]}),
        ("polygon", {"points": [[0, 0], [1, 1], ["a", 2]]}),
        ("circle", {"center": [1], "radius": 3}),
        ("circle", {"center": [1, 2]}),
        ("polyline", {}),
        ("somewhat", {"deep": [{"list": True}]}),
    ],
)
async def test_an_old_geometry_of_another_shape_is_carried_as_it_is(kind: str, geometry: dict[str, Any]) -> None:
    source = Given([made(1, "a", kind, geometry)], LISTED)

    dice = json.loads(await written(DICE, source))
    coco = json.loads(await written(COCO, source))

    told = dice["images"][0]["annotations"][0]
    assert told["type"] == kind
    assert told["geometry"] == geometry
    assert len(coco["images"]) == 1
    assert coco["annotations"] == []


def test_classes_are_numbered_by_order_and_id() -> None:
    listed: dict[str, dict[str, Any]] = {
        "z": {"order": 0},
        "b": {"order": 1, "name": "B"},
        "a": {"order": 1},
        "old": {},
    }
    classes = ClassList(listed, [("y", None), (None, None), ("x", "X"), ("b", "B")])

    assert [entry.class_id for entry in classes.classes] == ["old", "z", "a", "b", "x", "y", None]
    assert [entry.name for entry in classes.classes] == ["old", "z", "a", "B", "X", "y", "unknown"]
    assert classes.number("b") == 3
