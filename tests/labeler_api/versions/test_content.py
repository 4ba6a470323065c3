"""Files as they come out of the whole: sizes, names, order, and the same bytes again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pycocotools import mask
from pycocotools.coco import COCO

from labeler_api.versions.files.file_writing import StoredSource, frozen, gathered
from labeler_api.versions.formats import EXPORT_FORMATS
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Header
from tests.fixtures.accounts import REVIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.versions import BOX, CLASSES, annotate, annotation, downloaded, published


async def test_coco_loads_in_pycocotools(api: Api, tmp_path: Path) -> None:
    dataset = await api.dataset(tasks=["detection"], images=3, classes=CLASSES)
    first, second, third = dataset.image_ids
    boxes: dict[str, list[list[float]]] = {first: [[0, 0, 10, 10], [1.5, 2.25, 100, 50]], second: [[600, 400, 40, 80]]}
    rows = [
        annotation(image, geometry={**BOX, "bbox": box}, class_id="c_dog" if image == second else "c_cat")
        for image, of_it in boxes.items()
        for box in of_it
    ]
    nothing = annotation(third, "no_object", {"type": "no_object"}, class_id=None)
    await annotate(api, dataset, *rows, nothing)

    coco = _loaded(await _file(api, dataset, "detection", "coco"), tmp_path)

    names = {image["id"]: image["file_name"] for image in coco.loadImgs(coco.getImgIds())}
    assert list(names.values()) == [f"{image_id}.jpg" for image_id in dataset.image_ids]
    assert {(image["width"], image["height"]) for image in coco.loadImgs(coco.getImgIds())} == {(640, 480)}
    assert {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())} == {1: "cat", 2: "dog"}
    found: dict[str, list[list[float]]] = {}
    for entry in coco.loadAnns(coco.getAnnIds()):
        found.setdefault(names[entry["image_id"]], []).append(entry["bbox"])
    assert found == {f"{image_id}.jpg": of_it for image_id, of_it in boxes.items()}
    assert {entry["category_id"] for entry in coco.loadAnns(coco.getAnnIds(catIds=[2]))} == {2}


async def test_polygons_become_masks_in_pycocotools(api: Api, tmp_path: Path) -> None:
    dataset = await api.dataset(tasks=["segmentation"], images=1, classes={"segmentation": CLASSES["detection"]})
    square = {"type": "polygon", "points": [[10, 10], [30, 10], [30, 40], [10, 40]]}
    await annotate(api, dataset, annotation(dataset.image_ids[0], "polygon", square))

    coco = _loaded(await _file(api, dataset, "segmentation", "coco"), tmp_path)

    (entry,) = coco.loadAnns(coco.getAnnIds())
    assert entry["bbox"] == [10.0, 10.0, 20.0, 30.0]
    assert entry["area"] == 600.0
    assert mask.area(coco.annToRLE(entry)) == 600


async def test_names_and_sizes_are_those_of_the_images(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES)
    ids = ("known", "sized by geometry", "사진 %/1", "a.png", "gone")
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, width, height)"
            " VALUES ($1, $2, $3, $4, $5, 1, $6, $7)",
            [
                ("known", dataset.id, "known.JPG", f"datasets/{dataset.id}/images/known.JPG", None, 3, 5),
                (ids[1], dataset.id, "x.tif", "elsewhere/x.tif", "sub", None, None),
                (
                    ids[2],
                    dataset.id,
                    "1.png",
                    f"datasets/{dataset.id}/images/사진 %/1.png",
                    "사진 %",
                    None,
                    7,
                ),
                ("a.png", dataset.id, "a.png", f"datasets/{dataset.id}/images/a.png", None, None, None),
            ],
        )
    sizeless = {"type": "bbox", "bbox": [0, 0, 1, 1]}
    strange = {**sizeless, "image_width": "wide", "image_height": 9}
    sized = {**sizeless, "image_width": 64.0, "image_height": 48}
    await annotate(
        api,
        dataset,
        *(annotation(image_id, geometry=sizeless) for image_id in ids),
        annotation(ids[1], geometry=strange),
        annotation(ids[1], geometry=sized, annotation_state="draft"),
        annotation(ids[2], geometry=sized),
    )

    images = (await _json(api, dataset, "detection", "coco"))["images"]

    assert [(image["file_name"], image["width"], image["height"]) for image in images] == [
        ("a.png", 0, 0),
        ("gone", 0, 0),
        ("known.JPG", 3, 5),
        ("sub/x.tif", 64, 48),
        ("사진 %/1.png", 64, 7),
    ]


async def test_dice_names_the_people(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=2, classes=CLASSES)
    first, second = dataset.image_ids
    await annotate(api, dataset, annotation(first), annotation(second, created_by=REVIEWER.id, confirmed_by=None))
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_annotation_status"
            " (project_id, image_id, task_type, status, is_image_confirmed, confirmed_at)"
            " VALUES ($1, $2, 'detection', 'completed', true, '2026-11-21T00:00:00Z'),"
            " ($1, $2, 'segmentation', 'completed', true, '2026-11-22T00:00:00Z')",
            dataset.project_id,
            first,
        )

    dice = await _json(api, dataset, "detection", "dice")

    assert [image["metadata"] for image in dice["images"]] == [
        {
            "labeled_by": "annotator@example.com",
            "labeled_at": "2026-11-20T10:02:03+09:00",
            "reviewed_by": "reviewer@example.com",
            "reviewed_at": "2026-11-21T09:00:00+09:00",
            "source": "platform_labeler_v1.0",
        },
        {
            "labeled_by": "reviewer@example.com",
            "labeled_at": "2026-11-20T10:02:03+09:00",
            "reviewed_by": None,
            "reviewed_at": None,
            "source": "platform_labeler_v1.0",
        },
    ]


async def test_the_order_is_that_of_the_ids_whatever_was_made_first(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=12, classes=CLASSES)
    ids = [*reversed(dataset.image_ids), "Ä", "a", "B", *dataset.image_ids]
    await annotate(api, dataset, *(annotation(image_id) for image_id in ids))

    coco = await _json(api, dataset, "detection", "coco")

    names = [image["file_name"].removesuffix(".jpg") for image in coco["images"]]
    assert names == sorted(set(ids))  # Python compares code points
    keys = [(entry["image_id"], entry["id"]) for entry in coco["annotations"]]
    assert keys == sorted(keys)


async def test_a_version_rendered_again_has_the_same_bytes(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=5, classes=CLASSES)
    await annotate(api, dataset, *(annotation(image_id) for image_id in dataset.image_ids * 3))
    owner = await api.login("owner")
    for name in ("coco", "dice"):
        version = await published(owner, dataset, export_format=name)
        body = (await downloaded(api, version)).content
        # What comes after a version is not in it, not even when it is rendered anew from its snapshot.
        async with api.db.begin() as tx:
            await tx.execute("UPDATE annotations SET geometry = geometry || '{\"bbox\": [1, 1, 1, 1]}'")
            await tx.execute("UPDATE image_metadata SET width = 1, file_name = 'other.png', s3_key = 'other.png'")

        async with _source(api, version["id"], dataset) as source:
            again = b"".join([chunk async for chunk in gathered(EXPORT_FORMATS[name].render(source))])

        assert sha256(again).hexdigest() == sha256(body).hexdigest()


async def test_circles_and_lines_are_published_with_their_task(api: Api) -> None:
    dataset = await api.dataset(tasks=["geometry", "classification"], images=1)
    (image,) = dataset.image_ids
    circle = {"type": "circle", "center": [5, 5], "radius": 2}
    line = {"type": "polyline", "points": [[0, 0], [3, 4]]}
    await annotate(
        api,
        dataset,
        annotation(image, "circle", circle),
        annotation(image, "polyline", line),
        annotation(image, "classification", {"type": "classification"}),
    )

    geometry = await _json(api, dataset, "geometry", "dice")
    labels = await _json(api, dataset, "classification", "coco")

    assert geometry["task_type"] == "geometry_detection"
    assert [set(entry) & {"circle", "polyline"} for entry in geometry["images"][0]["annotations"]] == [
        {"circle"},
        {"polyline"},
    ]
    assert labels["annotations"] == []
    assert labels["images"][0]["category_ids"] == [1]
    assert labels["categories"] == [{"id": 1, "name": "cat", "supercategory": "object"}]


async def _file(api: Api, dataset: Dataset, task: str, name: str) -> bytes:
    version = await published(await api.login("owner"), dataset, task_type=task, export_format=name)
    answer = await downloaded(api, version)
    assert answer.status_code == 200
    return answer.content


async def _json(api: Api, dataset: Dataset, task: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(await _file(api, dataset, task, name))
    return content


def _loaded(content: bytes, directory: Path) -> COCO:
    path = directory / "annotations_coco.json"
    path.write_bytes(content)
    return COCO(str(path))


@asynccontextmanager
async def _source(api: Api, version_id: int, dataset: Dataset) -> AsyncIterator[StoredSource]:
    """The content of a version as its rows tell it, beside the header, which nothing here has changed."""
    async with api.db.snapshot() as snapshot:
        row = await snapshot.fetchrow(
            "SELECT v.annotation_count, v.image_count, v.created_at AS made_at, p.created_at, p.name, d.name AS dataset"
            " FROM annotation_versions v JOIN annotation_projects p ON p.id = v.project_id"
            " JOIN datasets d ON d.id = p.dataset_id WHERE v.id = $1",
            version_id,
        )
        assert row is not None
        header = Header(
            project_name=row["name"],
            project_description=None,
            project_created_at=row["created_at"],
            dataset_id=dataset.id,
            dataset_name=row["dataset"],
            task_type="detection",
            version_created_at=row["made_at"],
            annotation_count=row["annotation_count"],
            image_count=row["image_count"],
            classes=ClassList(CLASSES["detection"], []),
            emails={4: "annotator@example.com", 3: "reviewer@example.com"},
        )
        yield frozen(snapshot, version_id, header)
