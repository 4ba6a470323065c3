"""What a link answers to a person who has all of their places already: 429, with Retry-After, and the others go on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from labeler_api.db import admission
from labeler_api.db.pool import Caller
from labeler_api.limits import open_streams
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import media_path, picture, upload
from tests.fixtures.versions import CLASSES, annotate, annotation, exported, published

MEMBERS = {"reviewer": "reviewer"}


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    await api.empty_store()
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES, members=MEMBERS)
    assert (await upload(await api.login("owner"), dataset, ("a.jpg", picture()))).json()["images_uploaded"] == 1
    await annotate(api, dataset, annotation("a"))
    return dataset


async def image_links(api: Api, dataset: Dataset, account: str) -> dict[str, str]:
    """An image and its thumbnail, as this account is told of them."""
    listed = await (await api.login(account)).get(f"/api/v1/projects/{dataset.project_id}/images")
    [image] = listed.json()["images"]
    return {"image": media_path(image["url"]), "thumbnail": media_path(image["thumbnail_url"])}


@asynccontextmanager
async def all_streams_taken(api: Api, account: str) -> AsyncIterator[None]:
    """The account reads as many images and files as it may have at once, from several machines."""
    async with AsyncExitStack() as held:
        for number in range(api.services.settings.max_streams_per_person):
            await held.enter_async_context(api.services.streams.place(USER_IDS[account], f"10.0.0.{number}"))
        yield


@asynccontextmanager
async def all_reads_taken(api: Api, account: str) -> AsyncIterator[None]:
    """The account has as many reads of the database under way as it may have at once."""
    share = admission.Sizes.of(api.services.settings.db_pool_size + api.services.settings.db_max_overflow).person_reads
    async with AsyncExitStack() as held:
        for _ in range(share):
            await held.enter_async_context(api.db.of(Caller(str(USER_IDS[account]))).read())
        yield


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert int(answer.headers["retry-after"]) >= 1
    assert set(answer.json()) == {"detail", "code", "request_id"}
    return answer.status_code, answer.json()["code"]


async def test_streams(api: Api, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images, versions and exports share the same places."""
    owner = await api.login("owner")
    links = {
        "image": (await image_links(api, dataset, "owner"))["image"],
        "version": (await published(owner, dataset))["download_url"],
        "export": (await exported(owner, dataset))["download_url"],
    }
    another = (await image_links(api, dataset, "reviewer"))["image"]
    monkeypatch.setattr(open_streams, "_WAIT_SECONDS", 0.1)
    browser = api.client()
    async with all_streams_taken(api, "owner"):
        answers = {name: refused(await browser.get(link)) for name, link in links.items()}
        assert answers == dict.fromkeys(links, (429, "too_many_streams"))
        assert (await browser.get(another)).status_code == 200
    for link in links.values():
        assert (await browser.get(link)).status_code == 200


async def test_reads_of_the_database(api: Api, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link asks the database whether its person may still see the dataset; nobody waits behind a full queue."""
    links, others = await image_links(api, dataset, "owner"), await image_links(api, dataset, "reviewer")
    monkeypatch.setattr(admission, "_MOST_WAITING", 0)
    browser = api.client()
    async with all_reads_taken(api, "owner"):
        for known in (api.services.caches.images, api.services.caches.viewers):
            known._values.clear()  # they are kept for five seconds
        answers = {name: refused(await browser.get(link)) for name, link in links.items()}
        assert answers == dict.fromkeys(links, (429, "too_many_at_once"))
        assert (await browser.get(others["thumbnail"])).status_code == 200
    assert (await browser.get(links["thumbnail"])).status_code == 200
