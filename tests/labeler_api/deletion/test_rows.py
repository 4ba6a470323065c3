"""The rows of what was deleted: they stay at the answer, and go in batches that another process can finish."""

import asyncio
import itertools

from labeler_api.deletion.datasets import row_deletion as deleted_rows
from labeler_api.deletion.datasets import rows_store
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import delete, done, full_dataset, left, objects_of, ordered, workers
from tests.fixtures.rows import rows

_BATCHES = 3
_MANY = _BATCHES * rows_store._ROWS

_FILLED = (
    """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    SELECT $1, 'a', 'bbox', 'detection', '{}', 2 FROM generate_series(1, $2::int)
    """,
    """
    INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by, revision)
    SELECT n, $1, 'a', 'create', '{}', 2, 1 FROM generate_series(1, $2::int) n
    """,
    """
    INSERT INTO image_annotation_status (project_id, image_id, task_type)
    SELECT $1, n::text, 'detection' FROM generate_series(1, $2::int) n
    """,
)


async def filled(api: Api) -> Dataset:
    """A dataset whose rows are no one batch."""
    dataset = await full_dataset(api)
    async with api.db.begin() as tx:
        for sql in _FILLED:
            await tx.execute(sql, dataset.project_id, _MANY)
        await tx.execute(
            "UPDATE annotation_projects SET total_annotations = $2 WHERE id = $1", dataset.project_id, _MANY
        )
    return dataset


async def test_the_answer_hides_and_a_job_deletes(api: Api) -> None:
    dataset = await filled(api)
    before = await left(api, dataset)
    answer = await delete(await api.login("owner"), dataset)
    assert answer.status_code == 200, answer.text
    assert answer.json()["labeler_deletions"]["annotations"] == _MANY
    after = await left(api, dataset)
    gone = {"invitations", "project_permissions", "annotation_projects"}  # the project has left its dataset
    assert after == {table: number for table, number in before.items() if table not in gone}
    async with workers(api):
        await done(api)
    assert await left(api, dataset) == {}
    assert await objects_of(api, dataset) == []
    assert await rows(api, "SELECT FROM annotation_projects WHERE id = $1", dataset.project_id) == []


async def test_a_batch_has_a_bound_and_goes_on_where_it_ended(api: Api) -> None:
    dataset, other = await filled(api), await full_dataset(api)
    kept = await left(api, other)
    for part in rows_store.OF_PROJECT[:3]:
        table = part.deletion.removeprefix("DELETE FROM ")
        behind: tuple[object, ...] | None = part.first
        numbers = [(await left(api, dataset))[table]]
        while behind is not None:
            async with api.db.begin() as tx:
                behind = await rows_store.delete_batch(tx, part, dataset.project_id, behind)
            numbers.append((await left(api, dataset)).get(table, 0))
        steps = [before - after for before, after in itertools.pairwise(numbers)]
        assert steps == [rows_store._ROWS] * _BATCHES + [numbers[0] - _BATCHES * rows_store._ROWS, 0], table
    assert await left(api, other) == kept


async def test_a_process_that_dies_leaves_the_rest_to_the_next(api: Api) -> None:
    dataset = await filled(api)
    assert (await delete(await api.login("owner"), dataset)).status_code == 200
    job = asyncio.create_task(deleted_rows.handle(api.services, await ordered(api, deleted_rows.KIND)))
    while (found := (await left(api, dataset)).get("annotations", 0)) > _MANY:  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0.001)
    job.cancel()
    await asyncio.wait({job})
    assert found
    async with workers(api):
        await done(api)
    assert await left(api, dataset) == {}
    assert await objects_of(api, dataset) == []


async def test_what_somebody_has_put_back_keeps_its_rows(api: Api) -> None:
    dataset = await full_dataset(api)
    owner = await api.login("owner")
    before = await left(api, dataset)
    assert (await delete(owner, dataset)).status_code == 200
    async with api.db.begin() as tx:
        await tx.execute("UPDATE datasets SET deleted_at = NULL, owner_id = 2 WHERE id = $1", dataset.id)
        await tx.execute("UPDATE annotation_projects SET dataset_id = $1 WHERE id = $2", dataset.id, dataset.project_id)
    async with workers(api):
        await done(api)
    assert await left(api, dataset) == {
        table: number for table, number in before.items() if table not in {"invitations", "project_permissions"}
    }
    assert len(await objects_of(api, dataset)) == 8


async def test_the_api_of_before_finds_neither(api: Api) -> None:
    """It knows nothing of `deleted_at`, and runs for as long as a deployment takes."""
    dataset, other = await full_dataset(api, visibility="public"), await full_dataset(api)
    owner = await api.login("owner")
    assert (await delete(owner, dataset)).status_code == 200
    assert (await owner.delete(f"/api/v1/projects/{other.project_id}")).status_code == 204
    access = """
        SELECT d.id, d.visibility, d.owner_id, m.role, p.id AS project_id
        FROM datasets d
        LEFT JOIN annotation_projects p ON p.dataset_id = d.id
        LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = 2
        WHERE d.id = COALESCE((SELECT dataset_id FROM annotation_projects WHERE id = $1), $1)
    """
    nobodys = {"id": dataset.id, "visibility": "private", "owner_id": 0, "role": None, "project_id": None}
    assert await rows(api, access, dataset.id) == [nobodys]
    assert await rows(api, access, dataset.project_id) == []
    assert await rows(api, access, other.project_id) == []
    listed = """
        SELECT id FROM datasets WHERE visibility = 'public' OR owner_id = 2 OR id IN (
            SELECT p.dataset_id FROM project_permissions m JOIN annotation_projects p ON p.id = m.project_id
            WHERE m.user_id = 2)
    """
    assert await rows(api, listed) == [{"id": other.id}]
