"""Label files of other programs: each becomes the labels that its writer meant, or is refused in words."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.files.archives import VOC, ZIPPED
from tests.files.labels import ALL, BOX, Case, coco
from tests.fixtures.annotation_files import annotations, everything, imported, stored
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows


async def with_images(api: Api, case: Case) -> Dataset:
    """A dataset with images of 640 x 480 under these paths."""
    dataset = await api.dataset(tasks=list(case.tasks))
    split = [(path, *path.rpartition("/")[::2]) for path in case.images]
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height)"
            " VALUES ($1, $2, $3, $4, NULLIF($5, ''), 1, 640, 480)",
            [
                (dataset.id, path.rpartition(".")[0], name, f"datasets/{dataset.id}/images/{path}", folder)
                for path, folder, name in split
            ],
        )
    return dataset


def shape(geometry: dict[str, Any]) -> Any:
    return geometry["bbox"] if "bbox" in geometry else geometry["points"]


@pytest.mark.parametrize("case", [*ALL, *VOC, *ZIPPED], ids=lambda case: case.name)
async def test_it_becomes_what_was_meant(api: Api, case: Case) -> None:
    dataset = await with_images(api, case)
    await stored(api, dataset, case.content)
    before = await everything(api, dataset)
    answer = await imported(await api.login("owner"), dataset)
    body = answer.json()
    if case.refused is not None:
        assert answer.status_code == 422, answer.text
        assert case.refused in body["detail"]
        assert await everything(api, dataset) == before
        return
    assert answer.status_code == 200, answer.text
    found = sorted(
        (one["image_id"], one["class_name"], shape(one["geometry"])) for one in await annotations(api, dataset)
    )
    assert found == list(case.found)
    warnings = body["report"]["warnings"]
    assert len(warnings) == len(case.warned), warnings
    assert all(part in warning for part, warning in zip(case.warned, warnings, strict=True)), warnings
    assert body["report"]["skipped_images"] == 0


async def test_a_turned_box_of_cvat_keeps_its_angle(api: Api) -> None:
    for degrees, corner in (
        (30, [22.0096, 15.1795]),
        (90.0, [45, 25]),
        (-30, [2.0096, 30.1795]),
        ("390", [22.0096, 15.1795]),
    ):
        dataset = await with_images(api, Case("", b"", ["a.jpg"]))
        await stored(api, dataset, coco({"attributes": {"occluded": False, "rotation": degrees}}))
        answer = await imported(await api.login("owner"), dataset)
        assert answer.status_code == 200, answer.text
        (one,) = await annotations(api, dataset)
        assert one["annotation_type"] == "rotated_bbox"
        assert one["task_type"] == "detection"
        assert one["geometry"]["bbox"] == BOX
        assert one["geometry"]["rotation"] == float(degrees) % 360
        assert one["geometry"]["points"][0] == pytest.approx(corner, abs=1e-3)
        assert "rotation" in answer.json()["report"]["warnings"][0]


UNFIT = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "not-there.jpg"}, {"id": 3}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": BOX},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [5, 5, 0, 10]},
        {"id": 4, "image_id": 1, "category_id": 9, "bbox": BOX},
        {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 5, 9], [1, 2]]},
        {"id": 6, "image_id": 7, "category_id": 1, "bbox": BOX},
    ],
    "categories": [{"id": 1, "name": "cat"}],
}  # fmt: skip
LEFT_OUT = {"images[1]", "images[2]", "annotations[2]", "annotations[3]", "annotations[4]", "annotations[5]"}


def unfit() -> bytes:
    return msgspec.json.encode(UNFIT)


async def test_what_does_not_fit_is_left_out_when_that_is_asked_for(api: Api) -> None:
    dataset = await with_images(api, Case("", b"", ["a.jpg"]))
    await stored(api, dataset, unfit())
    owner = await api.login("owner")
    assert (await imported(owner, dataset)).status_code == 422
    assert await annotations(api, dataset) == []
    body = (await imported(owner, dataset, skip_invalid=True)).json()
    assert [(one["image_id"], one["geometry"]["bbox"]) for one in await annotations(api, dataset)] == [("a", BOX)]
    report = body["report"]
    assert report["status"] == "imported"
    assert report["imported"] == 1
    assert report["total"] == 1
    assert {error["place"] for error in report["errors"]} == LEFT_OUT
    assert report["error_count"] == len(LEFT_OUT)


async def test_nothing_that_fits_is_refused_all_the_same(api: Api) -> None:
    dataset = await with_images(api, Case("", b"", ["b.jpg"]))
    await stored(api, dataset, unfit())
    answer = await imported(await api.login("owner"), dataset, skip_invalid=True)
    assert answer.status_code == 422
    assert answer.json()["code"] == "import_refused"


async def test_who_is_meant_by_a_number_twice_is_left_out(api: Api) -> None:
    content = coco().replace(b'"images":[', b'"images":[{"id":2,"file_name":"b.jpg"},{"id":2,"file_name":"c.jpg"},')
    content = content.replace(b'"annotations":[', b'"annotations":[{"image_id":2,"category_id":1,"bbox":[1,1,5,5]},')
    dataset = await with_images(api, Case("", b"", ["a.jpg", "b.jpg", "c.jpg"]))
    await stored(api, dataset, content)
    body = (await imported(await api.login("owner"), dataset, skip_invalid=True)).json()
    assert [one["image_id"] for one in await annotations(api, dataset)] == ["a"]
    assert [error["place"] for error in body["report"]["errors"]] == ["images[1].id"]


async def upload(client: httpx.AsyncClient, where: str, content: bytes, **given: Any) -> httpx.Response:
    files = [("files", ("a.jpg", picture(640, 480))), ("annotation_file", ("labels.json", content))]
    return await client.post(f"/api/v1/datasets/{where}", files=files, timeout=60, **given)


@pytest.mark.parametrize("given", [{"params": {"skip_invalid": "true"}}, {"data": {"skip_invalid": "true"}}])
@pytest.mark.parametrize("new", [False, True])
async def test_uploads_have_the_option_too(api: Api, given: dict[str, Any], new: bool) -> None:
    owner = await api.login("owner")
    if new:
        form = {"dataset_name": "A", "task_types": '["detection"]', **given.get("data", {})}
        answer = await upload(owner, "upload", unfit(), params=given.get("params"), data=form)
        assert answer.status_code == 201, answer.text
        summary = answer.json()["upload_summary"]
    else:
        dataset = await api.dataset(tasks=["detection"])
        assert (await upload(owner, f"{dataset.id}/images", unfit())).status_code == 422
        answer = await upload(owner, f"{dataset.id}/images", unfit(), **given)
        assert answer.status_code == 200, answer.text
        summary = answer.json()
    assert summary["images_uploaded"] == 1
    assert summary["annotations_imported"] == 1
    assert {error["place"] for error in summary["import_report"]["errors"]} == LEFT_OUT


async def test_a_dry_run_writes_nothing(api: Api) -> None:
    dataset = await with_images(api, Case("", b"", ["a.jpg"]))
    await stored(api, dataset, unfit())
    owner = await api.login("owner")
    before = [await everything(api, dataset), await rows(api, "SELECT to_jsonb(d)::text FROM datasets d ORDER BY id")]
    refused = await imported(owner, dataset, dry_run=True)
    assert refused.status_code == 422
    assert refused.json()["report"]["error_count"] == 5
    report = (await imported(owner, dataset, dry_run=True, skip_invalid=True)).json()["report"]
    assert report["status"] == "checked"
    assert report["imported"] == 0
    assert report["total"] == 1
    assert report["error_count"] == 6
    assert [one["name"] for one in report["classes_added"]] == ["cat"]
    query = {"dry_run": True, "skip_invalid": True}
    answer = await upload(owner, f"{dataset.id}/images", unfit(), params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["import_report"] == report
    assert answer.json()["images_uploaded"] == 0
    assert answer.json()["images"] == []
    assert before == [
        await everything(api, dataset),
        await rows(api, "SELECT to_jsonb(d)::text FROM datasets d ORDER BY id"),
    ]
    missing = await owner.post(
        f"/api/v1/datasets/{dataset.id}/images", params=query, files=[("files", ("a.jpg", b"x"))]
    )
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["loc"] == ["body", "annotation_file"]
