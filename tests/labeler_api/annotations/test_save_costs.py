"""A save counts by what it did: it costs the same however much is drawn on the image, and the counts stay true."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from labeler_api.annotations.editing import store as editing_store
from tests.fixtures.annotating import MEMBERS, at, box, check_counters, create_annotation, no_object, polygon
from tests.fixtures.api import Api
from tests.labeler_api.annotations.test_kept_plans import _DRAFT
from tests.labeler_api.annotations.test_status_costs import filled, looked_at

MANY = 3_000  # on one image: to count them takes more than a hundred pages
_WHO = "'{owner}', '{owner}', true"


@pytest.fixture
async def connection(labeler_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(labeler_dsn, server_settings={"jit": "off"})
    yield connection
    await connection.close()


async def test_a_save_costs_the_same_however_much_is_drawn_on_the_image(connection: asyncpg.Connection) -> None:
    """Counted in pages of 8 KiB."""
    await filled(connection, 1, 1, 5)
    one = await connection.fetchval("SELECT min(id) FROM annotations")
    draft = _DRAFT.replace("000007", "000001")
    saves = {
        "create": (editing_store._CREATE, f"'proj_1', 2, '{{owner}}', true, '{{owner}}', '{draft}', 60"),
        "update": (editing_store._UPDATE, f"""{one}, 2, {_WHO}, NULL, '{{"notes": "x"}}', 60"""),
        "confirm": (editing_store._SET_STATE, f"{one}, 2, {_WHO}, 'confirmed', 'confirm_if_complete'"),
    }

    async def pages() -> dict[str, int]:
        found = {}
        for name, (sql, arguments) in saves.items():
            for _ in range(2):  # the first time a session reads the catalog, too
                found[name], _tables = await looked_at(connection, sql, arguments, "force_generic_plan")
        return found

    few = await pages()
    await connection.execute(
        "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
        " SELECT 'proj_1', 'train/good/000001', 'bbox', 'detection', '{}', 2 FROM generate_series(1, $1)",
        MANY,
    )
    await connection.execute(
        "UPDATE image_annotation_status SET (total_annotations, draft_annotations, counted_total, last_modified_at,"
        " counted_modified_at) = (SELECT count(*), count(*), count(*), max(updated_at), max(updated_at)"
        " FROM annotations) WHERE project_id = 'proj_1'"
    )
    many = await pages()
    assert {name: (few[name], number) for name, number in many.items() if number > few[name] + 30} == {}


async def test_the_counts_are_those_of_a_recount_after_each_save(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=2, members=MEMBERS)
    client = await api.login("reviewer")

    async def do(method: str, path: str, **body: object) -> None:
        answer = await client.request(method, path, json=body or None)
        assert answer.status_code == 200, answer.text
        await check_counters(api, dataset)

    boxes = [await create_annotation(client, box(dataset)) for _ in range(4)]
    await check_counters(api, dataset)
    other_task = await create_annotation(client, polygon(dataset))
    await check_counters(api, dataset)
    await do("PUT", at(boxes[1]), notes="x")
    await do("POST", at(boxes[1], "/confirm"))
    await do("POST", at(boxes[1], "/confirm"))
    await do("DELETE", at(boxes[2]))  # neither the earliest nor the latest
    await do("DELETE", at(boxes[0]))  # the earliest
    await do("POST", at(boxes[3], "/confirm"))
    await do("POST", at(boxes[3], "/unconfirm"))
    await do("DELETE", at(boxes[3]))  # the latest
    nothing = await create_annotation(client, no_object(dataset))
    await check_counters(api, dataset)
    await do("DELETE", at(boxes[1]))
    await do("DELETE", at(nothing))  # the last one of its task
    await do("DELETE", at(other_task))  # the last one of the image
    back = await create_annotation(client, box(dataset))  # as one that was deleted
    assert back["id"] in {one["id"] for one in boxes}
    await check_counters(api, dataset)


@pytest.mark.parametrize("wrong", ["counted_total = 0", "counted_modified_at = NULL, no_object_annotations = NULL"])
async def test_a_status_that_another_version_wrote_is_counted_anew(api: Api, wrong: str) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    client = await api.login("reviewer")
    one = await create_annotation(client, box(dataset))
    await create_annotation(client, box(dataset))
    async with api.db.begin() as tx:
        await tx.execute(
            f"UPDATE image_annotation_status SET {wrong}, draft_annotations = 7 WHERE project_id = $1",
            dataset.project_id,
        )
    assert (await client.put(at(one), json={"notes": "x"})).status_code == 200
    await check_counters(api, dataset)
