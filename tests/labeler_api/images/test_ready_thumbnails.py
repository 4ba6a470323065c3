"""Thumbnails that the server sends at once: the same answers, lines and numbers as the usual way gives."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from msgspec import structs
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import Receive, Scope, Send

from labeler_api.app import create_app
from labeler_api.http.server.connections import Bounds
from labeler_api.http.server.protocol import BoundedProtocol
from labeler_api.images.media.ready_thumbnails import ROUTE
from service_kit.tracing import Tracing
from tests.fixtures.accounts import OWNER, VIEWER
from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import media_path, picture, upload
from tests.fixtures.waiting import until

OF_EACH_REQUEST = (b"date", b"x-request-id")
PATIENCE = 20.0


@dataclass
class Answer:
    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def lasting(self) -> list[tuple[bytes, bytes]]:
        """The fields without those that are of each request; how long it may be kept without its last digit."""
        return [
            (name, value.partition(b"=")[2][:4] if name == b"cache-control" else value)
            for name, value in self.fields
            if name not in OF_EACH_REQUEST
        ]

    def field(self, name: bytes) -> bytes:
        (value,) = [value for own, value in self.fields if own == name]
        return value


@dataclass
class Served:
    """The application on a socket, behind the real protocol; counts what goes the usual way."""

    api: Api
    port: int = 0
    usual: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, *requests: bytes) -> list[Answer]:
        """Send requests behind one another on one connection, at once; return their answers in order."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(requests))
        async with asyncio.timeout(PATIENCE):
            answers = [await _answer(reader, request) for request in requests]
        writer.close()
        return answers

    async def get(self, path: str, **fields: str) -> Answer:
        (answer,) = await self.send(request(path, **fields))
        return answer

    def counted(self, name: str, **labels: str) -> float:
        return self.api.services.instruments.metrics.registry.get_sample_value(f"labeler_{name}", labels) or 0.0


def request(path: str, *, start: str = "GET {} HTTP/1.1", body: str = "", **fields: str) -> bytes:
    """A request; underscores in the names of fields are dashes."""
    lines = [start.format(path), "host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def _answer(reader: asyncio.StreamReader, sent: bytes) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).strip().split(b"\r\n")
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    length = 0 if sent.startswith(b"HEAD") else int(dict(fields).get(b"content-length", b"0"))
    return Answer(int(first.split()[1]), fields, await reader.readexactly(length))


@asynccontextmanager
async def serving(api: Api, tracing: Tracing | None = None) -> AsyncIterator[Served]:
    served = Served(api)
    instruments = replace(
        api.services.instruments,
        access_line=lambda line: served.lines.append(json.loads(line)),
        tracing=tracing or api.services.instruments.tracing,
    )
    services = replace(api.services, instruments=instruments)
    app = create_app(structs.replace(services.settings, jobs="off"), services)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            served.usual.append(scope["path"])
        await app(scope, receive, send)

    config = uvicorn.Config(counting, port=0, http=BoundedProtocol, ws="none", log_config=None)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await until(lambda: running.started)
    served.port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        running.should_exit = True
        await task


@pytest.fixture
async def served(api: Api) -> AsyncIterator[Served]:
    async with serving(api) as running:
        yield running


async def shown(api: Api, account: str = "owner", **options: Any) -> tuple[Dataset, str]:
    """A dataset with one image, and the path of its thumbnail as this account gets it."""
    dataset = await api.dataset(**options)
    await upload(await api.login("owner"), dataset, ("a b/한 1.jpg", picture()))
    return dataset, await thumbnail(api, dataset, account)


async def thumbnail(api: Api, dataset: Dataset, account: str = "owner") -> str:
    listed = await (await api.login(account)).get(f"/api/v1/projects/{dataset.project_id}/images")
    return media_path(listed.json()["images"][0]["thumbnail_url"])


@pytest.mark.parametrize("fields", [{}, {"origin": ORIGIN}, {"origin": "https://evil.example"}, {"accept": "*/*"}])
async def test_it_is_the_same_answer(served: Served, fields: dict[str, str]) -> None:
    _, path = await shown(served.api)
    usual = await served.get(path, **fields)
    assert len(served.usual) == 1
    at_once = await served.get(path, **fields)
    assert len(served.usual) == 1, "the second one goes the usual way, too"
    assert usual.status == at_once.status == 200
    assert at_once.lasting == usual.lasting
    assert at_once.body == usual.body
    assert {name for name, _ in at_once.fields} == {name for name, _ in usual.fields}


async def test_a_browser_that_has_it_is_told_so(served: Served) -> None:
    _, path = await shown(served.api)
    etag = (await served.get(path)).field(b"etag").decode()
    at_once = await served.get(path, if_none_match=etag)
    assert len(served.usual) == 1
    served.api.services.caches.addresses.forget(path.encode())
    usual = await served.get(path, if_none_match=etag)
    assert len(served.usual) == 2
    assert at_once.status == usual.status == 304
    assert at_once.lasting == usual.lasting
    assert (await served.get(path, if_none_match='"another"')).status == 200


async def test_a_request_keeps_its_id(served: Served) -> None:
    _, path = await shown(served.api)
    await served.get(path)
    assert (await served.get(path, x_request_id="one-of-mine")).field(b"x-request-id") == b"one-of-mine"
    assert served.lines[-1]["request_id"] == "one-of-mine"
    other = await served.get(path, x_request_id="sh/ort")
    assert len(other.field(b"x-request-id")) == 16
    assert served.lines[-1]["request_id"] == other.field(b"x-request-id").decode()
    assert len(served.usual) == 1


async def test_it_has_its_line_and_its_numbers(served: Served) -> None:
    _, path = await shown(served.api)
    await served.get(path)
    size = len((await served.get(path)).body)
    await served.get(path, if_none_match="*")
    usual, whole, unchanged = served.lines
    assert list(whole) == list(usual)
    changing = {"request_id", "timestamp", "duration_ms"}
    assert {name: whole[name] for name in whole.keys() - changing} == {
        name: usual[name] for name in usual.keys() - changing
    }
    assert whole["duration_ms"] > 0
    assert unchanged["status"] == 304
    assert unchanged["sent_bytes"] == 0
    assert served.counted("http_requests_total", method="GET", route=ROUTE, status="200") == 2
    assert served.counted("http_requests_total", method="GET", route=ROUTE, status="304") == 1
    assert served.counted("http_request_seconds_count", method="GET", route=ROUTE) == 3
    assert served.counted("http_request_statements_bucket", method="GET", route=ROUTE, le="0.0") == 3
    assert served.counted("media_bytes_total", route=ROUTE) == 2 * size
    assert served.counted("thumbnail_lookups_total", result="miss") == 1
    assert served.counted("thumbnail_lookups_total", result="hit") == 1


async def test_a_link_ends_when_it_says(served: Served) -> None:
    dataset, path = await shown(served.api)
    row = served.api.services.caches.images.get((dataset.id, "a b/한 1"))
    assert row is not None
    version, expires = row["content_sha256"][:16], int(time.time()) + 2
    link = served.api.services.links._signed("thumbnails", f"{dataset.id}/{row['id']}", version, OWNER.id, expires)
    path = media_path(link)
    assert (await served.get(path)).status == 200
    at_once = await served.get(path)
    assert len(served.usual) == 1
    assert at_once.field(b"cache-control") in {b"private, max-age=%d, immutable" % left for left in (0, 1, 2)}
    await asyncio.sleep(expires - time.time() + 0.01)
    ended = await served.get(path)
    assert ended.status == 404
    assert json.loads(ended.body)["code"] == "link_invalid"


async def test_who_may_not_see_it_any_more_does_not(served: Served) -> None:
    dataset, path = await shown(served.api, "viewer", members={"viewer": "viewer"})
    assert [(await served.get(path)).status for _ in range(2)] == [200, 200]
    assert len(served.usual) == 1
    owner = await served.api.login("owner")
    removed = await owner.delete(f"/api/v1/projects/{dataset.project_id}/permissions/{VIEWER.id}")
    assert removed.is_success, removed.text
    gone = await until(lambda: _is_gone(served, path), seconds=10)
    assert gone < 6, "contract#images: within 5 seconds"


async def _is_gone(served: Served, path: str) -> bool:
    return (await served.get(path)).status == 404


async def test_another_link_is_not_taken_for_it(served: Served) -> None:
    _, path = await shown(served.api)
    await served.get(path)
    assert (await served.get(path[:-1] + ("A" if path[-1] != "A" else "B"))).status == 404
    assert (await served.get(path.replace("&u=", "&u=1"))).status == 404
    assert (await served.get(path.partition("?")[0])).status == 422


async def test_a_replaced_image_is_not_shown_as_it_was(served: Served) -> None:
    dataset, path = await shown(served.api)
    await served.get(path)
    await upload(await served.api.login("owner"), dataset, ("a b/한 1.jpg", picture(90, 30)))
    newer = await thumbnail(served.api, dataset)
    assert newer != path
    old = await served.get(path)
    assert old.status == 404
    assert json.loads(old.body)["code"] == "image_replaced"
    assert [(await served.get(newer)).status for _ in range(2)] == [200, 200]
    assert len(served.usual) == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"start": "HEAD {} HTTP/1.1"}, 405),
        ({"start": "POST {} HTTP/1.1", "content_length": "0"}, 405),
        ({"start": "GET {} HTTP/1.0"}, 200),
        ({"connection": "close"}, 200),
        ({"connection": "upgrade", "upgrade": "websocket"}, 200),
        ({"content_length": "2", "body": "{}"}, 200),
        ({"transfer_encoding": "chunked", "body": "2\r\n{}\r\n0\r\n\r\n"}, 200),
    ],
)
async def test_what_asks_for_more_goes_the_usual_way(served: Served, sent: dict[str, str], status: int) -> None:
    _, path = await shown(served.api)
    await served.get(path)
    (answer,) = await served.send(request(path, **sent))
    assert answer.status == status
    assert len(served.usual) == 2


async def test_answers_come_in_the_order_of_the_requests(served: Served) -> None:
    _, path = await shown(served.api)
    size = len((await served.get(path)).body)
    at_once, usual = request(path), request("/health")
    answers = await served.send(at_once, usual, at_once, at_once, usual, at_once)
    assert [len(answer.body) == size for answer in answers] == [True, False, True, True, False, True]
    assert {answer.status for answer in answers} == {200}


async def test_no_more_are_answered_ahead_than_the_usual_way_takes(served: Served) -> None:
    """A read holds two thousand such requests. Everybody else would wait for all of them."""
    _, path = await shown(served.api)
    await served.get(path)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request(path) * 500)
    async with asyncio.timeout(PATIENCE):
        answers = await reader.read()
    writer.close()
    # Then one goes the usual way, eight wait behind it, and the next is refused.
    assert answers.count(b"HTTP/1.1 200 OK") == Bounds().pipelined + 1
    assert served.counted("connections_ended_total", reason="pipelined") == 1


async def test_a_request_that_is_traced_goes_the_usual_way(api: Api) -> None:
    async with serving(api, Tracing(TracerProvider(), "a test")) as served:
        _, path = await shown(api)
        assert [(await served.get(path)).status for _ in range(2)] == [200, 200]
        assert len(served.usual) == 2


async def test_a_long_address_is_not_remembered(served: Served) -> None:
    _, path = await shown(served.api)
    long = f"{path}&more={'x' * 2048}"
    assert [(await served.get(long)).status for _ in range(2)] == [200, 200]
    assert len(served.usual) == 2
