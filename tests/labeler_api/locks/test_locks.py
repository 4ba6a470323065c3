"""Acquire, heartbeat, release and list: what each says, and to whom."""

from urllib.parse import quote

import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

MEMBERS = {"admin": "admin", "reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
LOCK_KEYS = {"image_id", "user_id", "locked_at", "expires_at", "heartbeat_at", "user_name", "user_email"}


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    return await api.dataset(images=3, members=MEMBERS)


def url(dataset: Dataset, image_id: str, action: str = "") -> str:
    return f"/api/v1/image-locks/{dataset.project_id}/{quote(image_id, safe='')}{action}"


async def expire(api: Api, project_id: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_locks SET expires_at = clock_timestamp() - interval '1 second' WHERE project_id = $1",
            project_id,
        )


async def lease(api: Api, dataset: Dataset, image_id: str) -> float:
    """The seconds that the lock lives from its last use."""
    async with api.db.read() as connection:
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM expires_at - heartbeat_at)::float8 FROM image_locks"
            " WHERE project_id = $1 AND image_id = $2",
            dataset.project_id,
            image_id,
        )
    return seconds


async def test_acquire_a_free_image(api: Api, dataset: Dataset) -> None:
    client = await api.login("annotator")
    response = await client.post(url(dataset, dataset.image_ids[0], "/acquire"), json={})
    body = response.json()
    assert response.status_code == 200, body
    assert body["status"] == "acquired"
    assert body["locked_by"] is None
    assert body["lock"].keys() == LOCK_KEYS
    assert body["lock"]["image_id"] == dataset.image_ids[0]
    assert body["lock"]["user_id"] == ANNOTATOR.id
    assert body["lock"]["user_name"] == "Annotator Example"
    assert body["lock"]["user_email"] == "annotator@example.com"
    assert body["lock"]["expires_at"].endswith("Z")
    assert await lease(api, dataset, dataset.image_ids[0]) == 300


async def test_acquire_again_refreshes_and_keeps_the_beginning(api: Api, dataset: Dataset) -> None:
    client = await api.login("annotator")
    first = (await client.post(url(dataset, dataset.image_ids[0], "/acquire"), json={})).json()
    again = (await client.post(url(dataset, dataset.image_ids[0], "/acquire"), json={})).json()
    assert again["status"] == "refreshed"
    assert again["locked_by"] is None
    assert again["lock"]["locked_at"] == first["lock"]["locked_at"]
    assert again["lock"]["expires_at"] > first["lock"]["expires_at"]


async def test_somebody_elses_lock_is_named(api: Api, dataset: Dataset) -> None:
    await (await api.login("annotator")).post(url(dataset, dataset.image_ids[0], "/acquire"))
    body = (await (await api.login("reviewer")).post(url(dataset, dataset.image_ids[0], "/acquire"))).json()
    assert body["status"] == "already_locked"
    assert body["lock"] is None
    assert body["locked_by"]["user_id"] == ANNOTATOR.id
    assert body["locked_by"]["user_name"] == "Annotator Example"


@pytest.mark.parametrize("second", ["annotator", "reviewer"])
async def test_an_expired_lock_is_anybodys(api: Api, dataset: Dataset, second: str) -> None:
    first = (await (await api.login("annotator")).post(url(dataset, dataset.image_ids[0], "/acquire"))).json()
    await expire(api, dataset.project_id)
    body = (await (await api.login(second)).post(url(dataset, dataset.image_ids[0], "/acquire"))).json()
    assert body["status"] == "acquired"
    assert body["lock"]["locked_at"] > first["lock"]["locked_at"]


async def test_release(api: Api, dataset: Dataset) -> None:
    client, other = await api.login("annotator"), await api.login("reviewer")
    target = url(dataset, dataset.image_ids[0])
    assert (await client.delete(target)).json() == {"status": "not_locked"}
    await client.post(f"{target}/acquire")
    assert (await other.delete(target)).json() == {"status": "not_owner"}
    assert (await client.delete(target)).json() == {"status": "released"}
    assert (await client.delete(target)).json() == {"status": "not_locked"}
    assert (await other.post(f"{target}/acquire")).json()["status"] == "acquired"


async def test_an_expired_lock_cannot_be_released(api: Api, dataset: Dataset) -> None:
    client, other = await api.login("annotator"), await api.login("reviewer")
    target = url(dataset, dataset.image_ids[0])
    await client.post(f"{target}/acquire")
    await expire(api, dataset.project_id)
    assert (await other.delete(target)).json() == {"status": "not_locked"}
    assert (await client.delete(target)).json() == {"status": "not_locked"}


async def test_heartbeat(api: Api, dataset: Dataset) -> None:
    client, other = await api.login("annotator"), await api.login("reviewer")
    target = url(dataset, dataset.image_ids[0])
    assert (await client.post(f"{target}/heartbeat", json={})).json() == {"status": "not_locked", "lock": None}
    before = (await client.post(f"{target}/acquire")).json()["lock"]
    after = (await client.post(f"{target}/heartbeat", json={})).json()
    assert after["status"] == "updated"
    assert after["lock"].keys() == LOCK_KEYS
    assert after["lock"]["locked_at"] == before["locked_at"]
    assert after["lock"]["expires_at"] > before["expires_at"]
    assert (await other.post(f"{target}/heartbeat")).json() == {"status": "not_owner", "lock": None}


async def test_a_heartbeat_does_not_revive(api: Api, dataset: Dataset) -> None:
    client = await api.login("annotator")
    target = url(dataset, dataset.image_ids[0])
    await client.post(f"{target}/acquire")
    await expire(api, dataset.project_id)
    assert (await client.post(f"{target}/heartbeat")).json() == {"status": "not_locked", "lock": None}
    await (await api.login("reviewer")).post(f"{target}/acquire")
    assert (await client.post(f"{target}/heartbeat")).json() == {"status": "not_owner", "lock": None}


async def test_list_shows_live_locks_only(api: Api, dataset: Dataset) -> None:
    annotator, viewer = await api.login("annotator"), await api.login("viewer")
    await annotator.post(url(dataset, dataset.image_ids[2], "/acquire"))
    await expire(api, dataset.project_id)
    await (await api.login("reviewer")).post(url(dataset, dataset.image_ids[1], "/acquire"))
    await annotator.post(url(dataset, dataset.image_ids[0], "/acquire"))
    response = await viewer.get(f"/api/v1/image-locks/{dataset.project_id}")
    assert response.status_code == 200
    locks = response.json()["locks"]
    assert [(lock["image_id"], lock["user_name"]) for lock in locks] == [
        (dataset.image_ids[0], "Annotator Example"),
        (dataset.image_ids[1], "Reviewer Example"),
    ]
    assert all(lock.keys() == LOCK_KEYS for lock in locks)


async def test_the_list_has_an_etag_that_follows_the_locks(api: Api, dataset: Dataset) -> None:
    viewer = await api.login("viewer")
    target = f"/api/v1/image-locks/{dataset.project_id}"
    await (await api.login("annotator")).post(url(dataset, dataset.image_ids[0], "/acquire"))
    first = await viewer.get(target)
    assert first.headers["cache-control"] == "private, no-cache"
    again = await viewer.get(target, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    await expire(api, dataset.project_id)
    expired = await viewer.get(target, headers={"If-None-Match": first.headers["etag"]})
    assert expired.status_code == 200
    assert expired.json() == {"locks": []}


async def test_either_id_of_the_project(api: Api, dataset: Dataset) -> None:
    client = await api.login("annotator")
    await client.post(f"/api/v1/image-locks/{dataset.id}/{dataset.image_ids[0]}/acquire")
    (lock,) = (await client.get(f"/api/v1/image-locks/{dataset.project_id}")).json()["locks"]
    assert lock["image_id"] == dataset.image_ids[0]
    assert (await client.get(f"/api/v1/image-locks/{dataset.id}")).json()["locks"] == [lock]


@pytest.mark.parametrize("image_id", ["train/good/a b", "50%/ok?#1", "결함/깨짐 001", "a//b", "x/acquire", "100%25"])
async def test_ids_that_need_encoding(api: Api, dataset: Dataset, image_id: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, size) VALUES ($1, $2, 'x.jpg', 'x', 1)",
            image_id,
            dataset.id,
        )
    client = await api.login("annotator")
    for encoded in (quote(image_id, safe=""), quote(image_id)):
        target = f"/api/v1/image-locks/{dataset.project_id}/{encoded}"
        body = (await client.post(f"{target}/acquire")).json()
        assert body["status"] == "acquired"
        assert body["lock"]["image_id"] == image_id
        assert (await client.post(f"{target}/heartbeat")).json()["status"] == "updated"
        assert (await client.delete(target)).json() == {"status": "released"}


async def test_an_image_that_is_not_in_the_dataset(api: Api, dataset: Dataset) -> None:
    client = await api.login("annotator")
    other = await api.dataset(images=1, members=MEMBERS)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET id = 'theirs' WHERE dataset_id = $1", other.id)
    for image_id in ("nowhere", "theirs"):
        response = await client.post(url(dataset, image_id, "/acquire"))
        assert response.status_code == 404
        assert response.json()["code"] == "image_not_found"
    assert (await client.delete(url(dataset, "nowhere"))).json() == {"status": "not_locked"}


async def test_an_image_id_that_is_too_long(api: Api, dataset: Dataset) -> None:
    response = await (await api.login("annotator")).post(url(dataset, "x" * 256, "/acquire"))
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["path", "image_id"]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("admin", 200),
        ("owner", 200),
        ("reviewer", 200),
        ("annotator", 200),
        ("viewer", 403),
        ("stranger", 404),
        (None, 401),
    ],
)
async def test_roles(api: Api, dataset: Dataset, account: str | None, expected: int) -> None:
    client = await api.login(account) if account else api.client()
    target = url(dataset, dataset.image_ids[0])
    answers = [
        await client.post(f"{target}/acquire"),
        await client.post(f"{target}/heartbeat"),
        await client.delete(target),
    ]
    assert [answer.status_code for answer in answers] == [expected] * 3
    assert all(isinstance(answer.json().get("detail"), str) for answer in answers if expected != 200)
    listed = await client.get(f"/api/v1/image-locks/{dataset.project_id}")
    assert listed.status_code == (200 if account == "viewer" else expected)


async def test_a_public_dataset_shows_its_locks_to_everybody(api: Api) -> None:
    dataset = await api.dataset(images=1, visibility="public")
    stranger = await api.login("stranger")
    assert (await stranger.get(f"/api/v1/image-locks/{dataset.project_id}")).json() == {"locks": []}
    assert (await stranger.post(url(dataset, dataset.image_ids[0], "/acquire"))).status_code == 403


async def test_acquire_sweeps_what_ended_long_ago(api: Api, dataset: Dataset) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
            " SELECT $1, 'gone/' || n, 3, clock_timestamp() - interval '2 hours' FROM generate_series(1, 150) n",
            dataset.project_id,
        )
    client = await api.login("annotator")
    left = []
    for image_id in dataset.image_ids[:2]:
        await client.post(url(dataset, image_id, "/acquire"))
        async with api.db.read() as connection:
            left.append(await connection.fetchval("SELECT count(*) FROM image_locks WHERE image_id LIKE 'gone/%'"))
    assert left == [50, 0]


async def test_statements(api: Api) -> None:
    dataset = await api.dataset(images=1000, members=MEMBERS)
    annotator, viewer = await api.login("annotator"), await api.login("viewer")
    for action, budget in (("acquire", 1), ("heartbeat", 2)):
        with api.count() as count:
            await annotator.post(url(dataset, dataset.image_ids[0], f"/{action}"))
        assert count.value <= budget, action
    with api.count() as count:
        await annotator.delete(url(dataset, dataset.image_ids[0]))
    assert count.value <= 2
    for number in (1, 10, 1000):
        async with api.db.begin() as tx:
            await tx.execute(
                "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
                " SELECT $1, image_id, 3, clock_timestamp() + interval '1 hour' FROM unnest($2::text[]) image_id"
                " ON CONFLICT DO NOTHING",
                dataset.project_id,
                dataset.image_ids[:number],
            )
        with api.count() as count:
            listed = await viewer.get(f"/api/v1/image-locks/{dataset.project_id}")
        assert len(listed.json()["locks"]) == number
        assert count.value == 1
