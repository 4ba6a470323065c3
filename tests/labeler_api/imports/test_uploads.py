"""Annotation files that come with images: into a dataset, and into a new one."""

import asyncio
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from labeler_api.errors import Unavailable
from labeler_api.images.removal import KIND
from labeler_api.imports.stored import service as stored_service
from labeler_api.object_store.objects import ObjectStore
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import MEMBERS, check_counters, hold
from tests.fixtures.annotation_files import annotations, boxes, coco, dice, imported, packed, project
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.language import check_sentence
from tests.fixtures.pictures import archive, picture
from tests.fixtures.rows import rows

PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s.jpg"\r\n\r\n'
CUT = b'--x\r\nContent-Disposition: form-data; name="dataset_name"\r\n\r\nA\r\n' + PART % b"a"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}

Files = list[tuple[str, tuple[str, bytes]]]


def form(*names: str, annotation_file: bytes | None = None, first: bool = False) -> Files:
    files = [("files", (name, picture(640, 480))) for name in names]
    extra = [] if annotation_file is None else [("annotation_file", ("labels.bin", annotation_file))]
    return [*extra, *files] if first else [*files, *extra]


async def send(client: httpx.AsyncClient, dataset: Dataset, files: Files) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


class Source(NamedTuple):
    """What a dataset says of the annotations that came with its images."""

    labeled: bool
    path: str | None


async def source_of(api: Api, dataset_id: str) -> Source:
    (row,) = await rows(api, "SELECT labeled, annotation_path FROM datasets WHERE id = $1", dataset_id)
    return Source(row["labeled"], row["annotation_path"])


@pytest.mark.parametrize("first", [True, False])
async def test_images_of_the_same_request_count(api: Api, first: bool) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    content = coco(boxes(1, 2, 2), ["a/1.jpg", "b.jpg"])
    body = await send(owner, dataset, form("a/1.jpg", "b.jpg", annotation_file=content, first=first))
    assert body["images_uploaded"] == 2
    assert body["annotations_imported"] == 3
    report = body["import_report"]
    assert report["status"] == "imported"
    assert report["format"] == "coco"
    assert report["images"] == 2
    assert report["errors"] == []
    found = await annotations(api, dataset)
    assert [one["image_id"] for one in found] == ["a/1", "b", "b"]
    assert {one["confirmed_by"] for one in found} == {USER_IDS["owner"]}
    await check_counters(api, dataset)


async def test_the_file_is_kept_apart_and_can_be_imported_again(api: Api) -> None:
    dataset = await api.dataset(images=1, tasks=["detection"])
    published = f"datasets/{dataset.id}/annotations_detection.json"
    await api.services.objects.put("datasets", published, b"published", "application/json")
    owner = await api.login("owner")
    content = coco(boxes(1))
    await send(owner, dataset, form("c.jpg", annotation_file=content))
    labeled, key = await source_of(api, dataset.id)
    assert labeled
    assert key is not None
    assert key.startswith(f"datasets/{dataset.id}/imports/")
    for where, what in ((published, b"published"), (key, content)):
        async with api.services.objects.open("datasets", where) as stream:
            assert await stream.read() == what
    answer = await imported(owner, dataset, force=True)
    assert answer.status_code == 200
    assert answer.json()["imported"] == 1
    assert len(await annotations(api, dataset)) == 1


async def test_a_file_that_is_sent_again_adds_nothing(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    files = form("a.jpg", annotation_file=coco(boxes(1, 1), ["a.jpg"]))
    await send(owner, dataset, files)
    report = (await send(owner, dataset, files))["import_report"]
    assert report["status"] == "imported"
    assert report["imported"] == 0
    assert report["skipped"] == 2
    assert report["total"] == 2
    more = coco([*boxes(1, 1), {"bbox": [10, 20, 30, 40], "category_id": 7}], ["a.jpg"])
    report = (await send(owner, dataset, form("a.jpg", annotation_file=more)))["import_report"]
    assert report["imported"] == 1
    assert report["skipped"] == 2
    assert len(await annotations(api, dataset)) == 3
    await check_counters(api, dataset)


async def test_a_confirmed_image_stays_confirmed(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    await send(owner, dataset, form("a.jpg", annotation_file=coco(boxes(1), ["a.jpg"])))
    await owner.post(f"/api/v1/projects/{dataset.project_id}/images/a/confirm?task_type=detection", json={})
    await send(owner, dataset, form("a.jpg", annotation_file=coco([{"bbox": [0, 0, 9, 9]}], ["a.jpg"])))
    (status,) = await rows(api, "SELECT * FROM image_annotation_status WHERE project_id = $1", dataset.project_id)
    assert status["is_image_confirmed"] is True
    assert status["status"] == "completed"
    assert status["total_annotations"] == 2


@pytest.mark.parametrize("first", [True, False])
async def test_an_annotation_file_that_is_refused_refuses_the_request(api: Api, first: bool) -> None:
    """The frontend shows anything but an error as a success. Nothing is stored, wherever in the form the file comes."""
    dataset = await api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    owner = await api.login("owner")
    await hold(api, dataset, "annotator", 0)
    prefix = f"datasets/{dataset.id}/imports/"  # other tests have left files there
    before = [entry.key async for entry in api.services.objects.list("datasets", prefix)]
    cases = {
        b"": (422, "annotation_file_unreadable", "cannot be read"),
        b"not json": (422, "annotation_file_unreadable", "cannot be read"),
        b'{"some": "thing"}': (422, "annotation_file_unreadable", "cannot be read"),
        coco([]): (422, "no_annotations", "holds no annotations"),
        coco(boxes(1), ["elsewhere.jpg"]): (422, "import_refused", "has no image 'elsewhere.jpg'"),
        coco([{"bbox": [1, 2, -3, 4]}], ["new/5.jpg"]): (422, "import_refused", "Nothing was imported"),
        coco([{"bbox": [1, 2, -3, 4]}] * 2, ["new/6.jpg"]): (422, "import_refused", ", and 1 more problem."),
        coco(boxes(1)): (423, "image_locked", "is working on the image"),
    }
    where = f"/api/v1/datasets/{dataset.id}/images"
    for number, (content, (status, code, text)) in enumerate(cases.items()):
        files = form(f"new/{number}.jpg", annotation_file=content, first=first)
        answer = await owner.post(where, files=files, timeout=60)
        body = answer.json()
        assert answer.status_code == status, body
        assert body["code"] == code, body
        assert body["images_uploaded"] == 0, body
        check_sentence(body["detail"])
        assert text in body["detail"], body
        assert body["detail"].endswith(" Nothing was stored."), body
    two = form("new/2files.jpg", annotation_file=coco(boxes(1))) + form(annotation_file=coco(boxes(1)))
    answer = await owner.post(where, files=two, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["code"] == "several_annotation_files"
    assert await annotations(api, dataset) == []
    assert await source_of(api, dataset.id) == Source(labeled=False, path=None)
    assert [entry.key async for entry in api.services.objects.list("datasets", prefix)] == before
    (row,) = await rows(
        api,
        "SELECT num_images, (SELECT count(*)::int FROM image_metadata WHERE dataset_id = d.id) AS held"
        " FROM datasets d WHERE id = $1",
        dataset.id,
    )
    assert row == {"num_images": 1, "held": 1}


async def test_a_refused_annotation_file_leaves_no_dataset(api: Api) -> None:
    answer = await made_by(api, await api.login("owner"), form("a.jpg", annotation_file=b"no json"))
    assert answer.status_code == 422
    assert answer.json()["code"] == "annotation_file_unreadable"
    assert await rows(api, "SELECT id FROM datasets") == []


async def test_the_objects_of_refused_images_are_removed(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    files = form("refused/1.jpg", "refused/2.jpg", annotation_file=b"no json")
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files)
    assert answer.status_code == 422
    listed = api.services.objects.list("datasets", f"datasets/{dataset.id}/")
    stored = {entry.key async for entry in listed if "/refused/" in entry.key}
    jobs = await rows(api, "SELECT payload FROM pgqueuer WHERE entrypoint = $1", KIND)
    ordered = {key for job in jobs for key in msgspec.json.decode(job["payload"])["keys"]}
    assert stored
    assert stored <= ordered


async def test_images_that_the_dataset_lacks_are_skipped_when_one_is_there(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    content = coco(boxes(1, 2, 2, 3), ["a.jpg", "b.jpg", "c.jpg"])
    body = await send(owner, dataset, form("b.jpg", annotation_file=content))
    report = body["import_report"]
    assert body["images_uploaded"] == 1
    assert report["status"] == "imported"
    assert report["imported"] == 2
    assert report["total"] == 2
    assert report["images"] == 1
    assert report["skipped_images"] == 2
    assert report["errors"] == []
    assert report["warnings"] == ["2 images of the file are not in the dataset and were skipped: a.jpg, c.jpg."]
    await check_counters(api, dataset)
    answer = await imported(owner, dataset, force=True)
    assert answer.status_code == 200
    assert answer.json()["imported"] == 2
    assert answer.json()["report"]["skipped_images"] == 2
    body = await send(owner, dataset, form("d.jpg", annotation_file=coco(boxes(1, 2), ["d.jpg", "e.jpg"])))
    assert body["import_report"]["warnings"] == ["1 image of the file is not in the dataset and was skipped: e.jpg."]


async def test_an_import_that_fails_late_says_that_the_image_is_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    owner = await api.login("owner")
    judge = stored_service.judge_uploaded

    async def judged_then_held(*given: Any, **options: Any) -> Any:
        prepared = await judge(*given, **options)
        await hold(api, dataset, "annotator", 0)
        return prepared

    monkeypatch.setattr(stored_service, "judge_uploaded", judged_then_held)
    files = form("one.jpg", annotation_file=coco(boxes(1)))
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=60)
    assert answer.status_code == 423, answer.text
    assert answer.json()["images_uploaded"] == 1, answer.text
    assert answer.json()["detail"].endswith(" The image is stored; none of the annotations is.")


_IN_TRANSACTIONS = (
    "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'labeler_api'"
    " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
)


async def test_a_file_that_the_store_does_not_take_is_not_imported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes there before the transaction: nobody holds a connection while the store is waited for."""
    dataset = await api.dataset(tasks=["detection"], images=1)
    put, at_work = ObjectStore.put, []

    async def refused(objects: ObjectStore, bucket: str, key: str, *given: Any) -> Any:
        if "/imports/" in key:
            await asyncio.sleep(0.2)  # whatever went on beside it would have begun by then
            at_work.extend(await rows(api, _IN_TRANSACTIONS))
            raise Unavailable("The object store is away. Try again shortly.")
        return await put(objects, bucket, key, *given)

    monkeypatch.setattr(ObjectStore, "put", refused)
    files = form("one.jpg", annotation_file=coco(boxes(1)))
    owner = await api.login("owner")
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=60)
    assert answer.status_code == 503, answer.text
    assert answer.json()["images_uploaded"] == 1, answer.text
    assert at_work == []
    assert await rows(api, "SELECT FROM annotations") == []
    monkeypatch.setattr(ObjectStore, "put", put)
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=60)
    assert answer.json()["annotations_imported"] == 1, answer.text


async def test_ids_that_others_take_meanwhile_are_found_anew(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another extension gets the id that the image was judged with: the annotations follow their image."""
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    judge = stored_service.judge_uploaded

    async def judged_then_overtaken(*given: Any, **options: Any) -> Any:
        prepared = await judge(*given, **options)
        monkeypatch.setattr(stored_service, "judge_uploaded", judge)
        await send(owner, dataset, form("a.png"))
        return prepared

    monkeypatch.setattr(stored_service, "judge_uploaded", judged_then_overtaken)
    body = await send(owner, dataset, form("a.jpg", annotation_file=coco(boxes(1), ["a.jpg"])))
    assert [image["id"] for image in body["images"]] == ["a.jpg"]
    assert [one["image_id"] for one in await annotations(api, dataset)] == ["a.jpg"]


async def test_each_format_is_known_by_its_content(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    box = {"id": 5, "image_id": 1, "class_id": 1, "class_name": "dent", "bbox": [1, 2, 3, 4], "attributes": {"a": [1]}}
    yolo = packed({"data.yaml": "names: [scratch, dent]", "labels/x/1.txt": "1 0.5 0.5 0.25 0.5\n"})
    for content, name in (
        (dice([{"id": 1, "file_name": "x/1.jpg", "annotations": [box]}]), "dice"),
        (yolo, "yolo"),
    ):
        report = (await send(owner, dataset, form("x/1.jpg", annotation_file=content)))["import_report"]
        assert report["format"] == name
    empty = form("x/1.jpg", annotation_file=msgspec.json.encode({"images": [], "annotations": []}))
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", files=empty)
    assert answer.status_code == 422
    assert answer.json()["report"]["format"] == "coco"
    first, second = await annotations(api, dataset)
    assert first["attributes"] == {"a": [1]}
    assert first["class_name"] == "dent"
    assert second["geometry"]["bbox"] == [240, 120, 160, 240]
    assert first["class_id"] == second["class_id"]


async def made_by(api: Api, client: httpx.AsyncClient, files: Files, **fields: Any) -> httpx.Response:
    data = {"dataset_name": "Zipper", **fields}
    return await client.post("/api/v1/datasets/upload", data=data, files=files, timeout=60)


async def test_a_dataset_is_made_with_its_images_and_annotations(api: Api) -> None:
    annotator = await api.login("annotator")  # anybody may have datasets of their own
    answer = await made_by(
        api,
        annotator,
        [
            ("files", ("all.zip", archive({"x/1.jpg": picture()}))),
            *form("y.jpg", annotation_file=coco(boxes(1), ["x/1.jpg"])),
        ],
        dataset_description="teeth",
        task_types='["detection", "classification"]',
        visibility="public",
    )
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert set(body) == {"dataset_id", "dataset_name", "project_id", "upload_summary"}
    summary = body["upload_summary"]
    assert body["dataset_name"] == "Zipper"
    assert summary["images_uploaded"] == 2
    assert summary["annotations_imported"] == 1
    assert summary["folder_structure"] == {"x": 1}
    shown = (await annotator.get(f"/api/v1/datasets/{body['dataset_id']}")).json()
    assert shown["description"] == "teeth"
    assert shown["visibility"] == "public"
    assert shown["num_items"] == 2
    assert shown["labeled"] is True
    row = await project(api, Dataset(body["dataset_id"], body["project_id"]))
    assert row["task_types"] == ["detection", "classification"]
    assert row["total_annotations"] == 1
    members = (await annotator.get(f"/api/v1/projects/{body['dataset_id']}/permissions")).json()
    assert [(one["user_id"], one["role"]) for one in members] == [(USER_IDS["annotator"], "owner")]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"dataset_name": ""}, "dataset_name"),
        ({"dataset_name": "x" * 201}, "dataset_name"),
        ({"dataset_description": "x" * 100_000}, "dataset_description"),
        ({"visibility": "secret"}, "visibility"),
        ({"task_types": '["drawing"]'}, "task_types"),
    ],
)
async def test_bad_fields_make_nothing(api: Api, fields: dict[str, str], place: str) -> None:
    answer = await made_by(api, await api.login("owner"), form("a.jpg"), **fields)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:2] == ["body", place]
    assert await rows(api, "SELECT id FROM datasets") == []


async def test_a_form_without_name_or_files_makes_nothing(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.post("/api/v1/datasets/upload", files=form("a.jpg"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "dataset_name"]
    for files in ([("files", ("", b""))], form(annotation_file=coco(boxes(1)))):
        answer = await made_by(api, owner, files)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["body", "files"]
    late: list[tuple[str, Any]] = [("dataset_name", (None, "A")), *form("a.jpg"), ("visibility", (None, "public"))]
    answer = await owner.post("/api/v1/datasets/upload", files=late)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "visibility"]
    assert "before its files" in answer.json()["detail"]
    async with api.client() as nobody:
        assert (await nobody.post("/api/v1/datasets/upload", files=form("a.jpg"))).status_code == 401
    assert [row["num_images"] for row in await rows(api, "SELECT num_images FROM datasets")] == [1]


async def test_tasks_that_are_no_json_are_none(api: Api) -> None:
    for text in ("detection", "{}", ""):
        answer = await made_by(api, await api.login("owner"), form("a.jpg"), task_types=text)
        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert (await project(api, Dataset(body["dataset_id"], body["project_id"])))["task_types"] == []


async def test_files_of_which_none_can_be_stored_make_no_dataset(api: Api) -> None:
    answer = await made_by(api, await api.login("owner"), [("files", ("a.jpg", b"no picture"))])
    body = answer.json()
    assert answer.status_code == 422
    assert body["code"] == "nothing_stored"
    assert body["failed_total"] == 1
    assert body["detail"].startswith("Nothing was stored of the file. a.jpg: it is not a JPEG")
    assert await rows(api, "SELECT id FROM datasets") == []


async def test_an_annotation_file_without_an_image_that_can_be_stored(api: Api) -> None:
    """It is imported all the same, for the images that are there; when that fails as well, the request does."""
    dataset = await api.dataset(images=1, tasks=["detection"])
    owner = await api.login("owner")
    where = f"/api/v1/datasets/{dataset.id}/images"
    bad: Files = [("files", ("a.jpg", b"no picture"))]
    good = await owner.post(
        where, files=[*bad, ("annotation_file", ("a.json", coco(boxes(1), ["train/good/0000.jpg"])))]
    )
    assert good.status_code == 200, good.text
    assert good.json()["annotations_imported"] == 1, good.text
    answer = await owner.post(where, files=[*bad, ("annotation_file", ("a.json", b"{}"))])
    assert answer.status_code == 422
    assert answer.json()["code"] == "nothing_stored"
    assert "The annotation file: " in answer.json()["detail"]


async def test_an_upload_that_is_cut_short_leaves_no_empty_dataset(api: Api) -> None:
    owner = await api.login("owner")
    body = CUT + picture()[:100]
    answer = await owner.post("/api/v1/datasets/upload", content=body, headers=MULTIPART)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_multipart"
    assert await rows(api, "SELECT id FROM datasets") == []
    body = CUT + picture() + b"\r\n" + PART % b"b" + picture()[:100]
    answer = await owner.post("/api/v1/datasets/upload", content=body, headers=MULTIPART)
    (row,) = await rows(api, "SELECT id, num_images FROM datasets")
    assert answer.status_code == 400
    assert answer.json()["dataset_id"] == row["id"]
    assert row["num_images"] == 1
    assert f"The dataset {row['id']} stays." in answer.json()["detail"]


async def test_a_dataset_that_is_uploaded_again_with_its_key_is_the_same(api: Api) -> None:
    owner = await api.login("owner")
    data, key = {"dataset_name": "A", "task_types": '["detection"]'}, {"Idempotency-Key": "k"}
    files = form("a.jpg", annotation_file=coco(boxes(1), ["a.jpg"]))
    cut = CUT + picture()[:100]
    answer = await owner.post("/api/v1/datasets/upload", content=cut, headers={**key, **MULTIPART})
    assert answer.status_code == 400
    assert await rows(api, "SELECT id FROM datasets") == []
    answers = [await owner.post("/api/v1/datasets/upload", data=data, files=files, headers=key) for _ in range(2)]
    first, second = [answer.json() for answer in answers]
    assert first["dataset_id"] == second["dataset_id"]
    assert [one["upload_summary"]["annotations_imported"] for one in (first, second)] == [1, 0]
    assert len(await rows(api, "SELECT id FROM datasets")) == 1


async def test_two_uploads_with_annotations_at_once_lose_nothing(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    files = [form(f"{n}.jpg", annotation_file=coco(boxes(1, 1), [f"{n}.jpg"])) for n in range(4)]
    bodies = await asyncio.gather(*(send(owner, dataset, one) for one in files))
    assert [body["annotations_imported"] for body in bodies] == [2, 2, 2, 2], bodies
    await check_counters(api, dataset)
    assert len((await project(api, dataset))["task_classes"]["detection"]) == 2
