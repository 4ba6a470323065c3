"""The page that is kept between requests: always what the database holds, and never read twice."""

import asyncio
import random
from typing import Any

import httpx
import pytest

from labeler_api.annotations.editing.schemas import annotation_response
from labeler_api.annotations.page import store
from labeler_api.annotations.page.etag import PageTag
from labeler_api.resilience.caches import SizedCache
from tests.fixtures.accounts import OWNER
from tests.fixtures.annotating import at, box, create_annotation, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.cached_pages import each_write, require_fresh
from tests.fixtures.datasets import Dataset
from tests.labeler_api.annotations.test_list import fill, ids, url


async def check(api: Api, dataset: Dataset, client: httpx.AsyncClient) -> None:
    images = ({"image_id": image_id} for image_id in dataset.image_ids[:2])
    await require_fresh(api, client, url(dataset), {}, *images, {"image_id": dataset.image_ids[0], "limit": 1})


async def test_statements(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    await fill(api, dataset, 1000)
    body = await create_annotation(client, box(dataset))
    counts = []
    for change in (None, None, {"notes": "x"}, None):
        if change:
            await client.put(at(body), json=change)
        with api.count() as count:
            assert len(ids(await client.get(url(dataset), params={"limit": 1000}))) == 1000
        counts.append(count.value)
    assert counts == [1, 1, 1, 1]  # the changed one is the 1001st: nothing of the page is read again
    first = ids(await client.get(url(dataset)))[0]
    await (await api.login("reviewer")).post(at({"id": first}, "/confirm"), json={})
    with api.count() as count:
        response = await client.get(url(dataset))
    assert count.value == 1
    assert response.json()[0]["confirmed_by_name"] == "Reviewer Example"
    with api.count() as count:
        await client.get(url(dataset), params={"image_id": dataset.image_ids[0]})
    assert count.value == 1


async def test_the_annotations_of_an_image_are_read_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something is written in the project. Each answer says it, and costs one statement."""
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    read: list[int] = []

    def noted(row: Any, users: Any) -> Any:
        read.append(row["id"])
        return annotation_response(row, users)

    monkeypatch.setattr("labeler_api.annotations.page.service.annotation_response", noted)

    async def notes() -> list[str | None]:
        with api.count() as count:
            answer = await client.get(url(dataset), params={"image_id": dataset.image_ids[0]})
        assert count.value == 1
        return [item["notes"] for item in answer.json()]

    assert [await notes(), await notes()] == [[None], [None]]
    assert len(read) == 1
    await client.put(at(body), json={"notes": "x"})
    assert [await notes(), await notes()] == [["x"], ["x"]]
    assert len(read) == 2
    await create_annotation(client, box(dataset, 1))
    assert await notes() == ["x"]
    assert len(read) == 3, "it was kept over a write to another image"


async def test_nobody_gets_the_kept_annotations_of_an_image_who_may_not_see_them(api: Api) -> None:
    dataset = await project_with_members(api)
    params = {"image_id": dataset.image_ids[0]}
    assert (await (await api.login("annotator")).get(url(dataset), params=params)).status_code == 200
    assert (await (await api.login("stranger")).get(url(dataset), params=params)).status_code == 404


async def test_what_is_kept_is_neither_encoded_nor_hashed_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a revision has one tag: whoever has it, and whoever has not, is answered from what is kept."""
    dataset, client = await project_with_members(api), await api.login("annotator")
    await fill(api, dataset, 50)
    first = await client.get(url(dataset))
    hashed: list[PageTag] = []
    original = PageTag.of

    def noted(tag: PageTag, *given: Any) -> Any:
        hashed.append(tag)
        return original(tag, *given)

    monkeypatch.setattr(PageTag, "of", noted)
    again = await client.get(url(dataset))
    unchanged = await client.get(url(dataset), headers={"If-None-Match": first.headers["etag"]})
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert unchanged.status_code == 304
    assert hashed == []
    await create_annotation(client, box(dataset))
    changed = await client.get(url(dataset), headers={"If-None-Match": first.headers["etag"]})
    assert len(ids(changed)) == 51
    assert len(hashed) == 1


async def test_rows_that_come_from_behind_the_page(api: Api) -> None:
    """Deleting one of a page brings in another, which was written long before the page was read."""
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await fill(api, dataset, 30)
    everything = ids(await client.get(url(dataset)))
    assert ids(await client.get(url(dataset), params={"limit": 10})) == everything[:10]
    await client.delete(at({"id": everything[3]}))
    del everything[3]
    for statements in (2, 1):
        with api.count() as count:
            assert ids(await client.get(url(dataset), params={"limit": 10})) == everything[:10]
        assert count.value == statements


async def test_by_the_id_of_the_dataset(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await fill(api, dataset, 5)
    by_project = await client.get(url(dataset))
    by_dataset = await client.get(f"/api/v1/annotations/project/{dataset.id}")
    assert len(by_project.json()) == 5
    assert by_dataset.json() == by_project.json()


async def test_a_page_that_another_process_gave_out_is_not_read(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await fill(api, dataset, 5)
    tag = (await client.get(url(dataset))).headers["etag"]
    object.__setattr__(api.services.caches, "pages", SizedCache(0))
    with api.count() as count:
        assert (await client.get(url(dataset), headers={"If-None-Match": tag})).status_code == 304
    assert count.value == 1
    assert (await client.get(url(dataset), headers={"If-None-Match": '"-:' + "0" * 32 + '"'})).status_code == 200


async def test_after_every_kind_of_write(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await fill(api, dataset, 20)
    await check(api, dataset, client)
    body = await create_annotation(client, box(dataset))
    await check(api, dataset, client)
    async for _ in each_write(client, dataset, body):
        await check(api, dataset, client)


async def test_a_tag_is_an_old_one_after_every_kind_of_write(api: Api) -> None:
    """In this process, which keeps the page, and in one that keeps nothing."""
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await fill(api, dataset, 20)
    body = await create_annotation(client, box(dataset))
    tags = [(await client.get(url(dataset))).headers["etag"]]

    async def asked(tag: str) -> list[httpx.Response]:
        kept, answers = api.services.caches.pages, []
        for pages in (kept, SizedCache[Any](0)):
            object.__setattr__(api.services.caches, "pages", pages)
            answers.append(await client.get(url(dataset), headers={"If-None-Match": tag}))
        object.__setattr__(api.services.caches, "pages", kept)
        return answers

    assert [answer.status_code for answer in await asked(tags[-1])] == [304, 304]
    async for _ in each_write(client, dataset, body):
        here, there = await asked(tags[-1])
        assert here.status_code == 200
        assert there.status_code == 200
        assert here.content == there.content
        tags.append(here.headers["etag"])
        assert [answer.status_code for answer in await asked(tags[-1])] == [304, 304]
    assert len(set(tags)) == len(tags)


async def test_a_row_that_was_written_past_the_service(api: Api) -> None:
    """By an operator in SQL, who leaves its version as it was, but bumps the project's revision."""
    dataset, client = await project_with_members(api), await api.login("reviewer")
    await fill(api, dataset, 5)
    await client.get(url(dataset))
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotations SET notes = 'mended' WHERE id = (SELECT min(id) FROM annotations)")
        await tx.execute("UPDATE annotation_projects SET revision = revision + 1")
    assert [item["notes"] for item in (await client.get(url(dataset))).json()] == ["mended", None, None, None, None]


async def test_pages_and_projects_are_kept_apart(api: Api) -> None:
    dataset, other, client = await project_with_members(api), await project_with_members(api), await api.login("viewer")
    await fill(api, dataset, 30)
    await fill(api, other, 30)
    everything = ids(await client.get(url(dataset)))
    for _ in range(2):
        assert ids(await client.get(url(dataset), params={"limit": 10})) == everything[:10]
        assert ids(await client.get(url(dataset), params={"limit": 10, "skip": 10})) == everything[10:20]
        assert not set(ids(await client.get(url(other)))) & set(everything)


async def test_nobody_gets_a_kept_page_who_may_not_see_it(api: Api) -> None:
    dataset = await project_with_members(api)
    await fill(api, dataset, 5)
    assert (await (await api.login("viewer")).get(url(dataset))).status_code == 200
    assert (await (await api.login("stranger")).get(url(dataset))).status_code == 404


async def test_compressed_for_who_asks(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await fill(api, dataset, 100)
    plain = await client.get(url(dataset), headers={"Accept-Encoding": "identity"})
    for _ in range(2):
        packed = await client.get(url(dataset), headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == plain.json()
        assert int(packed.headers["content-length"]) * 5 < int(plain.headers["content-length"])


async def test_readers_beside_writers_see_each_acknowledged_write(api: Api) -> None:
    dataset = await api.dataset(images=4, tasks=["detection"], members={"annotator": "annotator"})
    client = await api.login("annotator")
    await fill(api, dataset, 50)

    async def work(image: int) -> None:
        choose = random.Random(image)
        body = await create_annotation(client, box(dataset, image))
        for number in range(8):
            await asyncio.gather(
                client.put(at(body), json={"notes": str(number)}), client.get(url(dataset)), client.get(url(dataset))
            )
            shown = {item["id"]: item["notes"] for item in (await client.get(url(dataset))).json()}
            assert shown[body["id"]] == str(number)
            if choose.random() < 0.3:
                await client.delete(at(body))
                assert body["id"] not in ids(await client.get(url(dataset)))
                body = await create_annotation(client, box(dataset, image))

    await asyncio.gather(*(work(image) for image in range(4)))
    await check(api, dataset, client)


def test_a_cache_of_sizes() -> None:
    cache = SizedCache[str](100)
    for name in "abcdefghij":
        cache.put(name, name, 10)
    assert cache.get("a") == "a"
    cache.put("k", "k", 10)
    assert cache.get("a") == "a"
    assert cache.get("b") is None
    assert cache.size == 100
    cache.put("a", "A", 12)
    assert cache.get("a") == "A"
    assert cache.size == 92
    cache.put("a", "too large", 13)
    assert cache.get("a") is None
    assert cache.size == 80


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("reference", "newer", "is_read"),
    [("project", 0, False), ("project", 1, True), ("dataset", 0, False), ("dataset", 1, False)],
)
async def test_a_page_of_a_known_revision_calls_no_function(
    api: Api, mode: str, reference: str, newer: int, is_read: bool
) -> None:
    """It makes settings of its own each time, which is a quarter of the time where nothing is to be read."""
    dataset = await project_with_members(api)
    await fill(api, dataset, 20)
    known = {"project": dataset.project_id, "dataset": dataset.id}[reference]
    async with api.db.begin() as tx:
        await tx.execute(f"SET LOCAL plan_cache_mode = {mode}")
        revision = await tx.fetchval("SELECT revision FROM annotation_projects WHERE id = $1", dataset.project_id)
        given = (known, OWNER.id, 0, 10, 0, dataset.project_id, revision - newer, None)
        plan = "\n".join(row["QUERY PLAN"] for row in await tx.fetch(f"EXPLAIN (ANALYZE) {store._PAGE}", *given))
    [scan] = [line for line in plan.splitlines() if "Function Scan on project_page_1" in line]
    assert ("never executed" not in scan) == is_read, plan
