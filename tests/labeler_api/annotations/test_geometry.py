"""The shape of each type's geometry."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_api.annotations.geometry import MAX_POINTS, check_geometry
from labeler_api.errors import Invalid
from tests.fixtures.annotating import box, create_annotation, project_with_members
from tests.fixtures.api import Api

SIZE = {"image_width": 640, "image_height": 480}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("bbox", {"type": "bbox", "bbox": [1, 2, 3, 4], **SIZE}),
    ("bbox", {"type": "bbox", "bbox": [-20.5, 2, 3, 4], "area": 12}),
    ("bbox", {"bbox": [1, 2, 3, 4], "image_width": None}),
    ("bbox", {"x": 1, "y": 2, "width": 3, "height": 4}),
    ("bbox", {"type": "rectangle", "bbox": [1, 2, 3, 4]}),
    ("rotated_bbox", {}),
    ("rotated_bbox", {"type": "rotated_bbox", "points": [[1, 2]], "angle": 0.5}),
    ("polygon", {"type": "polygon", "points": [[0, 0], [1, 0], [1, 1]], **SIZE}),
    ("polygon", {"points": [[0, 0], [1, 0], [1, 1]]}),
    ("polygon", {"points": [[0, 0]] * MAX_POINTS}),
    ("polyline", {"type": "polyline", "points": [[0, 0], [1, 0.25]], **SIZE}),
    ("circle", {"type": "circle", "center": [5, 5], "radius": 0.5, **SIZE}),
    ("classification", {"type": "classification", "labels": ["a"], "confidence": 0.5}),
    ("classification", {}),
    ("no_object", {"type": "no_object"}),
]
BAD: list[tuple[str, str, list[str | int]]] = [
    ("bbox", "null", []),
    ("bbox", "[1, 2, 3, 4]", []),
    ("bbox", "{}", ["bbox"]),
    ("bbox", '{"bbox": [1, 2, 3]}', ["bbox"]),
    ("bbox", '{"bbox": [1, 2, 3, 4, 5]}', ["bbox"]),
    ("bbox", '{"bbox": [1, 2, 0, 4]}', ["bbox", 2]),
    ("bbox", '{"bbox": [1, 2, 3, -4]}', ["bbox", 3]),
    ("bbox", '{"bbox": [1, 2, 3, "4"]}', ["bbox", 3]),
    ("bbox", '{"bbox": [1, 2, 3, null]}', ["bbox", 3]),
    ("bbox", '{"bbox": [1, 2, 3, true]}', ["bbox", 3]),
    ("bbox", '{"x": 1, "y": 2, "width": 3}', ["height"]),
    ("bbox", '{"bbox": [1, 2, 3, 4], "image_width": -1}', ["image_width"]),
    ("bbox", '{"bbox": [1, 2, 3, 4], "type": "polygon"}', ["type"]),
    ("bbox", '{"bbox": [1, 2, 3, 4], "type": 1}', ["type"]),
    ("polygon", '{"points": [[0, 0], [1, 0]]}', ["points"]),
    ("polygon", '{"points": [[0, 0], [1, 0], [1]]}', ["points", 2]),
    ("polygon", '{"points": [[0, 0], [1, 0], [1, 2, 3]]}', ["points", 2]),
    ("polygon", '{"points": {"0": [0, 0]}}', ["points"]),
    ("polyline", '{"points": [[0, 0]]}', ["points"]),
    ("circle", '{"center": [1, 2]}', ["radius"]),
    ("circle", '{"center": [1, 2], "radius": 0}', ["radius"]),
    ("circle", '{"center": [1], "radius": 1}', ["center"]),
    ("bbox", '{"bbox": [1, 2, 1e308, 4]}', ["bbox", 2]),
    ("bbox", '{"bbox": [-1e8, 2, 3, 4]}', ["bbox", 0]),
    ("bbox", '{"x": 1e8, "y": 2, "width": 3, "height": 4}', ["x"]),
    ("bbox", '{"bbox": [1, 2, 3, 4], "image_width": 1e300}', ["image_width"]),
    ("polygon", '{"points": [[0, 0], [1, 1e8], [1, 1]]}', ["points", 1, 1]),
    ("circle", '{"center": [1, 2], "radius": 1e308}', ["radius"]),
    ("rotated_bbox", '{"points": [[1e308, 2]]}', ["points", 0, 0]),
    ("classification", '"none"', []),
    ("rotated_bbox", '{"points": [1, 2]}', ["points", 0]),
]


@pytest.mark.parametrize(("annotation_type", "geometry"), GOOD)
def test_good(annotation_type: str, geometry: dict[str, Any]) -> None:
    check_geometry(annotation_type, msgspec.Raw(msgspec.json.encode(geometry)))


@pytest.mark.parametrize(("annotation_type", "text", "place"), BAD)
def test_bad(annotation_type: str, text: str, place: list[str | int]) -> None:
    with pytest.raises(Invalid) as caught:
        check_geometry(annotation_type, msgspec.Raw(text))
    errors: Any = caught.value.extra["errors"]
    assert errors[0]["loc"] == ["body", "geometry", *place]


@pytest.mark.parametrize("annotation_type", ["polygon", "polyline", "rotated_bbox"])
def test_too_many_points(annotation_type: str) -> None:
    with pytest.raises(Invalid):
        check_geometry(annotation_type, msgspec.Raw(msgspec.json.encode({"points": [[0, 0]] * (MAX_POINTS + 1)})))


@pytest.mark.parametrize("text", ['{"bbox": [1, 2, 1e400, 4]}', '{"bbox": [1, 2, 3, 4], "area": -1e999}'])
def test_numbers_beyond_all_bounds(text: str) -> None:
    with pytest.raises(Invalid):
        check_geometry("bbox", msgspec.Raw(text))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["bbox", "points", "type", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.sampled_from([annotation_type for annotation_type, _ in GOOD]), json_values)
def test_anything_is_good_or_says_why(annotation_type: str, value: object) -> None:
    # Any other exception would be a 500.
    with contextlib.suppress(Invalid):
        check_geometry(annotation_type, msgspec.Raw(msgspec.json.encode(value)))
        assert isinstance(value, dict)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "bbox", "bbox": [NaN, 2, 3, 4]}',
        '{"type": "bbox", "bbox": [Infinity, 2, 3, 4]}',
        '{"type": "bbox", "bbox": [1e400, 2, 3, 4]}',
        '{"type": "bbox", "bbox": [1, 2, 3, 4], "deep": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"type": "polygon", "points": [[1, 2], [3, 4]]}',
    ],
)
async def test_over_http(api: Api, text: str) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = msgspec.json.encode(box(dataset, geometry="@")).replace(b'"@"', text.encode())
    response = await client.post("/api/v1/annotations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"]


async def test_it_is_kept_as_it_was_sent(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    geometry = {"type": "Box 2", "bbox": [0.1, 2.0, 3, 1234567.123456789], "more": {"ü": [None, True, "x"]}}
    body = await create_annotation(client, box(dataset, geometry=geometry))
    assert body["geometry"] == geometry
    await client.put(f"/api/v1/annotations/{body['id']}", json={"notes": "x"})
    assert (await client.get(f"/api/v1/annotations/{body['id']}")).json()["geometry"] == geometry


NAMED_POLYGON = {"type": "polygon", "points": [[0, 0], [1, 0.25]], **SIZE, "tool": {"name": "arrow key"}}


async def test_a_polyline_that_is_called_a_polygon_is_stored_as_what_it_is(api: Api) -> None:
    """The frontend does so when a point is moved by an arrow key, and shows success whatever the answer is."""
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    stored = {**NAMED_POLYGON, "type": "polyline"}
    one = await create_annotation(client, box(dataset, annotation_type="polyline", geometry=NAMED_POLYGON))
    assert one["geometry"] == stored
    moved = {**NAMED_POLYGON, "points": [[0, 0], [1, 1.25]]}
    answer = await client.put(f"/api/v1/annotations/{one['id']}", json={"geometry": moved})
    assert answer.status_code == 200, answer.text
    assert answer.json()["geometry"] == {**moved, "type": "polyline"}, answer.text
    listed = await client.get(f"/api/v1/annotations/project/{dataset.project_id}")
    assert [found["geometry"] for found in listed.json()] == [{**moved, "type": "polyline"}]
    batch = [box(dataset, annotation_type="polyline", geometry=NAMED_POLYGON)]
    assert (await client.post("/api/v1/annotations/batch", json={"annotations": batch})).json()["created"] == 1
    listed = await client.get(f"/api/v1/annotations/project/{dataset.project_id}")
    assert {found["geometry"]["type"] for found in listed.json()} == {"polyline"}


async def test_a_polygon_is_no_polyline(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    points = [[0, 0], [1, 0], [1, 1]]
    body = box(dataset, annotation_type="polygon", geometry={"type": "polyline", "points": points})
    assert (await client.post("/api/v1/annotations", json=body)).status_code == 422
