"""Writes and locks: 423 under somebody else's, extended by the holder, short on an image that nobody holds."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import (
    at,
    box,
    create_annotation,
    history,
    hold,
    leave,
    locks,
    no_object,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

WRITES = ["create", "update", "delete"]


async def write(client: httpx.AsyncClient, kind: str, dataset: Dataset, body: dict[str, Any]) -> httpx.Response:
    if kind == "create":
        return await client.post("/api/v1/annotations", json=box(dataset))
    if kind == "update":
        return await client.put(at(body), json={"notes": "x"})
    return await client.delete(at(body))


@pytest.mark.parametrize("kind", WRITES)
async def test_under_somebody_elses_lock(api: Api, kind: str) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), box(dataset))
    await hold(api, dataset, "annotator")
    before = await rows(api, "SELECT * FROM image_locks")
    response = await write(await api.login("reviewer"), kind, dataset, body)
    answer = response.json()
    assert response.status_code == 423
    assert answer["code"] == "image_locked"
    assert "Annotator Example" in answer["detail"]
    assert answer["lock"].keys() == {
        "image_id",
        "user_id",
        "locked_at",
        "expires_at",
        "heartbeat_at",
        "user_name",
        "user_email",
    }
    assert answer["lock"]["user_id"] == ANNOTATOR.id
    assert answer["lock"]["user_email"] == "annotator@example.com"
    assert await rows(api, "SELECT * FROM image_locks") == before
    assert len(await history(api, body["id"])) == 1
    # A page that loads a second image or an expired lock does not stand in the way.
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_locks SET expires_at = clock_timestamp()")
    assert (await write(await api.login("reviewer"), kind, dataset, body)).status_code == 200


@pytest.mark.parametrize("kind", WRITES)
async def test_the_holder_writes_on_and_is_extended(api: Api, kind: str) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await hold(api, dataset, "annotator")
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_locks SET expires_at = clock_timestamp() + interval '2 seconds'")
    assert (await write(client, kind, dataset, body)).status_code == 200
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 300)}


@pytest.mark.parametrize("kind", WRITES)
async def test_on_a_free_image_a_short_lock_is_taken(api: Api, kind: str) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60)}
    await leave(api, dataset, "annotator")
    assert (await write(client, kind, dataset, body)).status_code == 200
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60)}
    (first,) = await rows(api, "SELECT locked_at, expires_at FROM image_locks")
    await create_annotation(client, box(dataset))
    (second,) = await rows(api, "SELECT locked_at, expires_at FROM image_locks")
    assert second["locked_at"] == first["locked_at"]
    assert second["expires_at"] > first["expires_at"]
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60)}


async def test_opening_the_image_makes_a_short_lock_a_long_one(api: Api) -> None:
    dataset = await project_with_members(api)
    await create_annotation(await api.login("annotator"), box(dataset))
    await hold(api, dataset, "annotator")
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 300)}


async def test_a_write_after_the_own_lock_ran_out(api: Api) -> None:
    dataset = await project_with_members(api)
    await hold(api, dataset, "annotator")
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_locks SET expires_at = clock_timestamp() - interval '1 second'")
    await create_annotation(await api.login("annotator"), box(dataset))
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60)}


async def test_the_order_of_refusals(api: Api) -> None:
    """404, 403, 423, 409."""
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("reviewer"), box(dataset))
    await hold(api, dataset, "reviewer")
    change = {"notes": "x", "version": 9}
    for account, expected in (
        ("stranger", 404),
        ("viewer", 403),
        ("annotator", 403),
        ("admin", 423),
        ("reviewer", 409),
    ):
        response = await (await api.login(account)).put(at(body), json=change)
        assert response.status_code == expected, account


async def test_many_images_one_after_the_other(api: Api) -> None:
    """The screen's batch actions write to images that were never opened."""
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    for image in range(3):
        await create_annotation(client, no_object(dataset, image))
    assert await locks(api, dataset) == dict.fromkeys(dataset.image_ids, (4, 60))
    response = await (await api.login("reviewer")).post("/api/v1/annotations", json=box(dataset, 1))
    assert response.status_code == 423


async def test_writers_of_a_free_image_side_by_side(api: Api) -> None:
    dataset = await project_with_members(api)
    accounts = ["annotator", "reviewer", "admin", "owner"]
    clients = [await api.login(account) for account in accounts] * 6
    answers = await asyncio.gather(*(client.post("/api/v1/annotations", json=box(dataset)) for client in clients))
    by_status = sorted(answer.status_code for answer in answers)
    assert by_status == [200] * 6 + [423] * 18
    assert len({answer.json()["created_by"] for answer in answers if answer.status_code == 200}) == 1


async def test_save_with_release_and_acquire_beside_it(api: Api) -> None:
    """What the screen does on every save, many times over: no save is refused."""
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    target = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}"
    body = await create_annotation(client, box(dataset))
    for number in range(15):
        saved, _, acquired = await asyncio.gather(
            client.put(at(body), json={"notes": str(number)}), client.delete(target), client.post(f"{target}/acquire")
        )
        assert saved.status_code == 200, saved.text
        assert acquired.json()["status"] in {"acquired", "refreshed"}
