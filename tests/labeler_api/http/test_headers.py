"""What every answer says to browsers: what they may do with it, and how to ask next time."""

import httpx
import msgspec
import pytest

from labeler_api.app import create_app
from tests.fixtures.api import ORIGIN, Api

_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("GET", "/api/v1/datasets", {}, 401),
        ("GET", "/api/v1/nowhere", {}, 404),
        ("PATCH", "/health", {}, 405),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/docs/assets/swagger-ui.css", {}, 200),
        ("GET", "/redoc", {}, 307),
        ("OPTIONS", "/api/v1/datasets", _PREFLIGHT, 200),
        ("OPTIONS", "/api/v1/datasets", {**_PREFLIGHT, "Origin": "https://evil.example"}, 400),
    ],
)
async def test_every_answer_has_a_policy(
    api: Api, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with api.client() as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == _NOTHING
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in answer.headers  # reached by http here


async def test_the_documentation_has_one_of_its_own(api: Api) -> None:
    async with api.client() as client:
        policy = (await client.get("/docs")).headers.get_list("Content-Security-Policy")
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; script-src 'self'")
    assert "frame-ancestors 'none'" in policy[0]


async def test_https_is_asked_for_where_the_api_is_reached_by_it(api: Api) -> None:
    settings = msgspec.structs.replace(api.services.settings, api_public_url="https://api.example")
    transport = httpx.ASGITransport(create_app(settings, api.services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as client:
        for path in ("/health", "/api/v1/nowhere", "/docs"):
            assert (await client.get(path)).headers["Strict-Transport-Security"] == "max-age=31536000"
