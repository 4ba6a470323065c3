"""The object store client against a real store."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from labeler_api.errors import NotFound, RangeNotSatisfiable, Unavailable
from labeler_api.object_store.objects import ObjectStore, UnfinishedUpload
from labeler_api.object_store.presigning import WINDOW_SECONDS, Presigner
from labeler_api.settings import Settings
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures.timing import check_within

BUCKET = "datasets"
MEBIBYTE = 1024 * 1024


def settings_for(store: SeaweedServer, **changes: object) -> Settings:
    access = store.access
    given: dict[str, object] = {
        "labeler_db_url": "postgresql://nobody@127.0.0.1/nothing",
        "s3_endpoint": access.endpoint,
        "s3_access_key": access.access_key,
        "s3_secret_key": access.secret_key,
    }
    return Settings(**(given | changes))  # type: ignore[arg-type]


class Open:
    """A guard that lets every deletion through; labeler_api.object_store.bucket_ownership has tests of its own."""

    async def require(self, bucket: str) -> None:
        pass


@pytest.fixture
async def objects(object_store: SeaweedServer) -> AsyncIterator[ObjectStore]:
    async with AsyncExitStack() as stack:
        opened = await ObjectStore.connect(settings_for(object_store), stack)
        opened.guard = Open()
        yield opened


async def test_what_is_put_comes_back_with_its_type_and_metadata(objects: ObjectStore) -> None:
    key = "objects/가 b%?.jpg"
    await objects.put(BUCKET, key, b"0123456789", "image/jpeg", {"sha256": "abc"})
    async with objects.open(BUCKET, key) as stream:
        assert stream.size == 10
        assert stream.length == 10
        assert stream.content_type == "image/jpeg"
        assert stream.metadata["sha256"] == "abc"
        assert await stream.read() == b"0123456789"
    info = await objects.head(BUCKET, key)
    assert info.size == 10
    assert info.content_type == "image/jpeg"
    assert dict(info.metadata or {}) == {"sha256": "abc"}


@pytest.mark.parametrize(
    ("asked", "got", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ],
)
async def test_ranges(objects: ObjectStore, asked: str, got: bytes, content_range: str) -> None:
    await objects.put(BUCKET, "objects/range", b"0123456789", "text/plain")
    async with objects.open(BUCKET, "objects/range", asked) as stream:
        assert stream.content_range == content_range
        assert stream.size == 10
        assert stream.length == len(got)
        assert await stream.read() == got


async def test_a_range_beyond_the_end(objects: ObjectStore) -> None:
    await objects.put(BUCKET, "objects/range", b"0123456789", "text/plain")
    with pytest.raises(RangeNotSatisfiable):
        async with objects.open(BUCKET, "objects/range", "bytes=10-"):
            pass


async def test_what_is_not_there(objects: ObjectStore) -> None:
    with pytest.raises(NotFound):
        async with objects.open(BUCKET, "objects/nothing"):
            pass
    with pytest.raises(NotFound):
        await objects.head(BUCKET, "objects/nothing")


@pytest.mark.parametrize("size", [0, 5, 8 * MEBIBYTE, 8 * MEBIBYTE + 1, 20 * MEBIBYTE])
async def test_a_stream_of_any_length_becomes_one_object(objects: ObjectStore, size: int) -> None:
    async with objects.upload_stream(BUCKET, "objects/streamed", "application/zip", {"a": "b"}) as upload:
        for start in range(0, size, MEBIBYTE):
            await upload.write(bytes([start // MEBIBYTE]) * min(MEBIBYTE, size - start))
    assert upload.size == size
    async with objects.open(BUCKET, "objects/streamed") as stream:
        assert stream.size == size
        assert stream.content_type == "application/zip"
        assert stream.metadata["a"] == "b"
        content = await stream.read()
    assert len(content) == size
    assert content[::MEBIBYTE] == bytes(range(len(content[::MEBIBYTE])))


async def test_a_stream_that_breaks_off_leaves_nothing(objects: ObjectStore) -> None:
    async def break_off() -> None:
        async with objects.upload_stream(BUCKET, "objects/broken", "application/zip") as upload:
            await upload.write(b"x" * 9 * MEBIBYTE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    with pytest.raises(NotFound):
        await objects.head(BUCKET, "objects/broken")
    unfinished = await objects._client.list_multipart_uploads(Bucket=BUCKET, Prefix="objects/broken")
    assert unfinished.get("Uploads", []) == []


async def test_put_takes_an_iterable(objects: ObjectStore) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    await objects.put(BUCKET, "objects/parts", parts(), "text/plain")
    async with objects.open(BUCKET, "objects/parts") as stream:
        assert await stream.read() == b"one two"


async def test_copy_list_and_delete(objects: ObjectStore) -> None:
    for name in ("c", "a", "b"):
        await objects.put(BUCKET, f"objects/list/{name} 한", name.encode(), "text/plain", {"n": name})
    await objects.copy(BUCKET, "objects/list/a 한", BUCKET, "objects/list/d")
    found = [(entry.key, entry.size) async for entry in objects.list(BUCKET, "objects/list/")]
    assert found == [(f"objects/list/{name}", 1) for name in ("a 한", "b 한", "c 한", "d")]
    assert (await objects.head(BUCKET, "objects/list/d")).metadata == {"n": "a"}
    await objects.delete_many(BUCKET, [key for key, _ in found] + ["objects/list/never there"])
    assert [entry async for entry in objects.list(BUCKET, "objects/list/")] == []


async def test_without_a_guard_nothing_is_deleted(object_store: SeaweedServer) -> None:
    async with AsyncExitStack() as stack:
        unguarded = await ObjectStore.connect(settings_for(object_store), stack)
        await unguarded.put(BUCKET, "objects/kept", b"", "text/plain")
        with pytest.raises(Unavailable, match="Nothing is deleted"):
            await unguarded.delete_many(BUCKET, ["objects/kept"])
        with pytest.raises(Unavailable, match="Nothing is deleted"):
            await unguarded.give_up(BUCKET, UnfinishedUpload("objects/kept", "1", datetime.now(UTC)))
        await unguarded.head(BUCKET, "objects/kept")


async def test_of_many_who_write_a_new_object_one_wins(objects: ObjectStore) -> None:
    key = f"objects/new/{uuid4()}"
    written = await asyncio.gather(*(objects.put_new(BUCKET, key, str(n).encode(), "text/plain") for n in range(8)))
    assert sorted(written) == [False] * 7 + [True]
    async with objects.open(BUCKET, key) as stream:
        assert await stream.read() == str(written.index(True)).encode()


async def test_a_listing_goes_on_after_a_thousand(objects: ObjectStore) -> None:
    names = [f"objects/many/{number:04d}" for number in range(1100)]
    for start in range(0, len(names), 50):
        await asyncio.gather(*(objects.put(BUCKET, name, b"", "text/plain") for name in names[start : start + 50]))
    assert [entry.key async for entry in objects.list(BUCKET, "objects/many/")] == names
    await objects.delete_many(BUCKET, names)
    assert [entry async for entry in objects.list(BUCKET, "objects/many/")] == []


async def test_an_unread_stream_gives_its_connection_back(object_store: SeaweedServer) -> None:
    async with AsyncExitStack() as stack:
        objects = await ObjectStore.connect(settings_for(object_store, s3_max_connections=2), stack)
        await objects.put(BUCKET, "objects/large", b"x" * 4 * MEBIBYTE, "text/plain")
        for _ in range(10):
            async with objects.open(BUCKET, "objects/large") as stream:
                async for _chunk in stream.iter_chunks():
                    break
        assert objects.open_streams == 0


async def test_a_presigned_link_opens_the_object_under_the_public_name(object_store: SeaweedServer) -> None:
    public = object_store.endpoint.replace("127.0.0.1", "localhost")
    async with AsyncExitStack() as stack:
        objects = await ObjectStore.connect(settings_for(object_store, s3_public_endpoint=public), stack)
        await objects.put(BUCKET, "objects/가 b.jpg", b"bytes", "image/jpeg")
        link = objects.presign(BUCKET, "objects/가 b.jpg", 'attachment; filename="a.jpg"')
    assert link.startswith(public + "/datasets/objects/")
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(link.replace("localhost", "127.0.0.1"), headers={"Host": public.partition("//")[2]})
    assert answer.status_code == 200
    assert answer.content == b"bytes"
    assert answer.headers["content-disposition"] == 'attachment; filename="a.jpg"'
    assert answer.headers["cache-control"] == "private, max-age=43200, immutable"
    forged = link.replace("objects/", "other/")
    async with httpx.AsyncClient() as browser:
        refused = await browser.get(
            forged.replace("localhost", "127.0.0.1"), headers={"Host": public.partition("//")[2]}
        )
    assert refused.status_code == 403


def test_a_presigned_link_stays_the_same_for_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000 * WINDOW_SECONDS
    presigner = Presigner("http://store:9000", "auto", "key", "secret")

    def at(seconds: float) -> str:
        monkeypatch.setattr("labeler_api.object_store.presigning.time.time", lambda: now + seconds)
        return presigner.link(BUCKET, "objects/a.jpg")

    assert at(0) == at(WINDOW_SECONDS - 1) != at(WINDOW_SECONDS)
    dated = parse_qs(urlsplit(at(WINDOW_SECONDS - 1)).query)
    begun = datetime.strptime(dated["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert begun + int(dated["X-Amz-Expires"][0]) - (now + WINDOW_SECONDS - 1) >= WINDOW_SECONDS


async def test_a_store_that_is_away_is_said_to_be(object_store: SeaweedServer) -> None:
    async with AsyncExitStack() as stack:
        endpoint = f"http://127.0.0.1:{free_port()}"
        objects = await ObjectStore.connect(settings_for(object_store, s3_endpoint=endpoint), stack)
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await objects.ping()
        assert caught.value.code == "storage_unavailable"
        assert caught.value.retry_after == 2
        with pytest.raises(Unavailable):
            await objects.put(BUCKET, "objects/x", b"", "text/plain")
        with pytest.raises(Unavailable):
            async with objects.open(BUCKET, "objects/x"):
                pass
        check_within(time.monotonic() - started, 10)


async def test_a_probe_says_at_once_that_the_store_is_away(object_store: SeaweedServer) -> None:
    """Readiness gives it half a second. A second attempt would come after a wait of up to one, at random."""
    async with AsyncExitStack() as stack:
        endpoint = f"http://127.0.0.1:{free_port()}"
        objects = await ObjectStore.connect(settings_for(object_store, s3_endpoint=endpoint), stack)
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await objects.ping()
        check_within(time.monotonic() - started, 3)  # 10 s on average with a second attempt


async def test_ping_wants_both_buckets(object_store: SeaweedServer) -> None:
    async with AsyncExitStack() as stack:
        objects = await ObjectStore.connect(settings_for(object_store), stack)
        await objects.ping()
    async with AsyncExitStack() as stack:
        objects = await ObjectStore.connect(settings_for(object_store, s3_bucket_annotations="none"), stack)
        with pytest.raises(NotFound, match="The bucket none does not exist"):
            await objects.ping()
