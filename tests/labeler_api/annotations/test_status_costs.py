"""What lists of statuses and of images cost: the same for many annotations an image, whatever the planner believes.

Counted in pages of 8 KiB that PostgreSQL looks at, which are the same on a busy machine.
"""

from collections.abc import AsyncIterator, Iterator
from time import process_time
from typing import Any

import asyncpg
import msgspec
import pytest

from labeler_api.annotations.progress import store as progress_store
from labeler_api.images.listing import store as images_store
from tests.fixtures.annotating import MEMBERS, box, check_counters, create_annotation, no_object
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.timing import check_within

IMAGES = 500
FOREIGN = 50_000  # a hundred times as many, of somebody else
# A page of an index holds some 60 ids of images at worst, and every row of a table may stand on a page of its own. The
# page of statuses goes down the index for each of its 200 images.
PAGES = IMAGES * 4 + 200 * 5

_ACCESS = ("datasets", "annotation_projects", "project_permissions", "project_changes")
FIRST = "'-infinity', '', NULL, NULL, NULL"
NOT_KNOWN = "NULL, NULL, NULL"
_TABLES = ("image_metadata", "image_annotation_status", "annotations")

_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, size)
    SELECT $1, 'train/good/' || to_char(n, 'FM000000'), n || '.jpg', 'k', 1 FROM generate_series($2::int, $3::int) n
"""
_COUNT = """
    UPDATE datasets d SET num_images = (SELECT count(*) FROM image_metadata i WHERE i.dataset_id = d.id) WHERE d.id = $1
"""
_ANNOTATIONS = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    SELECT $1, i.id, 'bbox', 'detection', '{"type": "bbox", "bbox": [1, 2, 3, 4]}', 2
    FROM image_metadata i, generate_series(1, $3::int) WHERE i.dataset_id = $2
"""
_STATUSES = """
    INSERT INTO image_annotation_status (
        project_id, image_id, task_type, status, first_modified_at, last_modified_at, total_annotations,
        draft_annotations, no_object_annotations, counted_total, counted_modified_at)
    SELECT $1, id, 'detection', 'in-progress', now(), now(), $3::int, $3::int, 0, $3::int, now()
    FROM image_metadata WHERE dataset_id = $2
"""


@pytest.fixture
async def connection(labeler_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(labeler_dsn, server_settings={"jit": "off"})
    for table in _TABLES:  # statistics are what the test says
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    yield connection
    await connection.close()


async def filled(connection: asyncpg.Connection, number: int, images: int, annotations: int) -> None:
    """A project with work on every image."""
    dataset, project = f"ds_{number}", f"proj_{number}"
    await connection.execute("INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ($1, $1, 2, 'x')", dataset)
    await connection.execute(
        "INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes)"
        " VALUES ($1, 'x', $2, 2, '{detection}', '{}', '{}')",
        project,
        dataset,
    )
    await connection.execute(_IMAGES, dataset, 1, images)
    await connection.execute(_COUNT, dataset)
    await connection.execute(_ANNOTATIONS, project, dataset, annotations)
    await connection.execute(_STATUSES, project, dataset, annotations)


async def looked_at(connection: asyncpg.Connection, sql: str, arguments: str, mode: str) -> tuple[int, set[str]]:
    """How many pages a statement looks at, and which tables it reads."""
    plan = await explained(connection, sql, arguments, mode)
    tables = {node["Relation Name"] for node in _nodes(plan) if "Relation Name" in node and node["Actual Loops"]}
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], tables


async def explained(connection: asyncpg.Connection, sql: str, arguments: str, mode: str) -> dict[str, Any]:
    """The plan of a statement, with what came of it."""
    statement = await connection.prepare(sql)
    types = ", ".join(parameter.name for parameter in statement.get_parameters())
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE listed ({types}) AS {sql}")
    try:
        found = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE listed ({arguments})"
        )
    finally:
        await connection.execute("DEALLOCATE listed")
    plan: dict[str, Any] = msgspec.json.decode(found)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


async def costs(connection: asyncpg.Connection, number: int) -> dict[str, int]:
    """The pages of each statement, planned for its values and for any; none reads an annotation."""
    who = f"'proj_{number}', 2"
    # Behind a cursor there is the page alone; this one stands before all images.
    places = {
        "first": f"200, 0, {FIRST}",
        "first alone": "200, 0, '-infinity', '!', NULL, NULL, NULL",
        "last": f"200, {IMAGES - 200}, {FIRST}",
    }
    asked = {
        f"{kind}, {place}": (sql, f"{who}, {task}, {arguments}")
        for kind, sql, task in (
            ("task", progress_store._PAGE_IN_TASK, "'detection'"),
            ("any", progress_store._PAGE_IN_ANY, "NULL"),
        )
        for place, arguments in places.items()
    }
    asked["images, first"] = (images_store._PAGE, f"{who}, 50, 0, {NOT_KNOWN}")
    asked["images, last"] = (images_store._PAGE, f"{who}, 50, {IMAGES - 50}, {NOT_KNOWN}")
    found = {}
    for name, (sql, arguments) in asked.items():
        for mode in ("force_custom_plan", "force_generic_plan"):
            pages, tables = await looked_at(connection, sql, arguments, mode)
            assert tables <= {*_ACCESS, "image_metadata", "image_annotation_status"}, (name, mode)
            found[f"{name}, {mode}"] = pages
    return found


@pytest.mark.parametrize("state", ["none", "empty", "foreign", "before the work", "fresh"])
async def test_the_cost_is_the_same_for_1_and_100_annotations_an_image(
    connection: asyncpg.Connection, state: str
) -> None:
    analyze = f"ANALYZE {', '.join(_TABLES)}"
    if state == "empty":
        await connection.execute(analyze)
    if state == "foreign":
        await filled(connection, 9, FOREIGN, 1)
        await connection.execute(analyze)
    if state == "before the work":
        await filled(connection, 8, 3, 1)
        await connection.execute(analyze)
    await filled(connection, 1, IMAGES, 1)
    few = await costs(connection, 1)
    await filled(connection, 100, IMAGES, 100)
    if state == "fresh":
        await connection.execute(analyze)
    many = await costs(connection, 100)
    assert {name: pages for name, pages in {**few, **many}.items() if pages > PAGES} == {}
    assert {name: pages for name, pages in many.items() if pages > few[name] * 1.1 + 20} == {}
    for kind in ("task", "any"):  # what stands behind the page
        first, alone = (many[f"{kind}, {place}, force_custom_plan"] for place in ("first", "first alone"))
        assert first - alone < 100


@pytest.mark.parametrize(
    ("sql", "task"),
    [
        (images_store._PAGE, ""),
        (progress_store._PAGE_IN_TASK, "'detection', "),
        (progress_store._PAGE_IN_ANY, "NULL, "),
    ],
    ids=["images", "statuses of a task", "statuses"],
)
async def test_the_last_page_walks_no_further_than_the_first(
    connection: asyncpg.Connection, sql: str, task: str
) -> None:
    await filled(connection, 1, IMAGES, 1)
    await connection.execute(f"ANALYZE {', '.join(_TABLES)}")

    async def walked(offset: int) -> float:
        """How many rows of images are met."""
        arguments = f"'proj_1', 2, {task}50, {offset}, {FIRST if task else NOT_KNOWN}"
        plan = await explained(connection, sql, arguments, "force_generic_plan")
        nodes = [node for node in _nodes(plan) if node.get("Relation Name") == "image_metadata"]
        rows: float = sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes)
        return rows

    first = await walked(0)
    assert first >= 50
    assert await walked(IMAGES - 50) <= first
    assert await walked(IMAGES // 2) <= first + IMAGES // 2


async def test_what_is_known_is_not_read(connection: asyncpg.Connection) -> None:
    """Not an image and not a status; the access to them, a page of an index or two each, is all there is."""
    await filled(connection, 1, IMAGES, 1)
    asked = {
        "statuses": (progress_store._PAGE_IN_TASK, "'proj_1', 2, 'detection', 50, 0, '-infinity', '', 0, 0, NULL"),
        "images": (images_store._PAGE, f"'proj_1', 2, 50, 0, 'proj_1', 0, {IMAGES}"),
        "images behind": (images_store._PAGE_AFTER, f"'proj_1', 2, 50, '-infinity', '', 'proj_1', 0, {IMAGES}"),
    }
    for name, (sql, arguments) in asked.items():
        for mode in ("force_custom_plan", "force_generic_plan"):
            plan = await explained(connection, sql, arguments, mode)
            assert _met(plan, *_TABLES) == 0, (name, mode)
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 30, (name, mode)


@pytest.mark.parametrize("state", ["none", "empty", "before the work", "fresh"])
@pytest.mark.parametrize("begun", [1, 40, 400])
async def test_few_that_were_begun_are_looked_up(connection: asyncpg.Connection, state: str, begun: int) -> None:
    """Beside the page, which alone is behind a cursor. To walk past all images is for those who began many of them."""
    if state == "before the work":
        await filled(connection, 8, 3, 1)
    if state in {"empty", "before the work"}:
        await connection.execute(f"ANALYZE {', '.join(_TABLES)}")
    await filled(connection, 1, IMAGES, 1)
    await connection.execute("DELETE FROM image_annotation_status WHERE right(image_id, 6)::int > $1", begun)
    if state == "fresh":
        await connection.execute(f"ANALYZE {', '.join(_TABLES)}")
    for sql, task in ((progress_store._PAGE_IN_TASK, "'detection'"), (progress_store._PAGE_IN_ANY, "NULL")):
        for mode in ("force_custom_plan", "force_generic_plan"):
            first, alone = [
                _met(await explained(connection, sql, f"'proj_1', 2, {task}, 50, 0, {place}", mode), "image_metadata")
                for place in (FIRST, FIRST.replace("''", "'!'"))
            ]
            few = begun * progress_store._LOOK_UP <= IMAGES
            assert first - alone == begun if few else first - alone >= IMAGES, (task, mode)


@pytest.mark.parametrize("close", [True, False], ids=["close together", "far apart"])
@pytest.mark.parametrize("state", ["none", "empty", "fresh"])
async def test_many_are_read_together_where_they_lie_close_together(
    connection: asyncpg.Connection, state: str, close: bool
) -> None:
    """To look one up is three pages of the index and one of the table. To see how they lie is a part of the index."""
    begun = progress_store._MANY + 500
    if state == "empty":
        await connection.execute(f"ANALYZE {', '.join(_TABLES)}")
    await filled(connection, 1, begun * progress_store._LOOK_UP, 0)
    kept = f"<= {begun}" if close else f"% {progress_store._LOOK_UP} = 0"
    await connection.execute(f"DELETE FROM image_annotation_status WHERE NOT right(image_id, 6)::int {kept}")
    if state == "fresh":
        await connection.execute(f"ANALYZE {', '.join(_TABLES)}")
    for sql, task in ((progress_store._PAGE_IN_TASK, "'detection'"), (progress_store._PAGE_IN_ANY, "NULL")):
        for mode in ("force_custom_plan", "force_generic_plan"):
            first, alone = [
                await explained(connection, sql, f"'proj_1', 2, {task}, 50, 0, {place}", mode)
                for place in (FIRST, FIRST.replace("''", "'!'"))
            ]
            seen = begun if close else begun * progress_store._NEIGHBOURS + 1
            assert _met(first, "image_metadata") - _met(alone, "image_metadata") == begun + seen, (task, mode)
            pages = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in (first, alone)]
            assert pages[0] - pages[1] < begun * (1 if close else 5), (task, mode)


def _met(plan: dict[str, Any], *tables: str) -> float:
    """How many rows of these tables a statement met, those among them that it threw away."""
    nodes = [node for node in _nodes(plan) if node.get("Relation Name") in tables]
    met: float = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes
    )
    return met


async def test_ten_thousand_images_behind_a_page(api: Api) -> None:
    """As many as there may be: all there, in order, for a fraction of a second of our time, and once."""
    dataset = await api.dataset(tasks=["detection"], members=MEMBERS)
    async with api.db.begin() as tx:
        await tx.execute(_IMAGES, dataset.id, 1, 10_300)
        await tx.execute(_COUNT, dataset.id)
        await tx.execute(_ANNOTATIONS, dataset.project_id, dataset.id, 1)
        await tx.execute(_STATUSES, dataset.project_id, dataset.id, 1)
    client = await api.login("viewer")
    path = f"/api/v1/projects/{dataset.project_id}/images/status"
    params: dict[str, Any] = {"task_type": "detection", "limit": 200}
    answer = await client.get(path, params=params)
    found = answer.json()
    assert found["total"] == 10_300
    numbers = [int(item["image_id"].rpartition("/")[2]) for item in found["statuses"]]
    assert numbers == list(range(1, 10_201))
    assert {item["status"] for item in found["statuses"]} == {"in-progress"}
    spent = []
    for _ in range(5):
        started = process_time()
        await client.get(path, params=params, headers={"Accept-Encoding": "identity"})
        spent.append(process_time() - started)
    check_within(min(spent), 0.25, "CPU time: some 40 ms, the test's own client among it")
    headers = {"If-None-Match": answer.headers["etag"]}
    with api.count() as count:
        assert (await client.get(path, params=params, headers=headers)).status_code == 304
    assert count.value == 1


_NO_OBJECT = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by, annotation_state)
    VALUES ($1, $2, 'no_object', 'detection', '{}', 2, 'confirmed')
"""
_COUNTERS = """
    UPDATE annotation_projects p SET revision = revision + 1, (total_annotations, annotated_images) =
        (SELECT count(*), count(DISTINCT image_id) FROM annotations a WHERE a.project_id = p.id) WHERE p.id = $1
"""


async def test_what_the_api_of_before_wrote_is_counted_and_then_kept_again(api: Api) -> None:
    """It changes and makes rows without a word of the `no_object`s."""
    dataset = await api.dataset(images=2, tasks=["detection"], members=MEMBERS)
    client = await api.login("annotator")
    await create_annotation(client, box(dataset, 0))

    async def shown() -> list[bool]:
        path = f"/api/v1/projects/{dataset.project_id}/images/status"
        answers = [(await client.get(path, params=params)).json() for params in ({}, {"task_type": "detection"})]
        first, second = ([item["has_no_object"] for item in answer["statuses"]] for answer in answers)
        assert first == second
        return first

    await _written_before(api, dataset, 0, _NO_OBJECT)
    await _written_before(api, dataset, 1, _NO_OBJECT)
    assert await shown() == [True, True]
    await create_annotation(client, box(dataset, 0))
    await create_annotation(client, box(dataset, 1))
    await check_counters(api, dataset)
    assert await shown() == [True, True]
    gone = "DELETE FROM annotations WHERE project_id = $1 AND image_id = $2 AND annotation_type = 'no_object'"
    await _written_before(api, dataset, 0, gone)
    assert await shown() == [False, True]
    changed = (
        "UPDATE annotations SET annotation_type = 'bbox', updated_at = now() WHERE project_id = $1 AND image_id = $2"
    )
    await _written_before(api, dataset, 1, changed)
    assert await shown() == [False, False]
    await create_annotation(client, no_object(dataset, 0))
    assert await shown() == [True, False]


async def _written_before(api: Api, dataset: Dataset, image: int, write: str) -> None:
    """A write and what followed from it, as the API of before did it."""
    settle = """
        WITH counted AS (
            SELECT count(*)::int AS total, min(created_at) AS first, max(updated_at) AS last
            FROM annotations WHERE project_id = $1 AND image_id = $2 AND task_type = 'detection'
        ),
        changed AS (
            UPDATE image_annotation_status s
            SET total_annotations = c.total, first_modified_at = c.first, last_modified_at = c.last,
                draft_annotations = 0, confirmed_annotations = c.total
            FROM counted c WHERE s.project_id = $1 AND s.image_id = $2 AND s.task_type = 'detection' RETURNING s.id
        )
        INSERT INTO image_annotation_status (project_id, image_id, task_type, status, first_modified_at,
            last_modified_at, total_annotations, confirmed_annotations)
        SELECT $1::varchar, $2::varchar, 'detection', 'in-progress', first, last, total, total FROM counted
        WHERE NOT EXISTS (SELECT FROM changed)
    """
    async with api.db.begin() as tx:
        await tx.execute(write, dataset.project_id, dataset.image_ids[image])
        await tx.execute(settle, dataset.project_id, dataset.image_ids[image])
        await tx.execute(_COUNTERS, dataset.project_id)
