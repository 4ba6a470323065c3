"""The page of images that is kept between requests: always what the database holds, and read when that changed."""

from urllib.parse import quote

import httpx
import pytest

from labeler_api.images.listing import store
from labeler_api.resilience.caches import ExpiringCache
from tests.fixtures.annotating import project_with_members
from tests.fixtures.api import Api
from tests.fixtures.cached_pages import require_fresh
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture, upload


def url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/images"


async def check(api: Api, dataset: Dataset, client: httpx.AsyncClient) -> None:
    await require_fresh(api, client, url(dataset), {}, {"limit": 2, "offset": 1})


async def test_after_every_change_of_the_images(api: Api) -> None:
    dataset, client = await api.dataset(images=3), await api.login("owner")
    await check(api, dataset, client)
    await upload(client, dataset, ("new.jpg", picture()))
    await check(api, dataset, client)
    await upload(client, dataset, ("new.jpg", picture(32, 32)))  # in place of the first one
    await check(api, dataset, client)
    images = f"/api/v1/datasets/{dataset.id}/images"
    gone = await client.delete(f"{images}/{quote(dataset.image_ids[0], safe='')}")
    await check(api, dataset, client)
    body = {"deletion_ids": [one["deletion_id"] for one in gone.json()["images"]]}
    assert (await client.post(f"{images}/restore", json=body)).status_code == 200
    await check(api, dataset, client)


@pytest.mark.parametrize("by_cursor", [False, True])
async def test_what_is_kept_is_not_read(api: Api, by_cursor: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor signed again, nor encoded: the second answer has one row from the database, and the caller's access in it."""
    dataset, client = await api.dataset(images=9), await api.login("owner")
    params = {"limit": "4"}
    if by_cursor:
        params["cursor"] = (await client.get(url(dataset), params=params)).headers["x-next-cursor"]
    first = await client.get(url(dataset), params=params)
    assert len(first.json()["images"]) == 4
    read: list[int] = []
    name = "page_after" if by_cursor else "page"
    original = getattr(store, name)

    async def counted(*args: object) -> object:
        rows = await original(*args)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(store, name, counted)
    with api.count() as count:
        assert (await client.get(url(dataset), params=params)).content == first.content
    assert count.value == 1
    assert read == [1]


async def test_pages_are_kept_for_each_person_by_itself(api: Api) -> None:
    """A link names its user; and who may not see the project gets nothing, kept or not."""
    dataset = await project_with_members(api)
    found = {}
    for _ in range(2):
        for account in ("viewer", "reviewer"):
            found[account] = (await (await api.login(account)).get(url(dataset))).json()["images"][0]["url"]
        assert found["viewer"] != found["reviewer"]
        assert (await (await api.login("stranger")).get(url(dataset))).status_code == 404
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM project_permissions WHERE role = 'viewer'")
    assert (await (await api.login("viewer")).get(url(dataset))).status_code == 404


async def test_links_of_a_kept_page_need_no_look_up(api: Api) -> None:
    """The media route believes for some seconds what a list has shown, from whichever list it was."""
    dataset, client = await api.dataset(), await api.login("owner")
    await upload(client, dataset, ("a.jpg", picture()))
    await client.get(url(dataset))
    for name in ("images", "viewers"):
        object.__setattr__(api.services.caches, name, ExpiringCache(5.0, 100))
    link = (await client.get(url(dataset))).json()["images"][0]["thumbnail_url"]
    with api.count() as count:
        assert (await client.get(link)).status_code == 200
    assert count.value == 0


async def test_a_project_that_is_made_anew(api: Api) -> None:
    """The images are as they were; the answer names the project."""
    dataset, client = await api.dataset(images=2), await api.login("owner")
    by_dataset = f"/api/v1/projects/{dataset.id}/images"
    assert (await client.get(by_dataset)).json()["project_id"] == dataset.project_id
    assert (await client.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 204
    assert (await client.get(by_dataset)).status_code == 404
    made = (await client.get(f"/api/v1/datasets/{dataset.id}/project")).json()["id"]
    assert made != dataset.project_id
    assert (await client.get(by_dataset)).json()["project_id"] == made
