"""An import keeps others from the images that it writes to, and nobody from the others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import at, box, check_counters, create_annotation
from tests.fixtures.annotation_files import boxes, coco, imported, stored
from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows
from tests.fixtures.waiting import until_true, waiting
from tests.races.test_deletion import left_behind, rows_are_deleted
from tests.races.test_progress import _check_history, _wrong_statuses

MEMBERS = {"admin": "admin", "reviewer": "admin", "annotator": "annotator"}
CLASSES = {"detection": {"c1": {"name": "scratch", "color": "#ff0000", "order": 0}}}
NAMED, FREE = 0, 3  # the first two images are named by the files, the others are not
NAMES = ["train/good/0000.jpg", "train/good/0001.jpg"]


async def project_with_members(cluster: Cluster) -> Dataset:
    return await cluster.api.dataset(images=5, tasks=["detection"], members=MEMBERS, classes=CLASSES)


async def added(client: httpx.AsyncClient, dataset: Dataset, content: bytes, name: str = "extra") -> httpx.Response:
    """Upload a picture with a file of annotations, which come to those that there are."""
    return await client.post(
        f"/api/v1/datasets/{dataset.id}/images",
        files=[("files", (f"{name}.png", picture())), ("annotation_file", ("a.json", content))],
        timeout=120,
    )


@asynccontextmanager
async def standing_import(
    cluster: Cluster, dataset: Dataset, *, force: bool = False
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """An import that has written its annotations, and stands still before the rest until the block ends."""
    await stored(cluster.api, dataset, coco(boxes(*[1, 2] * 40), NAMES))
    async with cluster.api.db.begin() as tx:
        # The import wants to make this very row.
        await tx.execute(
            "INSERT INTO image_annotation_status (project_id, image_id, task_type) VALUES ($1, $2, 'detection')",
            dataset.project_id,
            dataset.image_ids[NAMED],
        )
        task = asyncio.create_task(imported(cluster.client("reviewer"), dataset, force=force))
        await waiting(cluster.api)
        try:
            yield task
        finally:
            await tx.execute(
                "DELETE FROM image_annotation_status WHERE project_id = $1 AND image_id = $2 AND status ="
                " 'not-started'",
                dataset.project_id,
                dataset.image_ids[NAMED],
            )


async def check(cluster: Cluster, dataset: Dataset) -> None:
    """What is stored is what a recount says, each revision once; and no image is kept from anybody."""
    await check_counters(cluster.api, dataset)
    assert await _wrong_statuses(cluster, dataset) == []
    await _check_history(cluster, dataset)
    await until_true(
        cluster.api, "SELECT NOT EXISTS (SELECT FROM importing_images WHERE project_id = $1)", dataset.project_id
    )


@pytest.mark.parametrize("force", [False, True], ids=["first", "replacing"])
async def test_while_an_import_is_at_work(cluster: Cluster, force: bool) -> None:
    dataset = await project_with_members(cluster)
    owner, annotator = cluster.client("owner", 1), cluster.client("annotator", 1)
    old = await create_annotation(owner, box(dataset, NAMED + 1)) if force else None
    await owner.delete(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[NAMED + 1]}")
    row = "SELECT ctid::text AS version FROM annotation_projects WHERE id = $1"
    async with standing_import(cluster, dataset, force=force) as importing:
        before = await rows(cluster.api, row, dataset.project_id)
        for client in (owner, annotator, cluster.client("reviewer", 1)):  # whoever imports writes elsewhere, too
            free = await create_annotation(client, box(dataset, FREE))
            assert (await client.put(at(free), json={"notes": "mine"})).status_code == 200
            assert (await client.post(at(free, "/confirm"))).status_code == 200
            assert (await client.delete(at(free))).status_code == 200
            await client.delete(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[FREE]}")
            refused = await client.post("/api/v1/annotations", json=box(dataset, NAMED))
            assert refused.status_code == 423
            assert refused.json()["code"] == "image_locked"
            assert "import" in refused.json()["detail"]
            assert refused.json()["lock"]["user_id"] == USER_IDS["reviewer"]
        of_image = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[NAMED + 1]}"
        refusals = [await owner.post(f"{of_image}/{what}", json={}) for what in ("confirm", "unconfirm")]
        if old is not None:
            refusals += [await owner.put(at(old), json={"notes": "late"}), await owner.delete(at(old))]
            refusals += [await owner.post(at(old, f"/{what}")) for what in ("confirm", "unconfirm")]
            many = await owner.post("/api/v1/annotations/bulk-confirm", json={"annotation_ids": [old["id"]]})
            assert many.json()["confirmed"] == 0
            assert many.json()["failed"] == 1
            assert "import" in many.json()["errors"][0]
        for refused in refusals:
            assert refused.status_code == 423, refused.text
            assert "import" in refused.json()["detail"]
        batch = {"annotations": [box(dataset, NAMED), box(dataset, FREE)]}
        some = (await owner.post("/api/v1/annotations/batch", json=batch)).json()
        assert some["created"] == 1
        assert some["failed"] == 1
        assert "import" in some["errors"][0]
        opened = await owner.post(
            f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[NAMED]}/acquire", json={}
        )
        assert opened.json()["status"] == "already_locked"
        assert not importing.done()
        # Each annotation of the import looks this row up: no save may leave it one more version to pass by.
        assert await rows(cluster.api, row, dataset.project_id) == before
    answer = await importing
    assert answer.status_code == 200, answer.text
    assert answer.json()["imported"] == 80, answer.text
    assert answer.json()["report"]["replaced"] == (1 if force else 0)
    assert (await owner.post("/api/v1/annotations", json=box(dataset, NAMED))).status_code == 200
    await check(cluster, dataset)


async def test_a_second_import_at_once(cluster: Cluster) -> None:
    """On the same images it is refused; on others it goes on, and both are counted."""
    dataset = await project_with_members(cluster)
    owner = cluster.client("owner", 1)
    async with standing_import(cluster, dataset) as importing:
        for force in (False, True):
            refused = await imported(owner, dataset, force=force)
            assert refused.status_code == 423, refused.text
            assert refused.json()["code"] == "import_running", refused.text
            assert "Another import" in refused.json()["detail"]
        same = await added(owner, dataset, coco(boxes(1), NAMES), "same")
        assert same.status_code in {422, 423}
        assert "import" in same.json()["detail"]
        other = await added(owner, dataset, coco(boxes(1, 1), ["train/good/0003.jpg"]), "other")
        assert other.json()["annotations_imported"] == 2, other.text
        assert not importing.done()
    assert (await importing).status_code == 200
    await check(cluster, dataset)
    assert len(await rows(cluster.api, "SELECT id FROM annotations WHERE project_id = $1", dataset.project_id)) == 82


async def test_the_importer_is_demoted(cluster: Cluster) -> None:
    """Nobody waits for the import to take a role away; and what it wrote is not committed."""
    dataset = await project_with_members(cluster)
    owner = cluster.client("owner", 1)
    async with standing_import(cluster, dataset) as importing:
        path = f"/api/v1/projects/{dataset.project_id}/permissions/{USER_IDS['reviewer']}"
        lowered = await owner.patch(path, json={"role": "viewer"})
        assert lowered.status_code == 200, lowered.text
        assert not importing.done()
    answer = await importing
    assert answer.status_code == 403
    assert answer.json()["code"] == "role_too_low"
    assert await rows(cluster.api, "SELECT id FROM annotations WHERE project_id = $1", dataset.project_id) == []


async def test_the_project_is_deleted(cluster: Cluster) -> None:
    """Beside an import and beside saves: the deletion waits for the one, and the others find nothing any more."""
    dataset = await project_with_members(cluster)
    owner, annotator = cluster.client("owner", 1), cluster.client("annotator", 0)
    met = Counter[int]()

    async def save() -> None:
        while True:
            answer = await annotator.post("/api/v1/annotations", json=box(dataset, FREE))
            met[answer.status_code] += 1
            if answer.status_code == 404:
                return

    async with standing_import(cluster, dataset) as importing:
        saving = asyncio.create_task(save())
        deleting = asyncio.create_task(owner.delete(f"/api/v1/projects/{dataset.project_id}"))
        await waiting(cluster.api, 2)
        assert not deleting.done()
    assert (await importing).status_code == 200
    assert (await deleting).status_code == 204
    await saving
    assert set(met) <= {200, 404}
    await rows_are_deleted(cluster)
    assert await left_behind(cluster, dataset, "project") == {}


async def test_a_class_of_the_file_is_renamed_meanwhile(cluster: Cluster) -> None:
    """The file is written once more, with classes as they are then."""
    dataset = await project_with_members(cluster)
    owner = cluster.client("owner", 1)
    async with standing_import(cluster, dataset) as importing:
        classes = f"/api/v1/projects/{dataset.project_id}/classes"
        body = {"name": "crack"}
        renamed = await owner.patch(f"{classes}/c1", params={"task_type": "detection"}, json=body)
        assert renamed.status_code == 200, renamed.text
        new = {"name": "another", "color": "#102030"}
        assert (await owner.post(classes, params={"task_type": "detection"}, json=new)).status_code == 201
    answer = await importing
    assert answer.status_code == 200, answer.text
    (stored_classes,) = await rows(
        cluster.api,
        "SELECT array(SELECT value ->> 'name' FROM jsonb_each(task_classes -> 'detection') ORDER BY 1) AS names,"
        " (SELECT bool_and(task_classes -> 'detection' ? class_id) FROM annotations WHERE project_id = p.id) AS known"
        " FROM annotation_projects p WHERE id = $1",
        dataset.project_id,
    )
    assert stored_classes["known"]
    assert stored_classes["names"] == ["another", "crack", "dent", "scratch"]
    await check(cluster, dataset)


async def test_a_storm_of_imports_and_saves(cluster: Cluster) -> None:
    """Two processes, three importers and three who save: no deadlock, and every number is what a recount says."""
    dataset = await project_with_members(cluster)
    met = Counter[str]()

    async def replace(number: int, client: httpx.AsyncClient) -> None:
        for turn in range(4):
            await stored(cluster.api, dataset, coco(boxes(*[1, 2] * (300 + turn)), NAMES))
            answer = await imported(client, dataset, force=True)
            met[f"replace {answer.status_code}"] += 1
            assert answer.status_code in {200, 404, 423}, answer.text  # 404: the other's file is gone from the store
            await asyncio.sleep(0.02 * number)

    async def add(client: httpx.AsyncClient) -> None:
        for turn in range(4):
            found = [{"image_id": 1, "bbox": [turn, n, 5, 5]} for n in range(200)]
            answer = await added(client, dataset, coco(found, ["train/good/0002.jpg"]), "storm")
            met[f"add {answer.json().get('annotations_imported')}"] += 1
            assert answer.status_code in {200, 422, 423}, answer.text

    async def save(number: int, client: httpx.AsyncClient) -> None:
        choose, known = seeded(11, number), list[int]()
        for _ in range(40):
            image = choose.randrange(5)
            if known and choose.random() < 0.4:
                one = f"/api/v1/annotations/{choose.choice(known)}"
                answer = await (client.post(f"{one}/confirm") if choose.random() < 0.5 else client.delete(one))
            else:
                answer = await client.post("/api/v1/annotations", json=box(dataset, image))
                if answer.status_code == 200:
                    known.append(answer.json()["id"])
            met[f"save {answer.status_code}"] += 1
            assert answer.status_code in {200, 404, 423}, answer.text

    owners, annotators = cluster.clients("owner"), cluster.clients("annotator")
    await asyncio.gather(
        *(replace(number, client) for number, client in enumerate(owners)),
        add(owners[0]),
        *(save(number, client) for number, client in enumerate([*annotators, owners[1]])),
    )
    assert met["save 200"] > 20
    await check(cluster, dataset)


async def test_an_import_whose_process_is_killed(mortal: Cluster) -> None:
    """Its images are free as soon as the database knows, and nothing of it is there."""
    dataset = await project_with_members(mortal)
    owner = mortal.client("owner", 1)
    async with standing_import(mortal, dataset) as importing:
        assert (await owner.post("/api/v1/annotations", json=box(dataset, NAMED))).status_code == 423
        await mortal.processes[0].kill()
        with pytest.raises(httpx.TransportError):
            await importing
        await until_true(
            mortal.api,
            "SELECT NOT EXISTS (SELECT FROM importing_images m WHERE m.project_id = $1"
            " AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot()))",
            dataset.project_id,
        )
    assert (await owner.post("/api/v1/annotations", json=box(dataset, NAMED))).status_code == 200
    await stored(mortal.api, dataset, coco(boxes(1, 2), NAMES))
    await owner.delete(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[NAMED]}")
    assert (await imported(owner, dataset, force=True)).json()["report"]["replaced"] == 1
    await check(mortal, dataset)
