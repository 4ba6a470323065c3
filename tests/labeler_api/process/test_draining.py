"""SIGTERM while requests are under way: each gets an answer that a page may read, and uploads the whole time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from labeler_api.errors import Unavailable
from labeler_api.process.draining import Draining
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.api import ORIGIN, Api, storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import image_rows, picture, stored_keys
from tests.fixtures.timing import check_within
from tests.fixtures.users import RunningGateway
from tests.fixtures.waiting import until

SECONDS = 6
DRAIN_SECONDS = 5  # four calls have to fit in, on a machine with other work
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s.jpg"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
async def process(
    api: Api, labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer, tmp_path: Path
) -> AsyncIterator[ApiProcess]:
    """A process that stops within six seconds."""
    variables = {
        "LABELER_DB_URL": labeler_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "API_SHUTDOWN_SECONDS": str(SECONDS),
        **storage_environment(object_store),
    }
    process = ApiProcess(variables, tmp_path / "api.log")
    process.launch()
    await process.ready()
    yield process
    await process.stop()
    assert "Traceback" not in process.log, process.log[-4000:]


def client(api: Api, process: ApiProcess) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}", "Origin": ORIGIN}
    return httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60, trust_env=False)


def must_be_503(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "restarting", answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def _stored(api: Api, dataset: Dataset, number: int) -> bool:
    """Whether so many of an upload's files are in the store."""
    return len(await stored_keys(api, dataset, "images")) == number


async def test_an_upload_that_does_not_end_keeps_what_it_had_and_says_so(api: Api, process: ApiProcess) -> None:
    await api.empty_store()  # of datasets that had this id in other databases
    dataset = await api.dataset()
    stopped: list[asyncio.Task[None]] = []

    async def form() -> AsyncIterator[bytes]:
        yield PART % b"a" + picture() + b"\r\n" + PART % b"b"
        await until(partial(_stored, api, dataset, 1))
        stopped.append(asyncio.create_task(process.stop()))
        while True:
            await asyncio.sleep(0.2)
            yield bytes(1000)

    began = asyncio.get_running_loop().time()
    async with client(api, process) as browser:
        path = f"/api/v1/datasets/{dataset.id}/images"
        answer = await browser_answer(browser.build_request("POST", path, content=form(), headers=FORM))
    must_be_503(answer)
    assert answer.json()["images_uploaded"] == 1
    assert "The image that came before it is stored" in answer.json()["detail"]
    assert list(await image_rows(api, dataset)) == ["a"]
    assert asyncio.get_running_loop().time() - began > SECONDS / 2
    await stopped[0]


async def test_an_upload_that_ends_in_time_ends_well(api: Api, process: ApiProcess) -> None:
    await api.empty_store()  # of datasets that had this id in other databases
    dataset = await api.dataset()
    stopped: list[asyncio.Task[None]] = []

    async def form() -> AsyncIterator[bytes]:
        yield PART % b"a" + picture() + b"\r\n" + PART % b"b"
        await until(partial(_stored, api, dataset, 1))  # a signal that came before the request would have it refused
        stopped.append(asyncio.create_task(process.stop()))
        await asyncio.sleep(SECONDS / 3)
        yield picture() + b"\r\n--x--\r\n"

    async with client(api, process) as browser:
        answer = await browser.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)
    assert answer.status_code == 200
    assert answer.json()["images_uploaded"] == 2
    assert sorted(await image_rows(api, dataset)) == ["a", "b"]
    await stopped[0]


async def test_any_other_call_that_does_not_end_is_told_as_well(api: Api, process: ApiProcess) -> None:
    stopped: list[asyncio.Task[None]] = []

    async def body() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        await asyncio.sleep(0.5)
        stopped.append(asyncio.create_task(process.stop()))
        await asyncio.sleep(60)
        yield b"never"

    async with client(api, process) as browser:
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        answer = await browser_answer(
            browser.build_request("POST", "/api/v1/datasets", content=body(), headers=headers)
        )
    must_be_503(answer)
    await stopped[0]


async def browser_answer(request: httpx.Request) -> httpx.Response:
    """Send a request whose body does not end, and read the answer meanwhile, as browsers do; httpx sends first."""
    reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
    head = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode())

    async def send() -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for chunk in request.stream:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    sending = asyncio.create_task(send())
    async with asyncio.timeout(60):
        answer = await reader.read()
    sending.cancel()
    writer.close()
    top, _, content = answer.partition(b"\r\n\r\n")
    status, *fields = top.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return httpx.Response(int(status.split()[1]), headers=headers, content=content)


async def test_a_block_ends_when_the_process_has_to_and_not_before() -> None:
    draining = Draining(0.2)
    async with draining.bounded():
        pass
    with pytest.raises(ValueError, match="mine"):
        async with draining.bounded():
            raise ValueError("mine")
    with pytest.raises(TimeoutError):
        async with draining.bounded(), asyncio.timeout(0.01):
            await asyncio.sleep(10)
    assert not draining.begun
    asyncio.get_running_loop().call_later(0.05, draining.begin)
    with pytest.raises(Unavailable):
        async with draining.bounded():
            await asyncio.sleep(10)
    assert draining.begun
    with pytest.raises(Unavailable):  # it is over for whoever comes later, too
        async with draining.bounded():
            await asyncio.sleep(10)


async def test_a_process_that_drains_says_so_and_serves_on_before_it_refuses(api: Api, process: ApiProcess) -> None:
    await process.stop()
    process.launch(API_DRAIN_SECONDS=str(DRAIN_SECONDS))
    await process.ready()
    async with client(api, process) as browser:
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(process.stop())
        async with asyncio.timeout(DRAIN_SECONDS):
            while (answer := await browser.get("/health/ready")).status_code == 200:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.01)
        assert answer.status_code == 503
        assert answer.json()["process"] == "draining"
        # A new connection, since a balancer may not have seen it yet.
        async with client(api, process) as other:
            assert (await other.get("/api/v1/datasets")).status_code == 200
        assert (await browser.post("/api/v1/datasets", json={"name": "in time"})).status_code == 201
        check_within(asyncio.get_running_loop().time() - began, DRAIN_SECONDS)
        await stopping
    assert asyncio.get_running_loop().time() - began >= DRAIN_SECONDS


async def test_a_second_signal_ends_the_drain(api: Api, process: ApiProcess) -> None:
    await process.stop()
    process.launch(API_DRAIN_SECONDS="60")
    await process.ready()
    os.kill(process.pid, signal.SIGTERM)
    async with client(api, process) as browser:
        async with asyncio.timeout(10):
            while (await browser.get("/health/ready")).status_code == 200:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await process.stop()


async def test_each_of_several_workers_drains(api: Api, process: ApiProcess) -> None:
    await process.stop()
    process.launch(API_DRAIN_SECONDS="3", API_WORKERS="2")
    await process.ready()
    stopping = asyncio.create_task(process.stop())
    states: set[tuple[int, str]] = set()
    async with asyncio.timeout(30):
        while not stopping.done():
            try:
                async with client(api, process) as browser:  # each connection meets one of the workers
                    ready, call = await browser.get("/health/ready"), await browser.get("/api/v1/datasets")
            except httpx.TransportError:
                break
            if (ready.status_code, ready.json()["process"]) == (503, "draining"):
                states.add((call.status_code, ready.json()["process"]))
    await stopping
    assert states == {(200, "draining")}
