"""The object store of the stack."""

import asyncio
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from labeler_ops.errors import StackError
from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer, find_weed
from labeler_ops.stack.ports import free_ports
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.buckets import PROBE_PREFIX, connect, prepare, require_buckets


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SeaweedServer]:
    server = SeaweedServer(tmp_path / "data", free_ports(PORT_COUNT), "key", "secret")
    await server.start()
    yield server
    await server.stop()


async def put(access: StorageAccess, key: str, body: bytes) -> None:
    async with connect(access) as client:
        await client.put_object(Bucket="datasets", Key=key, Body=body)


async def get(access: StorageAccess, key: str) -> bytes:
    async with connect(access) as client:
        answer = await client.get_object(Bucket="datasets", Key=key)
        async with answer["Body"] as body:
            return await body.read()


def preflight(url: str, origin: str) -> str | None:
    """The origin that the store lets read, asked as a browser asks."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    request = urllib.request.Request(url, method="OPTIONS", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Access-Control-Allow-Origin"])
    except urllib.error.HTTPError as error:
        error.close()
        return None


async def test_bytes_survive_a_kill_and_a_stop(store: SeaweedServer) -> None:
    content = bytes(range(256)) * 4096
    await put(store.access, "a/b.bin", content)
    assert store.process is not None
    store.process.send(signal.SIGKILL)
    await store.process.ended(10)
    await store.start()
    assert await get(store.access, "a/b.bin") == content
    await store.stop()
    await store.start()
    assert await get(store.access, "a/b.bin") == content


async def test_two_stores_run_side_by_side(store: SeaweedServer, tmp_path: Path) -> None:
    other = SeaweedServer(tmp_path / "other", free_ports(PORT_COUNT), "key", "secret")
    await other.start()
    try:
        await put(store.access, "which", b"first")
        await put(other.access, "which", b"second")
        assert await get(store.access, "which") == b"first"
        assert await get(other.access, "which") == b"second"
    finally:
        await other.stop()


async def test_a_wrong_secret_is_refused(object_store: SeaweedServer) -> None:
    wrong = StorageAccess(object_store.endpoint, object_store.access.access_key, "wrong")
    with pytest.raises(ClientError):
        await put(wrong, "k", b"")
    with pytest.raises(StorageError, match="check the key"):
        await require_buckets(wrong)
    with pytest.raises(StorageError):
        await prepare(wrong, seconds=1)


async def test_browsers_of_the_frontend_may_read_and_others_may_not(object_store: SeaweedServer) -> None:
    await put(object_store.access, "picture", b"...")
    url = f"{object_store.endpoint}/datasets/picture"
    assert await asyncio.to_thread(preflight, url, "http://localhost:3010") == "http://localhost:3010"
    assert await asyncio.to_thread(preflight, url, "http://evil.example") != "http://evil.example"


async def test_the_cors_rules_are_the_agreed_ones(object_store: SeaweedServer) -> None:
    async with connect(object_store.access) as client:
        for bucket in object_store.access.buckets:
            (rule,) = (await client.get_bucket_cors(Bucket=bucket))["CORSRules"]
            assert rule["AllowedMethods"] == ["GET", "HEAD"]
            assert rule["MaxAgeSeconds"] == 3000
            assert "*" not in rule["AllowedOrigins"]


async def test_preparing_again_keeps_what_is_there(object_store: SeaweedServer) -> None:
    await put(object_store.access, "kept", b"kept")
    await prepare(object_store.access)
    assert await get(object_store.access, "kept") == b"kept"
    async with connect(object_store.access) as client:
        for bucket in object_store.access.buckets:  # no probe is left behind
            assert "Contents" not in await client.list_objects_v2(Bucket=bucket, Prefix=PROBE_PREFIX)


async def test_a_missing_bucket_of_a_given_store_is_named(object_store: SeaweedServer) -> None:
    access = object_store.access
    other = StorageAccess(access.endpoint, access.access_key, access.secret_key, datasets_bucket="elsewhere")
    with pytest.raises(StorageError, match="bucket 'elsewhere' does not exist"):
        await require_buckets(other)
    await require_buckets(access)


async def test_a_store_that_is_away_is_said_in_one_line() -> None:
    (port,) = free_ports(1)
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        await require_buckets(StorageAccess(f"http://127.0.0.1:{port}", "k", "s"))
    assert "\n" not in str(caught.value)


async def test_a_store_that_ends_while_it_starts_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho no room left; exit 1\n")
    broken.chmod(0o755)
    server = SeaweedServer(tmp_path / "data", free_ports(PORT_COUNT), "key", "secret", weed=broken)
    with pytest.raises(StackError, match="no room left"):
        await server.start()


async def test_nothing_is_left_in_tmp(tmp_path: Path) -> None:
    ports = free_ports(PORT_COUNT)
    server = SeaweedServer(tmp_path / "data", ports, "key", "secret")
    await server.start()
    await server.stop()
    left = await asyncio.to_thread(lambda: [path.name for path in Path("/tmp").glob("seaweedfs-*.sock")])
    assert not [name for name in left if any(str(port) in name for port in ports)]


def test_without_the_program_the_way_out_is_said() -> None:
    assert find_weed().is_file()
