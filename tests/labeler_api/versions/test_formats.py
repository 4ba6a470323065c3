"""The formats as pure functions: what they write for one source that has a bit of everything."""

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from labeler_api.versions.files import gathered
from labeler_api.versions.formats import COCO, DICE, Format
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Annotation, Header, Image, LabeledImage

MADE = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)  # the next year already in Korea
LABELED = datetime(2026, 11, 20, 1, 2, 3, 4000, tzinfo=UTC)
CONFIRMED = datetime(2026, 11, 21, tzinfo=UTC)


class Given:
    """A source in memory."""

    def __init__(self, annotations: Sequence[Annotation], listed: dict[str, dict[str, Any]], **header: Any) -> None:
        self._annotations = annotations
        images = dict.fromkeys(annotation.image_id for annotation in annotations)
        used = {a.class_id: a.class_name for a in annotations if a.annotation_type != "no_object"}
        self.header = Header(
            **{
                "project_name": "Zipper",
                "project_description": None,
                "project_created_at": datetime(2026, 1, 1, tzinfo=UTC),
                "dataset_id": "ds_1",
                "dataset_name": "지퍼",
                "task_type": "detection",
                "version_created_at": MADE,
                "annotation_count": len(annotations),
                "image_count": len(images),
                "classes": ClassList(listed, used.items()),
                "emails": {3: "reviewer@example.com", 4: "annotator@example.com"},
                **header,
            }
        )

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        for annotation in self._annotations:
            yield annotation

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        for image_id in dict.fromkeys(annotation.image_id for annotation in self._annotations):
            of_it = [annotation for annotation in self._annotations if annotation.image_id == image_id]
            labels = [a.class_id for a in of_it if a.annotation_type == "classification"]
            yield LabeledImage(image_id, of_it[0].image, labels)


def made(number: int, image_id: str, kind: str, geometry: dict[str, Any], **values: Any) -> Annotation:
    image = values.pop("image", Image(f"{image_id}.jpg", 640, 480, None))
    return Annotation(
        **{
            "id": number,
            "image_id": image_id,
            "annotation_type": kind,
            "geometry": geometry,
            "class_id": "b",
            "class_name": None,
            "attributes": msgspec.Raw(b"{}"),
            "created_by": 4,
            "created_at": LABELED,
            "confirmed_by": None,
            "image": image,
            **values,
        }
    )


CONFIRMED_IMAGE = Image("b/2.png", 0, 0, CONFIRMED)
EVERYTHING = [
    made(11, "a/1", "bbox", {"bbox": [1, 2, 30.25, 4]}, attributes=msgspec.Raw(b'{"note":"line\\nbreak"}')),
    made(12, "a/1", "bbox", {"x": 1, "y": 2, "width": 3, "height": 4}, class_id="a"),
    made(13, "b/2", "polygon", {"points": [[0, 0], [4, 0], [4, 3]]}, image=CONFIRMED_IMAGE, created_by=99),
    made(14, "b/2", "polyline", {"points": [[0.1, 0], [3.3, 5]]}, image=CONFIRMED_IMAGE, confirmed_by=3),
    made(15, "b/2", "polyline", {"points": [[1, 1]]}, image=CONFIRMED_IMAGE, confirmed_by=4),
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


async def written(kind: Format, source: Given) -> bytes:
    return b"".join([chunk async for chunk in gathered(kind.render(source))])


async def test_dice() -> None:
    text = await written(DICE, Given(EVERYTHING, LISTED))

    box = {"bbox_format": "xywh"}
    second = {"class_id": 1, "class_name": "second"}
    plain: dict[str, object] = {"attributes": {}}
    head = {"depth": 3, "split": "train"}
    labeled = {
        "labeled_by": "annotator@example.com",
        "labeled_at": "2026-11-20T10:02:03.004000+09:00",
        "reviewed_by": None,
        "reviewed_at": None,
        "source": "platform_labeler_v1.0",
    }
    reviewed = {
        "labeled_by": None,
        "reviewed_by": "reviewer@example.com",
        "reviewed_at": "2026-11-21T09:00:00+09:00",
    }
    classes = [
        {"id": 0, "name": "first", "color": "#000000", "supercategory": "zip"},
        {"id": 1, "name": "second", "color": "#fff", "supercategory": "object"},
        {"id": 2, "name": "Old name", "color": "#000000", "supercategory": "object"},
        {"id": 3, "name": "unknown", "color": "#000000", "supercategory": "object"},
    ]
    wanted = {
        "format_version": "1.0",
        "dataset_id": "ds_1",
        "dataset_name": "지퍼",
        "task_type": "object_detection",
        "created_at": "2026-01-01T09:00:00+09:00",
        "last_modified_at": "2027-01-01T00:30:00+09:00",
        "version": 1,
        "classes": classes,
        "images": [
            {
                "id": 1,
                "file_name": "a/1.jpg",
                "width": 640,
                "height": 480,
                **head,
                "annotations": [
                    {
                        "id": 11,
                        "image_id": 1,
                        **second,
                        "attributes": {"note": "line\nbreak"},
                        "bbox": [1.0, 2.0, 30.25, 4.0],
                        **box,
                        "area": 121.0,
                        "iscrowd": 0,
                    },
                    {
                        "id": 12,
                        "image_id": 1,
                        "class_id": 0,
                        "class_name": "first",
                        **plain,
                        "bbox": [1.0, 2.0, 3.0, 4.0],
                        **box,
                        "area": 12.0,
                        "iscrowd": 0,
                    },
                ],
                "metadata": labeled,
            },
            {
                "id": 2,
                "file_name": "b/2.png",
                "width": 0,
                "height": 0,
                **head,
                "annotations": [
                    {
                        "id": 13,
                        "image_id": 2,
                        **second,
                        **plain,
                        "segmentation": [[0.0, 0.0, 4.0, 0.0, 4.0, 3.0]],
                        "bbox": [0.0, 0.0, 4.0, 3.0],
                        **box,
                        "area": 6.0,
                        "iscrowd": 0,
                    },
                    {
                        "id": 14,
                        "image_id": 2,
                        **second,
                        **plain,
                        "polyline": [0.1, 0.0, 3.3, 5.0],
                        "bbox": [0.1, 0.0, 3.2, 5.0],
                        **box,
                    },
                    {"id": 15, "image_id": 2, **second, **plain, "polyline": []},
                    {
                        "id": 16,
                        "image_id": 2,
                        **second,
                        **plain,
                        "circle": {"center": [10.0, 10.0], "radius": 2.5},
                        "bbox": [7.5, 7.5, 5.0, 5.0],
                        **box,
                        "area": 19.635,
                    },
                ],
                "metadata": {**labeled, **reviewed},
            },
            {
                "id": 3,
                "file_name": "c.jpg",
                "width": 640,
                "height": 480,
                **head,
                "annotations": [
                    {"id": 17, "image_id": 3, "class_id": 2, "class_name": "Old name", **plain},
                    {"id": 18, "image_id": 3, "class_id": 0, "class_name": "first", **plain},
                ],
                "metadata": labeled,
            },
            {
                "id": 4,
                "file_name": "d.jpg",
                "width": 640,
                "height": 480,
                **head,
                "annotations": [
                    {
                        "id": 19,
                        "image_id": 4,
                        "class_id": -1,
                        "class_name": "__background__",
                        **plain,
                        "is_background": True,
                    }
                ],
                "metadata": labeled,
            },
            {
                "id": 5,
                "file_name": "e.jpg",
                "width": 640,
                "height": 480,
                **head,
                "annotations": [
                    {
                        "id": 20,
                        "image_id": 5,
                        "class_id": 3,
                        "class_name": "unknown",
                        **plain,
                        "type": "rotated_bbox",
                        "geometry": {"points": [[1, 0], [2, 1], [1, 2], [0, 1]], "angle": 45},
                    },
                    {"id": 21, "image_id": 5, **second, **plain, "type": "bbox", "geometry": {"type": "bbox"}},
                ],
                "metadata": labeled,
            },
        ],
        "statistics": {
            "total_images": 5,
            "total_annotations": 11,
            "avg_annotations_per_image": 2.2,
            "class_distribution": {"first": 2, "second": 6, "Old name": 1, "unknown": 1, "__background__": 1},
            "split_distribution": {"train": 5},
        },
    }
    assert text.decode() == json.dumps(wanted, indent=2, ensure_ascii=False)


async def test_coco() -> None:
    text = await written(COCO, Given(EVERYTHING, LISTED))

    def image(number: int, name: str, width: int = 640, height: int = 480, **more: object) -> dict[str, object]:
        links = {"license": 1, "flickr_url": "", "coco_url": "", "date_captured": ""}
        return {"id": number, "file_name": name, "width": width, "height": height, **links, **more}

    def region(
        number: int, image_id: int, category: int, bbox: list[float], area: float, **more: object
    ) -> dict[str, object]:
        segmentation = more.pop("segmentation", [])
        ids = {"id": number, "image_id": image_id, "category_id": category}
        return {**ids, "bbox": bbox, "area": area, "segmentation": segmentation, "iscrowd": 0, **more}

    rotated = {"points": [[1, 0], [2, 1], [1, 2], [0, 1]], "angle": 45}
    wanted = {
        "info": {
            "description": "Annotations of Zipper",
            "url": "",
            "version": "1.0",
            "year": 2027,
            "contributor": "",
            "date_created": "2027-01-01 00:30:00",
        },
        "licenses": [{"id": 1, "name": "Unknown License", "url": ""}],
        "images": [
            image(1, "a/1.jpg"),
            image(2, "b/2.png", 0, 0),
            image(3, "c.jpg", category_ids=[1, 3]),
            image(4, "d.jpg"),
            image(5, "e.jpg"),
        ],
        "annotations": [
            region(11, 1, 2, [1.0, 2.0, 30.25, 4.0], 121.0),
            region(12, 1, 1, [1.0, 2.0, 3.0, 4.0], 12.0),
            region(13, 2, 2, [0.0, 0.0, 4.0, 3.0], 6.0, segmentation=[[0.0, 0.0, 4.0, 0.0, 4.0, 3.0]]),
            region(14, 2, 2, [0.1, 0.0, 3.2, 5.0], 0.0, polyline=[0.1, 0.0, 3.3, 5.0]),
            region(15, 2, 2, [1.0, 1.0, 0.0, 0.0], 0.0, polyline=[1.0, 1.0]),
            region(16, 2, 2, [7.5, 7.5, 5.0, 5.0], 19.635, circle={"center": [10.0, 10.0], "radius": 2.5}),
            region(20, 5, 4, [0.0, 0.0, 2.0, 2.0], 4.0, geometry=rotated),
        ],
        "categories": [
            {"id": 1, "name": "first", "supercategory": "zip"},
            {"id": 2, "name": "second", "supercategory": "object"},
            {"id": 3, "name": "Old name", "supercategory": "object"},
            {"id": 4, "name": "unknown", "supercategory": "object"},
        ],
    }
    assert text.decode() == json.dumps(wanted, indent=2, ensure_ascii=False)


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
    assert (told["type"], told["geometry"]) == (kind, geometry)
    assert (len(coco["images"]), coco["annotations"]) == (1, [])


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
