"""What PostgreSQL knows of annotations after a large import: a job sees to it, and the call does not wait for it."""

from labeler_api.imports.writing import statistics
from tests.fixtures.annotation_files import coco
from tests.fixtures.api import Api
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows

NAMES = [f"train/good/{number:04d}.jpg" for number in range(10)]
_JOBS = "SELECT payload FROM pgqueuer WHERE entrypoint = $1"
_KNOWN = "SELECT greatest(reltuples, 0)::int AS number FROM pg_class WHERE oid = 'annotations'::regclass"


async def added(api: Api, number: int) -> None:
    """Import so many boxes into a dataset of their own."""
    dataset, browser = await api.dataset(tasks=["detection"], images=len(NAMES)), await api.login("owner")
    boxes = [{"image_id": 1 + n % len(NAMES), "bbox": [n, 1, 2, 3]} for n in range(number)]
    files = [("files", ("extra.png", picture())), ("annotation_file", ("a.json", coco(boxes, NAMES)))]
    answer = await browser.post(f"/api/v1/datasets/{dataset.id}/images", files=files, timeout=120)
    assert answer.json()["annotations_imported"] == number, answer.text


async def test_statistics_are_gathered_after_a_large_import(api: Api) -> None:
    await added(api, 10)
    assert await rows(api, _JOBS, statistics.KIND) == []  # it makes nothing untrue
    await added(api, 6000)
    (job,) = await rows(api, _JOBS, statistics.KIND)
    await statistics.handle(api.services, job["payload"])
    (known,) = await rows(api, _KNOWN)
    assert 5000 < known["number"] < 7000


async def test_a_job_that_comes_late_does_nothing(api: Api) -> None:
    """PostgreSQL has looked by itself meanwhile, and found more than came."""
    async with api.db.begin() as tx:
        await tx.execute("UPDATE pg_class SET reltuples = 1000000 WHERE oid = 'annotations'::regclass")
    await statistics.gather(api.services.db, 6000)
    (known,) = await rows(api, _KNOWN)
    assert known["number"] == 1_000_000
