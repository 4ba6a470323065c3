"""Two API processes asked in turn: what one has done, the other knows, and both refuse what one refuses.

The workers of one process (`API_WORKERS`) share no more than two replicas do. Their metrics are added up in
tests/observability/test_watched.py. Members and roles are taken away in tests/access/test_revocation.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from labeler_api.app import create_app, open_services
from labeler_ops.maintenance import fence
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.api_processes import ApiProcess, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import media_path, picture, upload
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.shared_storage import SharedStorage
from tests.fixtures.timing import check_within
from tests.fixtures.users import GATEWAY_TOKEN, UsersDatabase, gateway_settings
from user_gateway.server import Gateway

BELIEVED_SECONDS = 1.0  # of what the gateway said about a user
NOTICING_SECONDS = 5.0  # a round of questions on a busy machine
MEMBERS = {"annotator": "annotator", "reviewer": "reviewer", "viewer": "viewer"}
METRICS_TOKEN = "a token for who reads the metrics"
FIRST_DATASET = 0x2E91_0000  # other tests' datasets begin at 1, and all share the object store

pytestmark = [pytest.mark.slow, pytest.mark.destructive]


@pytest.fixture(scope="module")
async def users(clone_users: Callable[[], Awaitable[UsersDatabase]]) -> UsersDatabase:
    """A User DB that these tests may change."""
    return await clone_users()


@pytest.fixture(scope="module")
async def pair(
    create_database: DatabaseFactory,
    labeler_template: str,
    users: UsersDatabase,
    object_store: SeaweedServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Cluster]:
    """Two processes with one database, gateway, object store and storage of limits."""
    directory = tmp_path_factory.mktemp("alike")
    dsn = await create_database(labeler_template)
    storage, gateway = SharedStorage(directory), Gateway(gateway_settings(users.dsn))
    async with AsyncExitStack() as stack:
        stack.callback(storage.stop)
        await storage.start()
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        store = storage_environment(object_store)
        variables = {
            **store,
            "LABELER_DB_URL": dsn,
            "USER_GATEWAY_ADDRESS": f"127.0.0.1:{gateway.port}",
            "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
            "USER_CACHE_SECONDS": str(BELIEVED_SECONDS),
            "RATE_LIMIT_STORAGE": storage.url,
            "METRICS_TOKEN": METRICS_TOKEN,
        }
        services = await open_services(
            api_settings(dsn, variables["USER_GATEWAY_ADDRESS"], GATEWAY_TOKEN, store), stack
        )
        api = Api(create_app(services.settings, services), services, FIRST_DATASET)
        stack.push_async_callback(api.close)
        cluster = Cluster(api, [ApiProcess(variables, directory / f"{number}.log") for number in range(2)])
        stack.push_async_callback(cluster.close_clients)
        for process in cluster.processes:
            stack.push_async_callback(process.stop)
            process.launch()
        await asyncio.gather(*(process.ready() for process in cluster.processes))
        yield cluster
    await create_database.drop(dsn)


@pytest.fixture
async def dataset(pair: Cluster) -> Dataset:
    return await pair.api.dataset(images=2, tasks=["detection"], members=MEMBERS)


async def in_turn(pair: Cluster, account: str, method: str, path: str, **given: Any) -> list[httpx.Response]:
    """Ask the first process, then the second."""
    return [await client.request(method, f"/api/v1{path}", **given) for client in pair.clients(account)]


async def test_each_reads_at_once_what_the_other_wrote(pair: Cluster, dataset: Dataset) -> None:
    first, second = pair.clients("annotator")
    pages = [
        f"/annotations/project/{dataset.project_id}",
        f"/projects/{dataset.project_id}/images",
        f"/projects/{dataset.project_id}/stats",
        f"/datasets/{dataset.id}/images?random=false",
    ]
    before = {page: (await second.get(f"/api/v1{page}")).raise_for_status().headers.get("ETag") for page in pages}
    created = await create_annotation(first, box(dataset))
    for page in pages:
        one, other = await in_turn(pair, "reviewer", "GET", page)
        assert one.status_code == other.status_code == 200
        assert one.content == other.content, page
        assert one.headers.get("ETag") == other.headers.get("ETag"), page
    annotations = pages[0]
    fresh = await second.get(f"/api/v1{annotations}", headers={"If-None-Match": before[annotations] or ""})
    assert fresh.status_code == 200
    tag = {"If-None-Match": fresh.headers["ETag"]}
    assert [answer.status_code for answer in await in_turn(pair, "annotator", "GET", annotations, headers=tag)] == [
        304
    ] * 2

    changed = await second.put(f"/api/v1/annotations/{created['id']}", json={"class_name": "dent"})
    assert changed.status_code == 200, changed.text
    for answer in await in_turn(pair, "annotator", "GET", annotations, headers=tag):
        assert answer.status_code == 200
        assert [one["class_name"] for one in answer.json()] == ["dent"]
    late = {"class_name": "late", "version": created["version"]}
    for answer in await in_turn(pair, "annotator", "PUT", f"/annotations/{created['id']}", json=late):
        assert answer.status_code == 409


async def test_a_request_sent_again_to_the_other_makes_nothing_twice(pair: Cluster, dataset: Dataset) -> None:
    key = {"Idempotency-Key": "2f6c62a4-7f4c-4b53-9be5-0c4c3a0f7f10"}
    answers = await in_turn(pair, "annotator", "POST", "/annotations", json=box(dataset), headers=key)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    for answer in await in_turn(pair, "annotator", "GET", f"/annotations/project/{dataset.project_id}"):
        assert len(answer.json()) == 1


async def test_a_lock_of_one_is_known_to_the_other(pair: Cluster, dataset: Dataset) -> None:
    path = f"/image-locks/{dataset.project_id}/{dataset.image_ids[0]}"
    first, second = pair.clients("annotator")
    taken = await first.post(f"/api/v1{path}/acquire", json={})
    assert taken.json()["status"] == "acquired"
    assert (await second.post(f"/api/v1{path}/heartbeat")).status_code == 200
    for answer in await in_turn(pair, "reviewer", "POST", f"{path}/acquire", json={}):
        assert answer.json()["status"] == "already_locked"
    for answer in await in_turn(pair, "reviewer", "POST", "/annotations", json=box(dataset)):
        assert answer.status_code == 423
    assert (await second.delete(f"/api/v1{path}")).is_success
    one = await first.post(f"/api/v1{path}/acquire", json={})
    assert one.json()["status"] == "acquired"


async def test_wrong_passwords_are_counted_together(pair: Cluster) -> None:
    wrong = {"email": "viewer@example.com", "password": "wrong"}
    statuses: list[int] = []
    for _ in range(4):
        statuses += [answer.status_code for answer in await in_turn(pair, "viewer", "POST", "/auth/login", json=wrong)]
    assert statuses == [401] * 5 + [429] * 3
    for answer in await in_turn(pair, "viewer", "POST", "/auth/login", json=wrong):
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0


async def test_both_obey_maintenance_and_come_back(pair: Cluster, dataset: Dataset) -> None:
    dsn = pair.api.services.settings.labeler_db_url
    await fence.on(dsn, reason="We move house.", by="me")
    try:
        for answer in await in_turn(pair, "annotator", "POST", "/annotations", json=box(dataset)):
            assert answer.status_code == 503
            assert answer.json()["code"] == "maintenance"
        for answer in await in_turn(pair, "annotator", "GET", f"/annotations/project/{dataset.project_id}"):
            assert answer.json() == []
    finally:
        await fence.off(dsn, by="me")
    for client in pair.clients("annotator"):
        await until(client.post, "/api/v1/annotations", 200, json=box(dataset))


async def test_a_picture_that_was_replaced_at_one_is_new_at_the_other(pair: Cluster, dataset: Dataset) -> None:
    path = f"/api/v1/datasets/{dataset.id}/images"
    owners = pair.clients("owner")
    shown: list[bytes] = []
    for colour, (writer, other) in (("red", owners), ("blue", owners[::-1])):
        stored = await upload(writer, dataset, ("same.jpg", picture(colour=colour)))
        assert stored.status_code == 200, stored.text
        listed = (await other.get(path)).raise_for_status().json()
        (image,) = [one for one in listed if "same" in one["id"]]
        one, two = [await client.get(media_path(image["thumbnail_url"])) for client in (writer, other)]
        assert one.status_code == two.status_code == 200
        assert one.content == two.content
        assert one.headers["ETag"] == two.headers["ETag"]
        shown.append(one.content)
    assert shown[0] != shown[1]


async def test_a_removed_member_is_refused_by_both_at_once(pair: Cluster, dataset: Dataset) -> None:
    path = f"/projects/{dataset.project_id}"
    assert [answer.status_code for answer in await in_turn(pair, "viewer", "GET", path)] == [200, 200]
    removed = await pair.client("owner").delete(f"/api/v1{path}/permissions/{USER_IDS['viewer']}")
    assert removed.status_code == 204
    assert [answer.status_code for answer in await in_turn(pair, "viewer", "GET", path)] == [404, 404]


async def test_a_deactivated_user_is_refused_by_both(pair: Cluster, users: UsersDatabase, dataset: Dataset) -> None:
    path = f"/projects/{dataset.project_id}"
    assert [answer.status_code for answer in await in_turn(pair, "reviewer", "GET", path)] == [200, 200]
    active = "UPDATE users SET is_active = $1 WHERE email = 'reviewer@example.com'"
    await users.execute(active, False)
    try:
        since = time.monotonic()
        for client in pair.clients("reviewer"):
            await until(client.get, f"/api/v1{path}", 403)
        check_within(time.monotonic() - since, BELIEVED_SECONDS + NOTICING_SECONDS)
    finally:
        await users.execute(active, True)


async def test_the_metrics_of_both_add_up(pair: Cluster) -> None:
    async def requests() -> float:
        texts = [await client.get("/metrics") for client in observers]
        return sum(
            sample.value
            for text in texts
            for family in text_string_to_metric_families(text.text)
            for sample in family.samples
            if sample.name == "labeler_http_requests_total" and sample.labels["route"] == "/"
        )

    observers = [
        httpx.AsyncClient(base_url=process.url, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        for process in pair.processes
    ]
    before = await requests()
    for _ in range(5):
        for observer in observers:
            assert (await observer.get("/")).status_code == 200
    assert await requests() == before + 10
    for observer in observers:
        await observer.aclose()


async def until(ask: Callable[..., Awaitable[httpx.Response]], path: str, status: int, **given: object) -> None:
    """Ask until that is the answer."""
    async with asyncio.timeout(20):
        while (await ask(path, **given)).status_code != status:  # noqa: ASYNC110 - a cache has no event to wait for
            await asyncio.sleep(0.05)
