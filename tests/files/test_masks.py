"""Masks of COCO (RLE) become polygons; pycocotools writes them, and says whether the polygons are the same mask."""

import warnings
from typing import Any

import msgspec
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from numpy.typing import NDArray
from pycocotools import mask as official

from labeler_api.imports.readers import masks
from labeler_api.imports.readers.masks import Masks
from labeler_api.imports.readers.outlines import MalformedShape
from tests.fixtures.annotation_files import annotations, coco, take
from tests.fixtures.api import Api

Pixels = NDArray[numpy.uint8]


def compressed(pixels: Pixels) -> dict[str, Any]:
    found = official.encode(numpy.asfortranarray(pixels))
    return {"size": found["size"], "counts": found["counts"].decode()}


def uncompressed(pixels: Pixels) -> dict[str, Any]:
    counts, inside = [0], 0
    for pixel in pixels.T.ravel().tolist():
        if pixel != inside:
            counts.append(0)
            inside = pixel
        counts[-1] += 1
    return {"size": list(pixels.shape), "counts": counts}


def again(rings: list[list[float]], pixels: Pixels) -> Pixels:
    """What pycocotools makes of polygons."""
    with warnings.catch_warnings(action="ignore"):  # of numpy, at how pycocotools makes an array
        found: Pixels = official.decode(official.merge(official.frPyObjects(rings, *pixels.shape)))
    return found


def rings(told: Any, reader: Masks | None = None, *, is_crowd: bool = False) -> list[list[float]]:
    return (reader or Masks()).rings(Raw(msgspec.json.encode(told)), is_crowd=is_crowd)


@st.composite
def drawn(draw: st.DrawFn) -> Pixels:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    flat = draw(st.lists(st.integers(0, 1), min_size=height * width, max_size=height * width))
    return numpy.array(flat, numpy.uint8).reshape(height, width)


@settings(max_examples=150, deadline=None)
@given(pixels=drawn())
def test_a_mask_is_the_same_as_polygons_but_for_its_holes(pixels: Pixels) -> None:
    if not pixels.any():
        with pytest.raises(MalformedShape, match="nothing inside"):
            rings(uncompressed(pixels))
        return
    found = rings(compressed(pixels))
    assert found == rings(uncompressed(pixels))
    back = again(found, pixels)
    reader = Masks()
    if reader.outlined(Raw(msgspec.json.encode(compressed(pixels)))).holes:
        assert (back >= pixels).all()
    else:
        assert (back == pixels).all()


def disc(height: int, width: int, radius: float, hole: float = 0) -> Pixels:
    y, x = numpy.mgrid[:height, :width]
    distance = (y - height / 2) ** 2 + (x - width / 2) ** 2
    found: Pixels = ((distance < radius**2) & (distance >= hole**2)).astype(numpy.uint8)
    return found


def test_what_is_lost_is_told() -> None:
    reader = Masks()
    two = numpy.hstack([disc(60, 60, 20), disc(60, 60, 20, hole=8)])
    assert len(rings(compressed(two), reader, is_crowd=True)) == 2
    large = disc(3000, 3000, 1400)
    [outline] = rings(compressed(large), reader)
    assert 0.999 < again([outline], large).sum() / large.sum() < 1.001
    assert reader.warnings() == [
        "2 annotations are masks (RLE); they became polygons, one for each part.",
        "1 hole of a mask is filled: polygons have none.",
        "1 mask is larger than 2000000 pixels: the outline is exact to 2 pixels.",
        "1 mask is a crowd (iscrowd): its polygons are around many things, not one.",
    ]
    assert Masks().warnings() == []


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"size": [4, 4], "counts": [3, 2]}, "do not add up"),
        ({"size": [4, 4], "counts": [-3, 19]}, "do not add up"),
        ({"size": [4, 4], "counts": []}, "do not add up"),
        ({"size": [0, 4], "counts": [0]}, "do not add up"),
        ({"size": [-4, -4], "counts": [0, 16]}, "do not add up"),
        ({"size": [10**9, 10**9], "counts": [0, 10**18]}, "larger than"),
        ({"size": [2**40, 2], "counts": [2**40 - 1, 2, 2**40 - 1]}, "larger than"),
        ({"size": [4, 4], "counts": "é"}, "not those of pycocotools"),
        ({"size": [4, 4], "counts": "oooooooooooooooooooooooo"}, "not those of pycocotools"),
        ({"size": [4, 4], "counts": "o"}, "end within a number"),
        ({"size": [4, 4], "counts": "33"}, "do not add up"),
        ({"size": [1000, 1001], "counts": [0] + [1] * 1_001_000}, "more than 1000000 runs"),
        ({"size": [4, 4], "counts": "0" * 3_000_001}, "more than 1000000 runs"),
    ],
)
def test_counts_are_not_believed(told: Any, reason: str) -> None:
    with pytest.raises(MalformedShape, match=reason):
        rings(told)


def test_noise_and_a_flood_of_large_masks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    checkered = (numpy.indices((90, 90)).sum(axis=0) % 7 == 0).astype(numpy.uint8)
    checkered[::2] = 0
    monkeypatch.setattr(masks, "_MOST_PARTS", 100)
    with pytest.raises(MalformedShape, match="more than 100 parts"):
        rings(compressed(checkered))
    monkeypatch.setattr(masks, "_ALL_PIXELS", 10_000)
    reader = Masks()
    told = compressed(disc(80, 100, 30))
    assert [rings(told, reader) for _ in range(2)]
    with pytest.raises(MalformedShape, match="import it in parts"):
        rings(told, reader)


async def test_masks_of_a_file_are_imported(api: Api) -> None:
    dataset = await api.dataset(images=1, tasks=["segmentation"])
    name = f"{dataset.image_ids[0]}.jpg"
    two = numpy.zeros((480, 640), numpy.uint8)
    two[10:20, 30:50] = two[100:140, 200:220] = 1
    crowd = {"bbox": [30, 10, 190, 130], "iscrowd": 1, "segmentation": uncompressed(two)}
    content = coco([{"segmentation": compressed(two)}, crowd], images=[name])
    answer = await take(api, dataset, content)
    found = await annotations(api, dataset)
    boxes = []
    for one in found:
        xs, ys = zip(*one["geometry"]["points"], strict=True)
        boxes.append([min(xs), min(ys), max(xs), max(ys)])
    assert sorted(boxes) == [[30, 10, 50, 20]] * 2 + [[200, 100, 220, 140]] * 2
    assert any("masks (RLE)" in warning for warning in answer["report"]["warnings"])
