"""What every request passes: how much of it there is, and that nothing of it is lost."""

import cProfile
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message

from labeler_api.http.request_layer import RequestLayer
from tests.fixtures.accounts import OWNER
from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.pictures import picture, upload

# With Starlette 1.10 on Python 3.11; some thirty of each are the test's own, and those of its way to write lines.
# Around a call that asks the database nothing: 207; with a layer for each concern 377.
_ME = 220
# A read of one statement, with the loop's part in it: 450; 475 when a connection was lent as if somebody had to wait.
_A_READ = 465
# From memory: 221; 284 when each link was verified anew, and each header put together.
_A_THUMBNAIL = 240


async def test_a_request_is_few_calls_of_functions(api: Api) -> None:
    """Counted, since that is the same on a busy machine."""
    assert await _calls(api, "/api/v1/auth/me") < _ME
    dataset = await api.dataset()
    assert await _calls(api, f"/api/v1/image-locks/{dataset.project_id}") < _A_READ


async def test_a_thumbnail_from_memory_is_few_calls_of_functions(api: Api) -> None:
    dataset, client = await api.dataset(), await api.login("owner")
    await upload(client, dataset, ("a.jpg", picture()))
    listed = (await client.get(f"/api/v1/projects/{dataset.project_id}/images")).json()["images"]
    link = urlsplit(listed[0]["thumbnail_url"])
    assert await _calls(api, link.path, link.query) < _A_THUMBNAIL


async def _calls(api: Api, path: str, query: str = "") -> float:
    """How many functions are called for a request."""
    token = api.token(OWNER.id, OWNER.email)
    headers = {"host": "api.test", "origin": ORIGIN, "authorization": f"Bearer {token}", "content-length": "0"}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    async def ask() -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await api.app(scope, receive, send)

    await ask()  # learns who the user is, and what is remembered
    profile = cProfile.Profile()
    with profile:
        for _ in range(50):
            await ask()
    assert {message["status"] for message in answers if "status" in message} == {200}
    return sum(function.callcount for function in profile.getstats()) / 50


def test_there_is_one_layer(api: Api) -> None:
    assert isinstance(api.app.build_middleware_stack(), RequestLayer)


@pytest.mark.parametrize(
    ("origin", "allowed"), [(ORIGIN, ORIGIN), ("https://evil.example", None), (None, None), ("null", None), ("ä", None)]
)
@pytest.mark.parametrize("path", ["/health", "/api/v1/datasets", "/api/v1/nowhere"])
async def test_every_answer_says_who_may_read_it(api: Api, path: str, origin: str | None, allowed: str | None) -> None:
    transport = httpx.ASGITransport(api.app)
    headers = [] if origin is None else [(b"Origin", origin.encode("latin-1"))]
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        answer = await client.get(path)
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert ("access-control-expose-headers" in answer.headers) == (origin is not None)
    assert "Origin" in answer.headers["vary"]
    assert len(answer.headers["x-request-id"]) == 16
    assert len(answer.headers.get_list("x-content-type-options")) == 1


async def test_media_say_once_what_browsers_may_do(api: Api) -> None:
    async with api.client() as client:
        answer = await client.get("/media/images/ds/x?v=1&u=1&e=1&s=1")
    assert answer.status_code == 404
    assert len(answer.headers.get_list("content-security-policy")) == 1
