"""Maintenance mode as the API's users meet it: reading goes on, writing answers 503 and says when to come back."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from labeler_api.app import API_ROUTES
from labeler_api.http.endpoint import operation_of
from labeler_api.process.maintenance import Maintenance
from labeler_ops.maintenance import fence
from tests.fixtures.annotating import box, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

WRITES = [
    operation
    for route in API_ROUTES
    if (operation := operation_of(route)) is not None and operation.method != "GET" and operation.writes
]
POLL = 0.01
STILL_ANSWERED = {"/auth/login", "/datasets/{dataset_id}/storage/preview"}


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    return await project_with_members(api)


@asynccontextmanager
async def following(api: Api) -> AsyncIterator[list[bool]]:
    """The application hears of the switch, as it does in a process; what it heard."""
    heard: list[bool] = []

    async def note(on: bool) -> None:
        heard.append(on)

    dsn = api.services.settings.labeler_db_url
    async with api.services.maintenance.watched(dsn, note):
        yield heard


async def until_on(api: Api, on: bool) -> None:
    async with asyncio.timeout(1):  # what the operators are promised
        await following_until(api, on)


async def following_until(api: Api, on: bool) -> None:
    while True:
        if api.services.maintenance.on == on:
            return
        await asyncio.sleep(POLL)


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "maintenance"
    assert "maintenance" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_process_obeys_within_a_second_and_comes_back(api: Api, dataset: Dataset) -> None:
    annotator, dsn = await api.login("annotator"), api.services.settings.labeler_db_url
    async with following(api) as heard:
        await fence.on(dsn, reason="We move house.", by="me")
        await until_on(api, True)
        answer = await annotator.post("/api/v1/annotations", json=box(dataset))
        refused(answer)
        assert "We move house." in answer.json()["detail"]
        refused(
            await annotator.post(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}/acquire", json={})
        )
        for path in (
            f"/projects/{dataset.project_id}",
            f"/annotations/project/{dataset.project_id}",
            "/datasets",
            "/auth/me",
        ):
            assert (await annotator.get(f"/api/v1{path}")).status_code == 200
        await fence.off(dsn, by="me")
        await until_on(api, False)
        assert (await annotator.post("/api/v1/annotations", json=box(dataset))).status_code == 200
    assert heard == [True, False]


async def test_a_process_that_missed_the_news_cannot_write_either(api: Api, dataset: Dataset) -> None:
    await fence.on(api.services.settings.labeler_db_url, reason="x", by="me")
    assert not api.services.maintenance.on
    annotator = await api.login("annotator")
    refused(await annotator.post("/api/v1/annotations", json=box(dataset)))
    refused(await annotator.post(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}/acquire", json={}))
    assert (await annotator.get(f"/api/v1/annotations/project/{dataset.project_id}")).json() == []


async def test_the_news_arrives_although_the_connection_was_cut(api: Api) -> None:
    dsn = api.services.settings.labeler_db_url
    async with following(api), asyncio.timeout(10):
        while True:
            if await cut(dsn):
                break
        await fence.on(dsn, reason="x", by="me")
        await following_until(api, True)


async def cut(dsn: str) -> int:
    """End the connections that follow the switch; how many there were."""
    connection = await asyncpg.connect(dsn)
    try:
        sql = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'labeler_api maintenance'"
        )
        ended: int = await connection.fetchval(sql)
        return ended
    finally:
        await connection.close()


def test_every_call_that_changes_something_is_refused_but_for_those_that_do_not() -> None:
    posts = {o.path for route in API_ROUTES if (o := operation_of(route)) and o.method != "GET" and not o.writes}
    assert posts == STILL_ANSWERED
    assert len(WRITES) > 35


async def test_a_forced_process_refuses_every_write_and_no_login(api: Api) -> None:
    object.__setattr__(api.services, "maintenance", Maintenance(forced=True))
    owner = await api.login("owner")
    for operation in WRITES:
        path = operation.path.replace(":path}", "}").format_map(defaultdict(lambda: "1"))
        refused(await owner.request(operation.method, f"/api/v1{path}", json={}))
    async with api.client() as client:
        body = {"email": "owner@example.com", "password": "owner123"}
        assert (await client.post("/api/v1/auth/login", json=body)).status_code == 200
