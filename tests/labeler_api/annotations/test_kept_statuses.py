"""The list of statuses that is kept between requests: always what the database holds, and read when that changed."""

import asyncio
from typing import Any

import httpx
import pytest

from labeler_api.annotations.progress import store
from labeler_api.resilience.caches import SizedCache
from tests.fixtures.annotating import at, box, create_annotation, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.cached_pages import each_write, require_fresh
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture, upload

# What stands behind the pages of a task is kept once: the later pages of these get what the first one read.
LISTS: list[dict[str, Any]] = [
    {},
    {"task_type": "detection"},
    *({"limit": 1, "offset": offset} for offset in (1, 0, 2)),
    *({"limit": limit, "offset": 1, "task_type": "detection"} for limit in (1, 2)),
]


def url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/images/status"


async def check(api: Api, dataset: Dataset, client: httpx.AsyncClient) -> None:
    await require_fresh(api, client, url(dataset), *LISTS)


async def test_after_every_kind_of_write(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await check(api, dataset, client)
    body = await create_annotation(client, box(dataset))
    await check(api, dataset, client)
    async for _ in each_write(client, dataset, body):
        await check(api, dataset, client)
    await upload(await api.login("owner"), dataset, ("new.jpg", picture()))
    await check(api, dataset, client)


async def test_one_statement_whatever_is_kept(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    tags: list[str] = []
    for image in (None, None, 0, 1, None):
        if image is not None:
            await create_annotation(client, box(dataset, image))
        with api.count() as count:
            answer = await client.get(url(dataset), headers={"If-None-Match": tags[-1]} if tags else {})
        assert count.value == 1
        assert answer.status_code == (304 if image is None and tags else 200)
        tags.append(answer.headers["etag"])
    for tag, status in ((tags[0], 200), (tags[-1], 304)):  # of before, beside what is kept
        with api.count() as count:
            assert (await client.get(url(dataset), headers={"If-None-Match": tag})).status_code == status
        assert count.value == 1


async def test_what_stands_behind_a_page_is_read_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages are asked for: until something changes, and never behind a page that has none."""
    dataset, client = await project_with_members(api), await api.login("annotator")
    for image in (0, 1):
        await create_annotation(client, box(dataset, image))
    read: list[int] = []
    real = store.columns_behind

    def noted(found: Any) -> Any:
        columns, in_order = real(found)
        read.append(len(columns["image_id"]))
        return columns, in_order

    monkeypatch.setattr(store, "columns_behind", noted)

    async def shown(**params: Any) -> list[str]:
        answer = (await client.get(url(dataset), params=params)).json()
        return [item["image_id"] for item in answer["statuses"]]

    first, second = dataset.image_ids[:2]
    assert await shown(limit=1, offset=0) == [first, second]
    assert await shown(limit=1, offset=1) == [second, first]
    assert read == [2], "it was read again for the second page"
    cursor = (await client.get(url(dataset), params={"limit": 1})).json()["next_cursor"]
    assert await shown(limit=1, cursor=cursor) == [second], "nothing stands behind a page that a cursor leads to"
    await create_annotation(client, box(dataset, 1))
    assert await shown(limit=1, offset=0) == [first, second]
    assert read == [2, 2]
    assert await shown(limit=1, offset=0, task_type="segmentation") == [first]
    assert await shown(limit=1, offset=0, task_type="detection") == [first, second]
    assert read == [2, 2, 0, 2]


async def test_who_read_a_later_list_from_another_process_is_not_sent_the_one_of_before(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    await client.get(url(dataset))
    kept = api.services.caches.pages
    await create_annotation(client, box(dataset))
    object.__setattr__(api.services.caches, "pages", SizedCache(0))
    later = await client.get(url(dataset))
    object.__setattr__(api.services.caches, "pages", kept)
    with api.count() as count:
        answer = await client.get(url(dataset), headers={"If-None-Match": later.headers["etag"]})
    assert answer.status_code == 304
    assert count.value == 1
    assert (await client.get(url(dataset))).content == later.content
    made_up = later.headers["etag"].replace('"1.', '"999.')
    for tag in (made_up, later.headers["etag"][:-3] + '00"'):
        answer = await client.get(url(dataset), headers={"If-None-Match": tag})
        assert answer.content == later.content


async def test_nobody_gets_a_kept_list_who_may_not_see_it(api: Api) -> None:
    dataset = await project_with_members(api)
    assert (await (await api.login("viewer")).get(url(dataset))).status_code == 200
    assert (await (await api.login("stranger")).get(url(dataset))).status_code == 404
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM project_permissions WHERE role = 'viewer'")
    assert (await (await api.login("viewer")).get(url(dataset))).status_code == 404


async def test_readers_beside_writers_see_each_acknowledged_write(api: Api) -> None:
    dataset = await api.dataset(images=4, tasks=["detection"], members={"annotator": "annotator"})
    client = await api.login("annotator")

    async def drawn_on(image: int) -> int:
        shown = (await client.get(url(dataset), params={"task_type": "detection"})).json()["statuses"]
        totals = {item["image_id"]: item["total_annotations"] for item in shown}
        return int(totals[dataset.image_ids[image]])

    async def work(image: int) -> None:
        for number in range(6):
            body, *_ = await asyncio.gather(
                create_annotation(client, box(dataset, image)), drawn_on(image), drawn_on(image)
            )
            assert await drawn_on(image) == number + 1
        await client.delete(at(body))
        assert await drawn_on(image) == 5

    await asyncio.gather(*(work(image) for image in range(4)))
    await check(api, dataset, client)
