"""The bytes of images and thumbnails, by signed links."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from labeler_api.errors import Unavailable
from labeler_api.http.streaming import wanted_range
from labeler_api.object_store.objects import ObjectStore
from labeler_api.resilience.caches import ByteCache
from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import media_path, noise, upload
from tests.fixtures.timing import check_within

CONTENT = noise(300, 200)
SIZE = len(CONTENT)


async def one_image(api: Api, **options: Any) -> Dataset:
    dataset = await api.dataset(**options)
    assert (await upload(await api.login("owner"), dataset, ("a b/한 1.jpg", CONTENT))).json()["images_uploaded"] == 1
    return dataset


async def links(api: Api, dataset: Dataset, account: str = "owner") -> tuple[str, str]:
    """The paths of the first image and of its thumbnail, as this account gets them."""
    listed = await (await api.login(account)).get(f"/api/v1/projects/{dataset.project_id}/images")
    image = listed.json()["images"][0]
    return media_path(image["url"]), media_path(image["thumbnail_url"])


def watch(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are opened in the store from now on."""
    opened: list[str] = []
    real = ObjectStore.open

    def note(self: ObjectStore, bucket: str, key: str, byte_range: str | None = None) -> object:
        opened.append(key)
        return real(self, bucket, key, byte_range)

    monkeypatch.setattr(ObjectStore, "open", note)
    return opened


def forget(api: Api) -> None:
    """Let the five seconds of the media caches pass."""
    api.services.caches.images._values.clear()
    api.services.caches.viewers._values.clear()


async def test_an_image_comes_as_it_was_sent(api: Api) -> None:
    dataset = await one_image(api)
    image, thumbnail = await links(api, dataset)
    browser = api.client()
    answer = await browser.get(image)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    headers = answer.headers
    assert headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()[:16]}"'
    assert headers["content-length"] == str(SIZE)
    assert headers["content-type"] == "image/jpeg"
    assert headers["accept-ranges"] == "bytes"
    age = int(headers["cache-control"].removeprefix("private, max-age=").removesuffix(", immutable"))
    assert 12 * 3600 - 5 <= age <= 24 * 3600
    assert headers["access-control-allow-origin"] == ORIGIN
    small = await browser.get(thumbnail)
    assert small.status_code == 200
    assert small.headers["content-type"] == "image/jpeg"
    assert len(small.content) < SIZE
    for each in (headers, small.headers):
        assert each["x-content-type-options"] == "nosniff"
        assert each["referrer-policy"] == "no-referrer"
        assert each["cross-origin-resource-policy"] == "cross-origin"
        assert each["content-security-policy"] == "default-src 'none'; sandbox"
        assert "Origin" in each["vary"]


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-0", 206, CONTENT[:1]),
        ("bytes=10-19", 206, CONTENT[10:20]),
        ("bytes=10-", 206, CONTENT[10:]),
        ("bytes=-5", 206, CONTENT[-5:]),
        (f"bytes={SIZE - 3}-{SIZE + 100}", 206, CONTENT[-3:]),
        (f"bytes=-{SIZE + 100}", 206, CONTENT),
        ("BYTES=0-1", 206, CONTENT[:2]),
        (f"bytes={SIZE}-", 416, None),
        ("bytes=99999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, CONTENT),  # no range at all, by RFC 9110, 14.1.1
        ("bytes=0-0,5-6", 200, CONTENT),  # several: the whole
        ("bytes=" + ",".join(["0-0"] * 1000), 200, CONTENT),
        ("bytes=a-b", 200, CONTENT),
        ("bytes=-", 200, CONTENT),
        ("items=0-1", 200, CONTENT),
    ],
)
async def test_ranges(api: Api, asked: str, status: int, expected: bytes | None) -> None:
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    answer = await api.client().get(image, headers={"Range": asked})
    assert answer.status_code == status
    if expected is None:
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
        assert answer.json()["code"] == "range_not_satisfiable"
        return
    assert answer.content == expected
    assert answer.headers["content-length"] == str(len(expected))
    assert ("content-range" in answer.headers) is (status == 206)
    if status == 206:
        start = CONTENT.index(expected) if len(expected) > 8 else {1: 0, 2: 0, 5: SIZE - 5, 3: SIZE - 3}[len(expected)]
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{SIZE}"


async def test_a_range_of_another_version_is_not_mixed_in(api: Api) -> None:
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    browser = api.client()
    etag = (await browser.get(image)).headers["etag"]
    same = await browser.get(image, headers={"Range": "bytes=0-4", "If-Range": etag})
    other = await browser.get(image, headers={"Range": "bytes=0-4", "If-Range": '"another"'})
    assert same.status_code == 206
    assert other.status_code == 200
    assert other.content == CONTENT


def test_ten_thousand_ranges_are_read_at_once() -> None:
    header = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    started = time.thread_time()  # its own: a busy machine costs nothing
    assert wanted_range(header, None, '"e"') is None
    check_within(time.thread_time() - started, 0.01)


async def test_who_has_the_bytes_is_told_so_without_a_call_to_the_store(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await one_image(api)
    image, thumbnail = await links(api, dataset)
    browser = api.client()
    etag = (await browser.get(image)).headers["etag"]
    opened = watch(api, monkeypatch)
    for path in (image, thumbnail):
        for condition in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = await browser.get(path, headers={"If-None-Match": condition})
            assert answer.status_code == 304
            assert answer.content == b""
            assert answer.headers["etag"] == etag
            assert "immutable" in answer.headers["cache-control"]
    assert opened == []
    assert (await browser.get(image, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_page_of_thumbnails_costs_one_call_each_and_no_statement(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await one_image(api)
    _, thumbnail = await links(api, dataset)
    opened, browser = watch(api, monkeypatch), api.client()
    with api.count() as counted:
        for _ in range(5):
            assert (await browser.get(thumbnail)).status_code == 200
    assert len(opened) == 1
    assert counted.value == 0
    forget(api)
    with api.count() as counted:
        await browser.get(thumbnail)
    assert len(opened) == 1
    assert counted.value == 2


async def test_a_slash_may_be_encoded(api: Api) -> None:
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    path, _, query = image.partition("?")
    head, _, last = path.rpartition("/")
    assert (await api.client().get(f"{head}%2F{last}?{query}")).content == CONTENT


async def test_a_store_that_breaks_off_before_the_first_byte_is_asked_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    from labeler_api.object_store.objects import ObjectStream

    real, tries = ObjectStream.iter_chunks, []

    async def broken(self: ObjectStream, size: int = 1024) -> AsyncIterator[bytes]:
        tries.append(1)
        if len(tries) == 1:
            raise Unavailable("gone", code="storage_unavailable")
        async for chunk in real(self, size):
            yield chunk

    monkeypatch.setattr(ObjectStream, "iter_chunks", broken)
    answer = await api.client().get(image)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert len(tries) == 2
    assert api.services.objects.open_streams == 0


async def test_a_client_that_leaves_closes_the_source(api: Api) -> None:
    """Over ASGI: the client leaves while the answer waits to be sent."""
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    path, _, query = image.partition("?")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # a client that takes nothing

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": str(httpx.URL(path).path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"api.test")],
        "server": ("api.test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "app": api.app,
        "state": {},
    }
    await api.app(scope, receive, send)
    assert api.services.objects.open_streams == 0
    assert len(sent) <= 2


async def test_the_cache_of_thumbnails_is_bounded_by_bytes() -> None:
    cache, loads = ByteCache(8000), []

    async def value(name: str, size: int) -> bytes:
        async def load() -> bytes:
            loads.append(name)
            return bytes(size)

        return await cache.get(name, load)

    for number in range(20):
        await value(str(number), 900)
    assert cache.size <= 8000
    await value("19", 900)
    await value("0", 900)
    assert loads[20:] == ["0"]
    await value("huge", 2000)
    await value("huge", 2000)
    assert loads[-2:] == ["huge", "huge"]
