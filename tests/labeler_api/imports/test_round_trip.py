"""What our own exports carry comes back: written by the real formats, read by the real readers."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_api.text.names import is_unseen
from labeler_api.versions.formats import COCO, DICE, YOLO, Format
from labeler_api.versions.formats.source import Image
from tests.fixtures.annotation_files import annotations
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.export_sources import Given, made, written
from tests.fixtures.import_reading import Read, read
from tests.fixtures.versions import annotate, annotation, downloaded, published

EXAMPLES = 60
WIDTH, HEIGHT = 640, 480

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and not any(map(is_unseen, name))
)
paths = st.lists(
    st.text("ab가._- ", min_size=1, max_size=4).filter(lambda s: s.strip(" .") == s != ""), min_size=1, max_size=3
)
numbers = st.integers(-10_000, 100_000).map(lambda n: n / 100) | st.floats(-1e4, 1e4)
lengths = st.integers(1, 60_000).map(lambda n: n / 100) | st.floats(0.001, 1e4)
points = st.tuples(numbers, numbers).map(list)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)

SHAPES: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "bbox": st.tuples(numbers, numbers, lengths, lengths).map(lambda box: {"type": "bbox", "bbox": list(box)}),
    "polygon": st.lists(points, min_size=3, max_size=6).map(lambda ring: {"type": "polygon", "points": ring}),
    "polyline": st.lists(points, min_size=2, max_size=5).map(lambda line: {"type": "polyline", "points": line}),
    "circle": st.tuples(points, lengths).map(lambda c: {"type": "circle", "center": c[0], "radius": c[1]}),
    "rotated_bbox": st.tuples(st.lists(points, min_size=4, max_size=4), numbers).map(
        lambda r: {"type": "rotated_bbox", "points": r[0], "angle": r[1]}
    ),
    "classification": st.just({"type": "classification"}),
    "no_object": st.just({"type": "no_object"}),
}
TASKS = {
    "detection": ("bbox", "rotated_bbox", "no_object"),
    "segmentation": ("polygon", "no_object"),
    "geometry": ("polyline", "circle", "no_object"),
    "classification": ("classification", "no_object"),
}
CLASSES = st.lists(names, min_size=1, max_size=4)


@st.composite
def sources(draw: st.DrawFn, tasks: tuple[str, ...] = tuple(TASKS)) -> tuple[str, Given, list[dict[str, Any]]]:
    """A task, a source of it, and what should come back."""
    task = draw(st.sampled_from(tasks))
    classes = draw(CLASSES)
    listed = {f"c{n}": {"name": name, "order": n, "color": "#123456"} for n, name in enumerate(classes)}
    image_ids = sorted(draw(st.sets(paths.map("/".join), min_size=1, max_size=3)))
    rows, expected = [], []
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(TASKS[task]))
        image_id, class_number = draw(st.sampled_from(image_ids)), draw(st.integers(0, len(classes) - 1))
        attributes = draw(st.dictionaries(names, json, max_size=2)) | (
            {"task_type": task} if kind == "no_object" else {}
        )
        geometry = draw(SHAPES[kind])
        nothing = kind == "no_object"
        rows.append(
            made(
                number, image_id, kind, geometry,
                class_id=None if nothing else f"c{class_number}",
                attributes=msgspec.Raw(msgspec.json.encode(attributes)),
                image=Image(f"{image_id}.jpg", WIDTH, HEIGHT, None),
            )
        )  # fmt: skip
        expected.append(
            {
                "image_id": image_id,
                "annotation_type": kind,
                "task_type": task,
                "geometry": geometry,
                "class": "__background__" if nothing else classes[class_number],
                "attributes": attributes,
            }
        )
    order = sorted(range(len(rows)), key=lambda n: (rows[n].image_id, n))
    return task, Given([rows[n] for n in order], listed, task_type=task), [expected[n] for n in order]


def back(found: Read) -> list[dict[str, Any]]:
    assert found.messages == []
    size = {"image_width", "image_height"}
    return [
        {
            "image_id": draft["image_id"],
            "annotation_type": draft["annotation_type"],
            "task_type": draft["task_type"],
            "geometry": {name: value for name, value in draft["geometry"].items() if name not in size},
            "class": draft["class_name"],
            "attributes": draft["attributes"],
        }
        for draft in found.drafts
    ]


@settings(max_examples=EXAMPLES, deadline=None)
@given(source=sources())
async def test_dice_loses_nothing(source: tuple[str, Given, list[dict[str, Any]]]) -> None:
    _, given_, expected = source
    assert back(read(await written(DICE, given_))) == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(source=sources())
async def test_coco_loses_attributes_and_what_is_not_there(source: tuple[str, Given, list[dict[str, Any]]]) -> None:
    task, given_, expected = source
    found = back(read(await written(COCO, given_), [task]))
    kept = [one | {"attributes": {}} for one in expected if one["annotation_type"] != "no_object"]
    if task == "classification":  # an image has a class or has it not: never twice, and in the order of the classes
        assert _set(found) == _set(kept)
    else:
        assert found == kept


def _set(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["image_id"], row["class"]) for row in rows}


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
async def test_yolo_keeps_hundredths_of_pixels(data: st.DataObject) -> None:
    inside = st.tuples(st.integers(0, 30_000), st.integers(0, 20_000)).map(lambda p: [p[0] / 100, p[1] / 100])
    rows, expected = [], []
    kind = data.draw(st.sampled_from(["bbox", "polygon"]))
    for number in range(data.draw(st.integers(1, 5))):
        corner, size = data.draw(inside), data.draw(st.tuples(st.integers(100, 20_000), st.integers(100, 20_000)))
        box = [*corner, size[0] / 100, size[1] / 100]
        ring = [corner, [corner[0] + box[2], corner[1]], data.draw(inside), [corner[0], corner[1] + box[3]]]
        geometry = {"bbox": box} if kind == "bbox" else {"points": ring}
        rows.append(made(number, f"가/{number}.v1", kind, geometry, class_id="b"))
        expected.append([f"가/{number}.v1", box if kind == "bbox" else list(chain(*ring))])
    task = "detection" if kind == "bbox" else "segmentation"
    listed = {"a": {"name": "no", "order": 0}, "b": {"name": "1: yes", "order": 1}}
    found = read(await written(YOLO, Given(rows, listed, task_type=task)))
    assert found.messages == []
    assert [entry.name for entry in found.classes] == ["no", "1: yes"]
    for draft, (image_id, coordinates) in zip(found.drafts, expected, strict=True):
        shape = draft["geometry"]
        told = shape["bbox"] if kind == "bbox" else list(chain(*shape["points"]))
        assert draft["image_id"] == image_id
        assert draft["task_type"] == task
        assert draft["class_name"] == "1: yes"
        assert told == pytest.approx(coordinates, abs=1e-9)  # the hundredths of pixels that people draw with


@pytest.mark.parametrize("kind", [DICE, COCO, YOLO], ids=lambda kind: str(kind.name))
async def test_a_published_file_comes_back_into_an_empty_project(api: Api, kind: Format) -> None:
    classes = {
        "detection": {
            "x": {"name": "cat", "color": "#ff0000", "order": 0},
            "y": {"name": "dog", "color": "#00ff00", "order": 1},
        }
    }
    source = await api.dataset(images=3, tasks=["detection"], classes=classes)
    await annotate(
        api, source,
        *(annotation(image, class_id="y", class_name="dog", geometry={"type": "bbox", "bbox": [n, 6, 16, 24]})
          for n, image in enumerate(source.image_ids)),
    )  # fmt: skip
    owner = await api.login("owner")
    answer = await downloaded(api, await published(owner, source, export_format=kind.name))
    target = await api.dataset(images=3, tasks=[])
    picture_of_it = ("files", ("more.jpg", b"no picture"))
    sent = await owner.post(
        f"/api/v1/datasets/{target.id}/images",
        files=[picture_of_it, ("annotation_file", ("x", answer.content))],
        timeout=60,
    )
    assert sent.json()["annotations_imported"] == 3, sent.text
    assert sent.json()["import_report"]["errors"] == [], sent.text
    assert await shown(api, target) == await shown(api, source)
    again = await published(owner, target, export_format=kind.name)
    assert again["annotation_count"] == 3
    assert again["image_count"] == 3


async def shown(api: Api, made_: Dataset) -> list[Any]:
    return [
        (one["image_id"], one["annotation_type"], one["geometry"]["bbox"], one["class_name"], one["annotation_state"])
        for one in await annotations(api, made_)
    ]
