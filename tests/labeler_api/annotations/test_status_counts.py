"""The numbers of images of a task are kept: whoever writes a status, and however many do at once."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from labeler_api.annotations.progress import store as progress_store
from tests.fixtures.annotating import check_status_counts
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.labeler_api.annotations.test_status_costs import explained

MANY = 2000
_MADE = """
    INSERT INTO image_annotation_status (project_id, image_id, task_type, is_image_confirmed)
    SELECT $1, 'image ' || n, $2, n % 4 = 0 FROM generate_series($3::int, $4::int) n
"""
_CONFIRMED = "UPDATE image_annotation_status SET is_image_confirmed = $3 WHERE project_id = $1 AND image_id = $2"
_TURNED = "UPDATE image_annotation_status SET is_image_confirmed = NOT is_image_confirmed WHERE project_id = $1"
_TOUCHED = "UPDATE image_annotation_status SET total_annotations = total_annotations + 1 WHERE project_id = $1"


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    return await api.dataset(tasks=["detection", "classification"], images=1)


@pytest.fixture
async def connection(labeler_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(labeler_dsn)
    yield connection
    await connection.close()


async def parts(api: Api, dataset: Dataset) -> int:
    """How many rows the numbers are the sum of."""
    found = await rows(api, "SELECT FROM image_status_counts WHERE project_id = $1", dataset.project_id)
    return len(found)


async def made_one(api: Api, dataset: Dataset, connection: asyncpg.Connection) -> None:
    """Write until one of the transactions has made one row of all that were free."""
    for number in range(1000):
        if await parts(api, dataset) == 1:
            break
        await connection.execute(_MADE, dataset.project_id, "detection", 10_000 + number, 10_000 + number)
    assert await parts(api, dataset) == 1


async def test_every_way_to_write_a_status_is_counted(
    api: Api, dataset: Dataset, connection: asyncpg.Connection
) -> None:
    project = dataset.project_id
    for write in (
        (_MADE, project, "detection", 1, MANY),
        (_MADE, project, "classification", 1, 3),
        (_CONFIRMED, project, "image 1", True),
        (_CONFIRMED, project, "image 4", False),
        (_TURNED, project),
        (_TOUCHED, project),
        ("DELETE FROM image_annotation_status WHERE project_id = $1 AND image_id LIKE '%1%'", project),
        ("DELETE FROM image_annotation_status WHERE project_id = $1", project),
    ):
        await connection.execute(*write)
        await check_status_counts(api, project)
    async with connection.transaction():
        await connection.execute(_MADE, project, "detection", 1, 10)
        await connection.execute("SAVEPOINT one")
        await connection.execute(_MADE, project, "detection", 11, 20)
        await connection.execute("ROLLBACK TO SAVEPOINT one")
        await connection.execute(_MADE, project, "detection", 21, 30)
    await check_status_counts(api, project)


async def test_statistics_read_the_numbers_and_no_status(
    api: Api, dataset: Dataset, connection: asyncpg.Connection
) -> None:
    await connection.execute(_MADE, dataset.project_id, "detection", 1, MANY)
    await connection.execute("ANALYZE")
    for mode in ("force_custom_plan", "force_generic_plan"):
        plan = await explained(connection, progress_store._STATS, f"'{dataset.project_id}', 2", mode)
        pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        assert pages < 30, mode  # of the statuses themselves there are some hundred
    answer = await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}/stats")
    found = {line["task_type"]: (line["confirmed"], line["in_progress"]) for line in answer.json()["task_stats"]}
    assert found == {"detection": (MANY // 4, MANY - MANY // 4), "classification": (0, 0)}


async def test_writers_of_different_images_do_not_wait_for_each_other(
    api: Api, dataset: Dataset, labeler_dsn: str, connection: asyncpg.Connection
) -> None:
    project = dataset.project_id
    other = await asyncpg.connect(labeler_dsn, server_settings={"lock_timeout": "1s"})
    try:
        for first in (1, 100):  # without a row to begin with, and with one
            async with connection.transaction():
                await connection.execute(_MADE, project, "detection", first, first)
                await other.execute(_MADE, project, "detection", first + 1, first + 1)
                await other.execute(_CONFIRMED, project, f"image {first + 1}", True)
            await check_status_counts(api, project)
        assert await parts(api, dataset) > 1
        await made_one(api, dataset, other)
        await check_status_counts(api, project)
    finally:
        await other.close()


async def test_one_transaction_changes_a_row_once(api: Api, dataset: Dataset, connection: asyncpg.Connection) -> None:
    """A version of the row for each change would lie in the way of the next one."""
    project = dataset.project_id
    await connection.execute(_MADE, project, "detection", 1, 1)
    async with connection.transaction():
        for number in range(2, 300):
            await connection.execute(_MADE, project, "detection", number, number)
        changes = await connection.fetchval(
            "SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'image_status_counts'"
        )
    assert changes == 1
    await check_status_counts(api, project)
    await made_one(api, dataset, connection)
    await check_status_counts(api, project)


async def test_many_changes_at_once_do_not_pile_up(api: Api, dataset: Dataset, connection: asyncpg.Connection) -> None:
    """Somebody confirms many images, and takes it back: each change but the first of a transaction adds a row."""
    project = dataset.project_id
    await connection.execute(_MADE, project, "detection", 1, 200)
    for _ in range(40):
        await connection.execute(_TURNED, project)
    assert await parts(api, dataset) <= 200 + 64
    await check_status_counts(api, project)


async def test_a_storm_of_writers(api: Api, dataset: Dataset, labeler_dsn: str) -> None:
    project = dataset.project_id

    async def write(number: int) -> None:
        connection = await asyncpg.connect(labeler_dsn)
        try:
            for turn in range(30):
                image = number * 1000 + turn
                await connection.execute(_MADE, project, ("detection", "classification")[turn % 2], image, image + 1)
                await connection.execute(_CONFIRMED, project, f"image {image}", turn % 3 == 0)
                if turn % 5 == 4:
                    gone = "DELETE FROM image_annotation_status WHERE project_id = $1 AND image_id = $2"
                    await connection.execute(gone, project, f"image {image}")
        finally:
            await connection.close()

    await asyncio.gather(*(write(number) for number in range(1, 7)))
    await check_status_counts(api, project)


async def test_a_project_that_is_deleted_leaves_no_numbers(api: Api, dataset: Dataset) -> None:
    """As the API of before deletes it: everything of it goes by cascade."""
    async with api.db.begin() as tx:
        await tx.execute(_MADE, dataset.project_id, "detection", 1, 20)
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM annotation_projects WHERE id = $1", dataset.project_id)
    assert await parts(api, dataset) == 0
