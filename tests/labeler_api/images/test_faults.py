"""Parts that go away while images travel: a clear answer, and nothing lost."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.api import Api, storage_environment
from tests.fixtures.cut_uploads import FORM, PART, running
from tests.fixtures.pictures import Counters, counters, image_rows, media_path, picture, stored_keys, upload
from tests.fixtures.relay import Relay
from tests.fixtures.users import RunningGateway
from tests.fixtures.waiting import until


@pytest.fixture
async def storage_wire(object_store: SeaweedServer) -> AsyncIterator[Relay]:
    async with Relay(object_store.ports[0]) as relay:
        yield relay


@pytest.fixture
async def api(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer, storage_wire: Relay
) -> AsyncIterator[Api]:
    """An application that reaches its store over a wire that can be cut."""
    store = storage_environment(object_store) | {"S3_ENDPOINT": f"http://127.0.0.1:{storage_wire.port}"}
    async with running(labeler_dsn, gateway, store) as dataset:
        await dataset.empty_store()
        yield dataset


def must_be_503(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == code, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert "access-control-allow-origin" in answer.headers


async def test_a_store_that_is_away_refuses_an_upload_and_the_next_try_succeeds(api: Api, storage_wire: Relay) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await storage_wire.cut()
    must_be_503(await upload(owner, dataset, ("a.jpg", picture())), "storage_unavailable")
    assert await image_rows(api, dataset) == {}
    assert await counters(api, dataset) == Counters(of_dataset=0, of_project=0, revision=0)
    await storage_wire.restore()
    assert (await upload(owner, dataset, ("a.jpg", picture()))).status_code == 200
    assert list(await image_rows(api, dataset)) == ["a"]


async def test_a_store_that_goes_away_at_the_end_of_an_upload_costs_one_picture(api: Api, storage_wire: Relay) -> None:
    dataset = await api.dataset()

    async def three_are_stored() -> bool:
        return len(await stored_keys(api, dataset, "images")) == 3

    async def form() -> AsyncIterator[bytes]:
        for number in range(3):
            yield PART % b"%d.jpg" % number + picture() + b"\r\n"
        yield PART % b"last.jpg"  # the parser hands a part over when the next one begins
        await until(three_are_stored)
        await storage_wire.cut()
        yield picture() + b"\r\n--x--\r\n"

    owner = await api.login("owner")
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)
    body = answer.json()
    assert answer.status_code == 200
    assert body["images_uploaded"] == 3
    assert body["failed_total"] == 1
    assert body["failed"][0]["filename"] == "last.jpg"
    assert "send it again" in body["failed"][0]["reason"]
    assert sorted(await image_rows(api, dataset)) == ["0", "1", "2"]
    counted = await counters(api, dataset)
    assert counted.of_dataset == 3
    assert counted.of_project == 3


async def test_a_store_that_stays_away_ends_an_upload_and_what_was_stored_is_kept(
    api: Api, storage_wire: Relay
) -> None:
    dataset = await api.dataset()

    async def three_are_stored() -> bool:
        return len(await stored_keys(api, dataset, "images")) == 3

    async def form() -> AsyncIterator[bytes]:
        for number in range(40):
            yield PART % b"%d.jpg" % number + picture() + b"\r\n"
            if number == 3:  # the parser hands a part over when the next one begins
                await until(three_are_stored)
                await storage_wire.cut()
        yield b"--x--\r\n"

    owner = await api.login("owner")
    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM, timeout=120)
    must_be_503(answer, "storage_unavailable")
    assert answer.json()["images_uploaded"] == 3
    assert "The 3 images that came before it are stored" in answer.json()["detail"]
    assert sorted(await image_rows(api, dataset)) == ["0", "1", "2"]
    counted = await counters(api, dataset)
    assert counted.of_dataset == 3
    assert counted.of_project == 3


async def test_a_store_that_is_away_answers_503_for_bytes_and_not_for_lists(api: Api, storage_wire: Relay) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("a.jpg", picture()))
    await storage_wire.cut()
    listed = await owner.get(f"/api/v1/projects/{dataset.project_id}/images")
    assert listed.status_code == 200
    [image] = listed.json()["images"]
    for link in (image["url"], image["thumbnail_url"]):
        must_be_503(await api.client().get(media_path(link)), "storage_unavailable")
    await storage_wire.restore()
    assert (await api.client().get(media_path(image["url"]))).content == picture()
    assert (await api.client().get(media_path(image["thumbnail_url"]))).status_code == 200


async def test_a_database_that_goes_away_during_an_upload(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer
) -> None:
    parts = urlsplit(labeler_dsn)
    assert parts.port
    async with Relay(parts.port) as wire:
        dsn = labeler_dsn.replace(f":{parts.port}/", f":{wire.port}/")
        async with running(dsn, gateway, storage_environment(object_store)) as api:
            dataset = await api.dataset()

            async def form() -> AsyncIterator[bytes]:
                yield PART % b"a.jpg" + picture()
                await wire.cut()
                yield b"\r\n--x--\r\n"

            owner = await api.login("owner")
            answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)
            must_be_503(answer, "database_unavailable")
            await wire.restore()
            assert await image_rows(api, dataset) == {}
            assert (await upload(owner, dataset, ("a.jpg", picture()))).status_code == 200
            assert list(await image_rows(api, dataset)) == ["a"]
