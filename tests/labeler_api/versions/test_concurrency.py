import asyncio
from collections import Counter

import pytest

from labeler_api.versions.formats import COCO
from tests.fixtures.accounts import REVIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.versions import (
    CLASSES,
    annotate,
    annotation,
    downloaded,
    publish,
    published,
    stored_keys,
)
from tests.labeler_api.versions.gate import Gate


async def _dataset(api: Api) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    return dataset


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    gate.offer(monkeypatch)
    return gate


async def test_ten_at_once_get_ten_numbers(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")

    answers = await asyncio.gather(*(publish(owner, dataset, export_format=COCO.name) for _ in range(10)))

    assert [answer.status_code for answer in answers] == [200] * 10
    numbers = {answer.json()["version_number"] for answer in answers}
    assert numbers == {f"v{n}.0" for n in range(1, 11)}
    page = (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()
    assert [version["version_number"] for version in page["versions"]] == [f"v{n}.0" for n in range(10, 0, -1)]
    settings = api.services.settings
    key = f"datasets/{dataset.id}/annotations_detection.json"
    copy = await api.services.objects.head(settings.s3_bucket_datasets, key)
    assert copy.metadata is not None
    assert copy.metadata["version"] == "v10.0"  # the latest, whoever copied last


async def test_of_ten_that_ask_for_a_number_one_gets_it(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")

    answers = await asyncio.gather(*(publish(owner, dataset, version_number="v5.0") for _ in range(10)))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await downloaded(api, winner)).status_code == 200
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_versions") == 1


async def test_an_attempt_under_way_is_seen_by_nobody_and_holds_its_number(api: Api, gate: Gate) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    under_way = asyncio.create_task(publish(owner, dataset, export_format="held", version_number="v1.0"))
    await gate.reached.wait()

    listed = (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()
    same = await publish(owner, dataset, version_number="v1.0")
    following = await publish(owner, dataset)
    gate.opened.set()
    first = await under_way

    assert listed["total"] == 0
    assert same.status_code == 409
    assert following.json()["version_number"] == "v2.0"
    assert first.json()["version_number"] == "v1.0"
    assert (await downloaded(api, first.json())).status_code == 200


async def test_what_is_edited_meanwhile_is_not_in_the_file(api: Api, gate: Gate) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    under_way = asyncio.create_task(publish(owner, dataset, export_format="held"))
    await gate.reached.wait()

    # Nobody waits for a publishing, and nothing that happens during it gets into the version.
    await asyncio.wait_for(annotate(api, dataset, annotation(dataset.image_ids[0])), 5)
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_projects SET name = 'Renamed', task_classes = '{}' WHERE id = $1", dataset.project_id
        )
    gate.opened.set()
    version = (await under_way).json()

    file = (await downloaded(api, version)).json()
    assert version["annotation_count"] == file["statistics"]["total_annotations"] == 1
    assert [entry["name"] for entry in file["classes"]] == ["cat", "dog"]


async def test_whoever_lost_the_role_meanwhile_publishes_nothing(api: Api, gate: Gate) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES, members={"reviewer": "admin"})
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    settings, folder = api.services.settings, f"exports/{dataset.project_id}/detection/v1.0"
    under_way = asyncio.create_task(publish(await api.login("reviewer"), dataset, export_format="held"))
    await gate.reached.wait()

    async with api.db.begin() as tx:
        await tx.execute(
            f"DELETE FROM project_permissions WHERE user_id = {REVIEWER.id} AND project_id = $1", dataset.project_id
        )
    gate.opened.set()

    assert (await under_way).status_code == 404
    left = await stored_keys(api, settings.s3_bucket_annotations, folder)
    assert not {f"{folder}/annotations.json", f"{folder}/annotations_held.json"} & set(left)
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_versions") == 0
        assert await connection.fetchval("SELECT count(*) FROM annotation_snapshots") == 0


async def test_a_project_deleted_meanwhile_is_not_published(api: Api, gate: Gate) -> None:
    dataset = await _dataset(api)
    under_way = asyncio.create_task(publish(await api.login("owner"), dataset, export_format="held"))
    await gate.reached.wait()

    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM datasets WHERE id = $1", dataset.id)
    gate.opened.set()

    assert (await under_way).status_code == 404


async def test_a_request_that_is_cancelled_leaves_nothing(api: Api, gate: Gate) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    under_way = asyncio.create_task(publish(owner, dataset, export_format="held"))
    await gate.reached.wait()

    under_way.cancel()
    await asyncio.wait({under_way})

    for _ in range(250):  # five seconds
        if await _attempts(api) == 0:
            break
        await asyncio.sleep(0.02)
    assert await _attempts(api) == 0
    assert (await published(owner, dataset))["version_number"] == "v1.0"


async def _attempts(api: Api) -> int:
    async with api.db.read() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM annotation_versions"))
