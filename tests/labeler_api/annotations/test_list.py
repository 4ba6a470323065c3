"""GET of the annotations of a project: filter, order, paging, and the ETag that saves reading them."""

from typing import Any

import httpx
import pytest

from tests.fixtures.annotating import at, box, create_annotation, leave, polygon, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.users import StartGateway, UsersDatabase
from tests.fixtures.waiting import until_true
from tests.labeler_api.annotations.test_create import KEYS


def url(dataset: Dataset) -> str:
    return f"/api/v1/annotations/project/{dataset.project_id}"


async def fill(api: Api, dataset: Dataset, number: int, created_by: int = 4) -> None:
    """Insert annotations by SQL, spread over the images. No older transaction is under way afterwards.

    The server's own ANALYZE of any database is one. It would hold back what a kept page takes for old.
    """
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
            " SELECT $1, ($2::text[])[1 + n % array_length($2::text[], 1)], 'bbox', 'detection',"
            ' \'{"type": "bbox", "bbox": [1, 2, 3, 4]}\', $4 FROM generate_series(1, $3::int) n',
            dataset.project_id,
            dataset.image_ids,
            number,
            created_by,
        )
        await tx.execute("UPDATE annotation_projects SET revision = revision + 1 WHERE id = $1", dataset.project_id)
        written = await tx.fetchval("SELECT pg_current_xact_id()::text")
    await until_true(api, "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8", written)


def ids(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()]


async def test_an_entry_is_what_get_answers(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset, attributes={"a": {"b": 1}}))
    await client.post(at(body, "/confirm"), json={})
    response = await client.get(url(dataset), params={"skip": 0, "limit": 1000})
    assert response.json() == [(await client.get(at(body))).json()]
    assert response.json()[0].keys() == KEYS
    assert response.headers["cache-control"] == "private, no-cache"


async def test_all_of_a_project_or_of_an_image(api: Api) -> None:
    dataset, other = await project_with_members(api), await project_with_members(api)
    client = await api.login("annotator")
    await create_annotation(client, box(other))
    first = await create_annotation(client, box(dataset, 1))
    second = await create_annotation(client, box(dataset, 0))
    third = await create_annotation(client, polygon(dataset, 1))
    assert ids(await client.get(url(dataset))) == [first["id"], second["id"], third["id"]]
    assert ids(await client.get(url(dataset), params={"image_id": dataset.image_ids[1]})) == [first["id"], third["id"]]
    assert ids(await client.get(url(dataset), params={"image_id": ""})) == [first["id"], second["id"], third["id"]]
    assert ids(await client.get(url(dataset), params={"image_id": "nowhere"})) == []
    assert ids(await client.get(f"/api/v1/annotations/project/{dataset.id}")) == [
        first["id"],
        second["id"],
        third["id"],
    ]


async def test_skip_and_limit(api: Api) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 10)
    client = await api.login("viewer")
    everything = ids(await client.get(url(dataset)))
    assert everything == sorted(everything)
    assert ids(await client.get(url(dataset), params={"limit": 4})) == everything[:4]
    assert ids(await client.get(url(dataset), params={"skip": 3, "limit": 4})) == everything[3:7]
    assert ids(await client.get(url(dataset), params={"skip": 10})) == []
    assert ids(await client.get(url(dataset), params={"skip": 2**62})) == []
    assert ids(await client.get(url(dataset), params={"limit": 0})) == []


async def test_the_limit_is_capped(api: Api) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 1001)
    client = await api.login("viewer")
    for params in ({}, {"limit": 1000}, {"limit": 5000}):
        response = await client.get(url(dataset), params=params)
        assert len(ids(response)) == 1000
        assert "x-next-cursor" in response.headers


@pytest.mark.parametrize("image_id", ["", "train/good/0001"])
async def test_cursor(api: Api, image_id: str) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 20)
    client = await api.login("viewer")
    everything = ids(await client.get(url(dataset), params={"image_id": image_id}))
    seen: list[int] = []
    params: dict[str, Any] = {"limit": 3, "image_id": image_id}
    while True:
        response = await client.get(url(dataset), params=params)
        seen += ids(response)
        if "x-next-cursor" not in response.headers:
            break
        params["cursor"] = response.headers["x-next-cursor"]
    assert seen == everything


@pytest.mark.parametrize(
    "params",
    [{"skip": -1}, {"limit": -1}, {"skip": "x"}, {"limit": "1.5"}, {"skip": 2**63}, {"cursor": "@"}, {"cursor": "e30"}],
)
async def test_paging_that_is_refused(api: Api, params: dict[str, Any]) -> None:
    dataset = await project_with_members(api)
    response = await (await api.login("viewer")).get(url(dataset), params=params)
    (name,) = params
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["query", name]


@pytest.mark.parametrize("number", [0, 1, 10, 1000])
async def test_statements(api: Api, number: int) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, number)
    client = await api.login("viewer")
    with api.count() as first:
        response = await client.get(url(dataset))
    assert len(ids(response)) == number
    assert first.value == 1
    with api.count() as again:
        repeated = await client.get(url(dataset), headers={"If-None-Match": response.headers["etag"]})
    assert repeated.status_code == 304
    assert repeated.content == b""
    assert repeated.headers["etag"] == response.headers["etag"]
    assert again.value == 1, "the list was read although the client has it"


async def test_one_batch_of_users_for_each_500(api: Api) -> None:
    dataset = await project_with_members(api)
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
            " SELECT $1, $2, 'bbox', 'detection', '{}', 1000 + n FROM generate_series(1, 1000) n",
            dataset.project_id,
            dataset.image_ids[0],
        )
    client = await api.login("viewer")
    await client.get("/api/v1/auth/me")
    before = api.services.directory.calls.copy()
    response = await client.get(url(dataset))
    assert all(item["created_by_name"] is None for item in response.json())
    assert (api.services.directory.calls - before).total() == 2
    # More names than a tag should carry: no short cut, and still a right answer.
    assert len(response.headers["etag"]) < 50
    again = await client.get(url(dataset), headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


async def test_the_tag_follows_every_change(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    body = await create_annotation(client, box(dataset))
    tags = [(await client.get(url(dataset))).headers["etag"]]

    async def changed() -> None:
        response = await client.get(url(dataset), headers={"If-None-Match": tags[-1]})
        assert response.status_code == 200
        assert response.headers["etag"] not in tags
        tags.append(response.headers["etag"])

    await client.put(at(body), json={"notes": "x"})
    await changed()
    await client.post(at(body, "/confirm"), json={})
    await changed()
    await client.post(at(body, "/unconfirm"), json={})
    await changed()
    await client.post(f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm", json={})
    await changed()
    await client.delete(at(body))
    await changed()


async def test_the_tag_is_of_one_request_only(api: Api) -> None:
    dataset, other = await project_with_members(api), await project_with_members(api)
    client = await api.login("viewer")
    await fill(api, dataset, 5)
    await fill(api, other, 5)
    tag = (await client.get(url(dataset))).headers["etag"]
    for params in ({"skip": 1}, {"limit": 2}, {"image_id": dataset.image_ids[0]}):
        assert (await client.get(url(dataset), params=params, headers={"If-None-Match": tag})).status_code == 200
    assert (await client.get(url(other), headers={"If-None-Match": tag})).status_code == 200
    assert (await client.get(url(dataset), headers={"If-None-Match": f'"x", {tag}'})).status_code == 304


async def test_no_short_cut_past_the_authorisation(api: Api) -> None:
    dataset = await project_with_members(api)
    tag = (await (await api.login("viewer")).get(url(dataset))).headers["etag"]
    stranger = await api.login("stranger")
    assert (await stranger.get(url(dataset), headers={"If-None-Match": tag})).status_code == 404


@pytest.mark.parametrize(
    "tag",
    [
        'W/"4:' + "0" * 32 + '"',
        '"' + ".".join(["7"] * 60) + ":" + "0" * 32 + '"',
        f'"{"9" * 40}:{"0" * 32}"',
        f'"{"9" * 19}:{"0" * 32}"',
        "x",
    ],
)
async def test_a_tag_that_was_made_up(api: Api, tag: str) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 1)
    assert len(ids(await (await api.login("viewer")).get(url(dataset), headers={"If-None-Match": tag}))) == 1


async def test_a_new_name_changes_the_tag(api: Api, users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    """Nobody keeps an old name because the annotations are the same."""
    from dataclasses import replace

    from labeler_api.user_directory.directory import UserDirectory

    running = await start_gateway(users_db.dsn)
    dataset = await project_with_members(api)
    await fill(api, dataset, 3)

    async def ask(tag: str) -> httpx.Response:
        # A directory without a cache, instead of waiting 30 seconds.
        directory = UserDirectory(running.address, running.token, cache_seconds=0)
        api.app.state.services = replace(api.services, directory=directory)
        try:
            return await (await api.login("viewer")).get(url(dataset), headers={"If-None-Match": tag})
        finally:
            await directory.close()
            api.app.state.services = api.services

    first = await ask("")
    assert (await ask(first.headers["etag"])).status_code == 304
    await users_db.execute("UPDATE users SET full_name = 'Anna New' WHERE id = 4")
    second = await ask(first.headers["etag"])
    assert second.status_code == 200
    assert {item["created_by_name"] for item in second.json()} == {"Anna New"}


async def test_a_user_who_is_gone_shows_as_null(api: Api) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 1, created_by=4711)
    (item,) = (await (await api.login("viewer")).get(url(dataset))).json()
    assert item["created_by"] == 4711
    assert item["created_by_name"] is None


async def test_legacy_rows_pass_unchanged(api: Api) -> None:
    dataset = await project_with_members(api)
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, class_id, created_by)"
            " VALUES ($1, $2, 'bbox', 'detection', '{\"x\": 1, \"y\": 2, \"width\": 3, \"height\": 4}', 'unknown', 3)",
            dataset.project_id,
            dataset.image_ids[0],
        )
    client = await api.login("reviewer")
    (item,) = (await client.get(url(dataset))).json()
    assert item["geometry"] == {"x": 1, "y": 2, "width": 3, "height": 4}
    edited = await client.put(at(item), json={"notes": "still editable"})
    assert edited.status_code == 200
    assert edited.json()["class_id"] == "unknown"
    await leave(api, dataset, "reviewer")
