"""POST /annotations/import/project/{id}: what is answered, written, replaced and refused."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import MEMBERS, box, check_counters, create_annotation, history, hold, leave, locks
from tests.fixtures.annotation_files import annotations, boxes, coco, imported, project, stored, take
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

DETECTION: Mapping[str, Mapping[str, object]] = {
    "detection": {"c1": {"name": "scratch", "color": "#ff0000", "order": 4}}
}


async def project_with_members(
    api: Api, tasks: Sequence[str] = ("detection",), classes: Mapping[str, Mapping[str, object]] = DETECTION
) -> Dataset:
    """Three images, and a member of each role."""
    return await api.dataset(images=3, tasks=list(tasks), members=MEMBERS, classes=classes)


async def test_an_import_answers_with_counts_and_a_report(api: Api) -> None:
    dataset = await project_with_members(api)
    names = ["train/good/0000.jpg", "train/good/0002.jpg"]
    answer = await take(
        api, dataset, coco([*boxes(1, 2), {"image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4]}], names)
    )
    assert answer == {
        "status": "success",
        "project_id": dataset.project_id,
        "imported": 3,
        "skipped": 0,
        "total": 3,
        "report": {
            "status": "imported",
            "format": "coco",
            "imported": 3,
            "skipped": 0,
            "total": 3,
            "replaced": 0,
            "images": 2,
            "skipped_images": 0,
            "tasks": {"detection": 3},
            "tasks_added": [],
            "classes_added": [{"task_type": "detection", "class_id": "7", "name": "dent"}],
            "warnings": [],
            "errors": [],
            "error_count": 0,
            "code": None,
            "detail": None,
        },
    }


async def test_what_is_imported_is_confirmed_by_the_importer_and_has_a_history(api: Api) -> None:
    dataset = await project_with_members(api)
    before = await project(api, dataset)
    await take(api, dataset, coco(boxes(1, 1)))
    first, second = await annotations(api, dataset)
    assert first["geometry"] == {"type": "bbox", "bbox": [10, 20, 30, 40], "image_width": 640, "image_height": 480}
    assert first["image_id"] == dataset.image_ids[0]
    assert first["annotation_type"] == "bbox"
    assert first["task_type"] == "detection"
    assert first["class_id"] == "c1"
    assert first["class_name"] == "scratch"
    assert first["attributes"] == {}
    assert first["annotation_state"] == "confirmed"
    assert first["version"] == 1
    assert first["created_by"] == first["confirmed_by"] == USER_IDS["owner"]
    assert first["confirmed_at"] is not None
    (revision,) = await history(api, second["id"])
    assert revision["action"] == "create"
    assert revision["revision"] == 1
    assert revision["previous_state"] is None
    assert revision["image_id"] == dataset.image_ids[0]
    assert revision["changed_by"] == USER_IDS["owner"]
    assert revision["new_state"]["geometry"] == second["geometry"]
    assert revision["new_state"]["annotation_state"] == "confirmed"
    await check_counters(api, dataset)
    after = await project(api, dataset)
    assert after["revision"] > before["revision"]
    assert after["last_updated_by"] == USER_IDS["owner"]
    # The image itself is not confirmed by that: only a person's look at it is (or was).
    (status,) = await rows(api, "SELECT * FROM image_annotation_status WHERE project_id = $1", dataset.project_id)
    assert status["status"] == "in-progress"
    assert status["is_image_confirmed"] is False
    assert status["confirmed_annotations"] == 2
    owner = await api.login("owner")
    listed = (await owner.get(f"/api/v1/annotations/project/{dataset.project_id}")).json()
    assert [one["class_name"] for one in listed] == ["scratch", "scratch"]


async def test_classes_are_found_by_name_and_missing_ones_come_behind_the_others(api: Api) -> None:
    dataset = await project_with_members(api)
    await take(api, dataset, coco([{"bbox": [1, 2, 3, 4], "category_id": 7}]))
    assert (await project(api, dataset))["task_classes"] == {
        "detection": {
            "c1": {"name": "scratch", "color": "#ff0000", "order": 4},
            "7": {"name": "dent", "color": "#123456", "description": None, "order": 5},
        }
    }
    owner = await api.login("owner")
    shown = (await owner.get(f"/api/v1/projects/{dataset.project_id}")).json()["task_classes"]["detection"]
    assert shown["7"]["name"] == "dent"
    assert shown["7"]["bbox_count"] == 1


async def test_a_task_that_the_project_lacks_is_added(api: Api) -> None:
    dataset = await project_with_members(api, ["classification"], {"classification": {}})
    answer = await take(api, dataset, coco(boxes(1)))
    assert answer["report"]["tasks_added"] == ["detection"]
    after = await project(api, dataset)
    assert after["task_types"] == ["classification", "detection"]
    assert after["task_config"]["detection"] == {"show_labels": True, "show_confidence": False}
    assert [info["name"] for info in after["task_classes"]["detection"].values()] == ["scratch", "dent"]


async def test_annotations_that_are_there_are_replaced_only_by_force(api: Api) -> None:
    dataset = await project_with_members(api)
    annotator = await api.login("annotator")
    old = await create_annotation(annotator, box(dataset, 1))
    await leave(api, dataset, "annotator", 1)
    owner = await api.login("owner")
    await stored(api, dataset, coco(boxes(1)))
    answer = await imported(owner, dataset)
    assert answer.status_code == 400
    assert answer.json()["code"] == "annotations_exist"
    assert "force=true" in answer.json()["detail"]

    answer = await imported(owner, dataset, force="true")
    assert answer.status_code == 200
    assert answer.json()["imported"] == 1
    assert answer.json()["report"]["replaced"] == 1
    (new,) = await annotations(api, dataset)
    assert new["image_id"] == dataset.image_ids[0]
    created, deleted = await history(api, old["id"])
    assert created["action"] == "create"
    assert deleted["action"] == "delete"
    assert deleted["revision"] == 2
    assert deleted["previous_state"]["class_name"] == "scratch"
    assert deleted["changed_by"] == USER_IDS["owner"]
    await check_counters(api, dataset)


async def test_force_gives_nothing_up_for_a_file_that_cannot_be_imported(api: Api) -> None:
    dataset = await project_with_members(api)
    old = await create_annotation(await api.login("owner"), box(dataset))
    owner = await api.login("owner")
    for content in (coco([]), coco(boxes(1, 1), ["nobody.jpg"]), b"{", coco([*boxes(1), {"bbox": [0, 0, 0, 0]}])):
        await stored(api, dataset, content)
        answer = await imported(owner, dataset, force=True)
        assert answer.status_code == 422, answer.text
        assert [one["id"] for one in await annotations(api, dataset)] == [old["id"]]


async def test_a_refusal_says_everything_that_is_wrong(api: Api) -> None:
    dataset = await project_with_members(api)
    content = coco([{"bbox": [0, 0, -1, 5]}, {"image_id": 9, "bbox": [0, 0, 1, 1]}, *boxes(1), *[{"bbox": [1]}] * 150])
    await stored(api, dataset, content)
    answer = await imported(await api.login("owner"), dataset)
    body = answer.json()
    assert answer.status_code == 422
    assert body["code"] == "import_refused"
    assert body["detail"].startswith("Nothing was imported. annotations[0]: geometry.bbox")
    assert body["report"]["error_count"] == 152
    assert len(body["errors"]) == len(body["report"]["errors"]) == 100
    assert body["errors"][1] == {"loc": ["annotations[1]"], "message": "its image_id 9 is not among the images"}
    assert await annotations(api, dataset) == []


async def test_a_file_over_the_limit_is_refused_before_it_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, content = await project_with_members(api), coco(boxes(1))
    await stored(api, dataset, content)
    monkeypatch.setattr("labeler_api.imports.stored.service.MAX_FILE_BYTES", len(content) - 1)
    answer = await imported(await api.login("owner"), dataset)
    assert answer.status_code == 413
    assert answer.json()["code"] == "annotation_file_too_large"
    assert await annotations(api, dataset) == []


async def test_without_a_file_there_is_nothing_to_import(api: Api) -> None:
    dataset = await project_with_members(api)
    owner = await api.login("owner")
    answer = await imported(owner, dataset)
    assert answer.status_code == 404
    assert answer.json()["code"] == "no_annotation_file"
    key = await stored(api, dataset, coco(boxes(1)))
    await api.services.objects.delete_many("datasets", [key])
    answer = await imported(owner, dataset)
    assert answer.status_code == 404
    assert answer.json()["code"] == "annotation_file_missing"
    answer = await imported(owner, "proj_nothing")
    assert answer.status_code == 404
    assert answer.json()["code"] == "project_not_found"
    assert (await imported(owner, dataset, force="perhaps")).status_code == 422


@pytest.mark.parametrize(
    ("account", "status"),
    [("owner", 200), ("admin", 200), ("reviewer", 403), ("annotator", 403), ("viewer", 403), ("stranger", 404)],
)
async def test_it_takes_an_admin(api: Api, account: str, status: int) -> None:
    dataset = await project_with_members(api)
    await stored(api, dataset, coco(boxes(1)))
    assert (await imported(await api.login(account), dataset)).status_code == status
    async with api.client() as nobody:
        assert (await imported(nobody, dataset)).status_code == 401


async def test_the_dataset_id_names_the_project_too(api: Api) -> None:
    dataset = await project_with_members(api)
    await stored(api, dataset, coco(boxes(1)))
    answer = await imported(await api.login("owner"), dataset.id)
    assert answer.status_code == 200
    assert answer.json()["project_id"] == dataset.project_id


async def test_an_image_that_somebody_works_on_stops_the_import(api: Api) -> None:
    dataset = await project_with_members(api)
    await hold(api, dataset, "annotator", 1)
    await stored(api, dataset, coco(boxes(1, 2), ["train/good/0000.jpg", "train/good/0001.jpg"]))
    owner = await api.login("owner")
    answer = await imported(owner, dataset)
    body = answer.json()
    assert answer.status_code == 423
    assert body["code"] == "image_locked"
    assert body["lock"]["image_id"] == dataset.image_ids[1]
    assert body["lock"]["user_id"] == USER_IDS["annotator"]
    assert body["lock"]["user_name"] in body["detail"]
    assert await annotations(api, dataset) == []
    assert await locks(api, dataset) == {dataset.image_ids[1]: (USER_IDS["annotator"], 300)}
    await leave(api, dataset, "annotator", 1)
    assert (await imported(owner, dataset)).status_code == 200
    assert await locks(api, dataset) == {}  # it held the images while it was at work, and nobody waits for its release


async def test_force_does_not_delete_under_the_hands_of_others(api: Api) -> None:
    dataset = await project_with_members(api)
    await create_annotation(await api.login("annotator"), box(dataset, 2))
    await stored(api, dataset, coco(boxes(1)))
    answer = await imported(await api.login("owner"), dataset, force=True)
    assert answer.status_code == 423
    assert answer.json()["lock"]["image_id"] == dataset.image_ids[2]
    assert len(await annotations(api, dataset)) == 1


async def test_two_imports_at_once_are_one(api: Api) -> None:
    dataset = await project_with_members(api)
    await stored(api, dataset, coco(boxes(1, 1, 1)))
    owner = await api.login("owner")
    answers = await asyncio.gather(*(imported(owner, dataset) for _ in range(4)))
    first, *others = sorted(answer.status_code for answer in answers)
    assert first == 200
    assert set(others) <= {400, 423}  # 423 where the first took longer than a second
    assert len(await annotations(api, dataset)) == 3
    await check_counters(api, dataset)


async def test_statements_do_not_grow_with_the_file(api: Api) -> None:
    counts = []
    for number in (1, 10, 1000):
        dataset = await project_with_members(api)
        await stored(api, dataset, coco(boxes(*[1] * number)))
        with api.count() as statements:
            answer = await imported(await api.login("owner"), dataset)
        assert answer.status_code == 200
        assert answer.json()["imported"] == number
        counts.append(statements.value)
    assert counts == [counts[0]] * 3
    # Four transactions: three short ones beside the long one, so that nobody waits for it.
    assert counts[0] <= 26


async def test_an_import_that_is_sent_again_answers_the_same(api: Api) -> None:
    dataset = await project_with_members(api)
    await stored(api, dataset, coco(boxes(1, 1)))
    owner = await api.login("owner")
    path = f"/api/v1/annotations/import/project/{dataset.project_id}"
    first, second = [await owner.post(path, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert len(await annotations(api, dataset)) == 2
    assert (await owner.post(path, headers={"Idempotency-Key": "k2"})).status_code == 400
