"""A page ends at a number of bytes, says so, and goes on by cursor; what no page could hold is left out."""

from typing import Any

import httpx
import pytest

from labeler_api.db.page_bytes import PAGE_BYTES, VALUE_BYTES
from tests.fixtures.annotating import at, box, create_annotation, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.labeler_api.annotations.test_list import fill, ids, url

MEGABYTE = 1_000_000
_SENT = 8 * 2**20


async def put(api: Api, dataset: Dataset, size: int, number: int = 1, *, notes: bool = False) -> None:
    """Insert annotations with so many characters in their attributes, past the service, as legacy rows are."""
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations"
            " (project_id, image_id, annotation_type, task_type, geometry, attributes, notes, created_by)"
            " SELECT $1, $2, 'bbox', 'detection', '{\"type\": \"bbox\", \"bbox\": [1, 2, 3, 4]}',"
            " CASE WHEN $5 THEN '{}'::jsonb ELSE jsonb_build_object('x', repeat('x', $3::int)) END,"
            " CASE WHEN $5 THEN repeat('x', $3::int) END, 4 FROM generate_series(1, $4::int)",
            dataset.project_id,
            dataset.image_ids[0],
            size,
            number,
            notes,
        )
        await tx.execute(
            "INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by)"
            " SELECT id, project_id, image_id, 'create', to_jsonb(a), 4 FROM annotations a WHERE project_id = $1",
            dataset.project_id,
        )
        await tx.execute("UPDATE annotation_projects SET revision = revision + 1 WHERE id = $1", dataset.project_id)


async def walk(client: httpx.AsyncClient, where: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """Read every page, by cursor."""
    pages = []
    cursor = ""
    while True:
        answer = await client.get(where, params={**parameters, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= _SENT
        pages.append(answer.json())
        cursor = answer.headers.get("X-Next-Cursor", "")
        if not cursor:
            return pages


@pytest.mark.parametrize("of_image", [False, True])
async def test_pages_of_large_rows(api: Api, of_image: bool) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await put(api, dataset, 2 * MEGABYTE, 10)
    more = {"image_id": dataset.image_ids[0]} if of_image else {}
    for _ in range(2):  # the second time what is kept is asked, too
        pages = await walk(client, url(dataset), skip=0, limit=1000, **more)
        rows = [row for page in pages for row in page]
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
        assert all(len(row["attributes"]["x"]) == 2 * MEGABYTE for row in rows)


async def test_pages_of_the_history(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await put(api, dataset, 2 * MEGABYTE, 7)
    history = f"/api/v1/annotations/history/project/{dataset.project_id}"
    pages = await walk(client, history, skip=0, limit=100)
    assert [len(page) for page in pages] == [3, 3, 1]
    one = pages[0][0]
    assert [[one]] == await walk(client, f"/api/v1/annotations/history/annotation/{one['annotation_id']}")


@pytest.mark.parametrize("notes", [False, True])
async def test_a_row_that_no_page_could_hold(api: Api, notes: bool) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await put(api, dataset, PAGE_BYTES + MEGABYTE, notes=notes)
    await fill(api, dataset, 2)
    left_out = "[left out: 7291456 bytes]" if notes else {"left_out_bytes": 7291465}
    where = "notes" if notes else "attributes"
    for query in ({}, {"image_id": dataset.image_ids[0]}):
        (page,) = await walk(client, url(dataset), **query)
        assert page[0][where] == left_out
        assert page[0]["geometry"] == {"type": "bbox", "bbox": [1, 2, 3, 4]}
    ((large, *_),) = await walk(client, url(dataset))
    assert (await client.get(at(large))).json()[where] == left_out
    changed = await client.put(at(large), json={"confidence": 5})
    assert changed.json()[where] == left_out
    async with api.db.read() as connection:
        assert (
            await connection.fetchval(
                "SELECT octet_length(attributes::text) + octet_length(concat(notes)) FROM annotations WHERE id = $1",
                large["id"],
            )
            > PAGE_BYTES
        )  # a change of something else leaves it as it was
    restored = await client.post(at(large, "/restore"), json={"revision": changed.json()["version"]})
    assert restored.status_code == 409
    assert restored.json()["code"] == "revision_too_large"


async def test_what_fits_is_sent_whole(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await put(api, dataset, VALUE_BYTES - 100)
    (page,) = await walk(client, url(dataset))
    assert len((await client.get(at(page[0]))).json()["attributes"]["x"]) == VALUE_BYTES - 100


async def test_a_thousand_polygons_are_one_page(api: Api) -> None:
    """Of three hundred points each: data as people have it, and the frontend asks once."""
    dataset, client = await project_with_members(api), await api.login("viewer")
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
            " SELECT $1, $2, 'polygon', 'segmentation', jsonb_build_object('type', 'polygon', 'points', (SELECT"
            " jsonb_agg(jsonb_build_array(round((n * 7 + p * 1013) % 64000 / 100.0, 2),"
            " round((n * 11 + p * 705) % 48000 / 100.0, 2)))"
            " FROM generate_series(1, 300) p)), 4 FROM generate_series(1, 1000) n",
            dataset.project_id,
            dataset.image_ids[0],
        )
    answer = await client.get(url(dataset), params={"skip": 0, "limit": 1000})
    assert len(ids(answer)) == 1000
    assert len(answer.content) > 4 * MEGABYTE


async def test_a_page_ends_before_its_text_costs_too_much(api: Api) -> None:
    """Three times as long as they are stored, but it could be ninety times: PostgreSQL looks at some 200 of them."""
    dataset, client = await project_with_members(api), await api.login("viewer")
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations"
            " (project_id, image_id, annotation_type, task_type, geometry, attributes, created_by)"
            " SELECT $1, $2, 'bbox', 'detection', '{\"type\": \"bbox\", \"bbox\": [1, 2, 3, 4]}',"
            " jsonb_build_object('x', repeat('x', 10000) || (SELECT string_agg(md5(n || ' ' || p), '')"
            " FROM generate_series(1, 160) p)), 4 FROM generate_series(1, 300) n",
            dataset.project_id,
            dataset.image_ids[0],
        )
    pages = await walk(client, url(dataset), skip=0, limit=1000)
    assert sum(map(len, pages)) == 300
    assert 100 < len(pages[0]) < 250
    rows = [row["id"] for page in pages for row in page]
    assert rows == sorted(set(rows))


async def test_a_kept_page_that_grows_beyond_a_page(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    body = await create_annotation(client, box(dataset))
    await put(api, dataset, 2 * MEGABYTE, 2)
    assert len(ids(await client.get(url(dataset)))) == 3
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotations SET attributes = jsonb_build_object('x', repeat('y', 3000000)) WHERE id = $1",
            body["id"],
        )
        await tx.execute("UPDATE annotation_projects SET revision = revision + 1")
    pages = await walk(client, url(dataset))
    assert [len(page) for page in pages] == [2, 1]
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotations SET attributes = '{}' WHERE id = $1", body["id"])
        await tx.execute("UPDATE annotation_projects SET revision = revision + 1")
    assert [len(page) for page in await walk(client, url(dataset))] == [3]
