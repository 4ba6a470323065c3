"""GET /auth/me, and who is let in by a token."""

import base64
import json
import time
from collections.abc import Mapping

import jwt
import pytest

from tests.fixtures.accounts import ADMIN, OWNER
from tests.fixtures.api import JWT_SECRET, Api
from tests.fixtures.own_users import Own

URL = "/api/v1/auth/me"


def _token(claims: Mapping[str, object] | None = None, secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    """A good token of the owner's; `claims` replace its own, None leaves one out."""
    whole = {"user_id": OWNER.id, "email": "owner@example.com", "exp": int(time.time()) + 60, **(claims or {})}
    return jwt.encode({name: value for name, value in whole.items() if value is not None}, secret, algorithm)


def _unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'user_id': 1, 'exp': 2**40})}."


async def _get(api: Api, authorization: str | None) -> tuple[int, dict[str, object], str | None]:
    async with api.client({"Authorization": authorization} if authorization is not None else None) as client:
        answer = await client.get(URL)
        return answer.status_code, answer.json(), answer.headers.get("WWW-Authenticate")


async def test_the_caller_is_described(api: Api) -> None:
    body = (await (await api.login("admin")).get(URL)).json()
    assert body.pop("created_at").endswith("Z")
    assert body.keys() >= {"updated_at"}
    body.pop("updated_at")
    assert body == {
        "id": 1,
        "email": "admin@example.com",
        "username": None,
        "full_name": "Admin Example",
        "company": None,
        "division": None,
        "department": None,
        "system_role": "admin",
        "is_active": True,
        "is_admin": True,
        "badge_color": "blue",
        "organization": None,
    }
    assert (await (await api.login("owner")).get(URL)).json()["is_admin"] is False


async def test_the_badge_colour_is_never_null(api: Api) -> None:
    assert (await (await api.login("stranger")).get(URL)).json()["badge_color"] == ""


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic b3duZXI6b3duZXIxMjM=", "Token abc"])
async def test_no_token_is_401(api: Api, authorization: str | None) -> None:
    status, body, challenge = await _get(api, authorization)
    assert status == 401
    assert body["code"] == "not_authenticated"
    assert challenge == "Bearer"
    assert "Bearer" in str(body["detail"])


@pytest.mark.parametrize("token", ["abc", "a.b.c", "x" * 5000, "한글", _unsigned()])
async def test_what_is_no_token_of_ours_opens_nothing(api: Api, token: str) -> None:
    async with api.client({"Authorization": b"Bearer " + token.encode()}) as client:  # type: ignore[dict-item]
        answer = await client.get(URL)
    assert answer.status_code == 401
    assert answer.json()["code"] == "token_invalid"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_that_was_cut_or_changed_opens_nothing(api: Api) -> None:
    header, claims, signature = _token().split(".")
    foreign = _token({"user_id": ADMIN.id}).split(".")[1]
    for token in (f"{header}.{claims}.{signature[:-4]}", f"{header}.{foreign}.{signature}", f"{header}.{claims}."):
        status, body, _ = await _get(api, f"Bearer {token}")
        assert status == 401
        assert body["code"] == "token_invalid"


@pytest.mark.parametrize(
    ("secret", "algorithm", "claims", "code"),
    [
        ("another service's secret, of a good length", "HS256", {}, "token_invalid"),
        (JWT_SECRET, "HS384", {}, "token_invalid"),
        (JWT_SECRET, "HS256", {"exp": None}, "token_invalid"),
        (JWT_SECRET, "HS256", {"exp": "tomorrow"}, "token_invalid"),
        (JWT_SECRET, "HS256", {"exp": 1_000_000_000}, "token_expired"),
        (JWT_SECRET, "HS256", {"user_id": None}, "token_invalid"),
        (JWT_SECRET, "HS256", {"user_id": "two"}, "token_invalid"),
        (JWT_SECRET, "HS256", {"user_id": 2.5}, "token_invalid"),
        (JWT_SECRET, "HS256", {"user_id": [2]}, "token_invalid"),
        (JWT_SECRET, "HS256", {"user_id": 999}, "account_unknown"),
        (JWT_SECRET, "HS256", {"user_id": -1}, "account_unknown"),
        (JWT_SECRET, "HS256", {"user_id": 2**63}, "account_unknown"),
    ],
)
async def test_tokens_that_open_nothing(
    api: Api, secret: str, algorithm: str, claims: dict[str, object], code: str
) -> None:
    status, body, challenge = await _get(api, f"Bearer {_token(claims, secret, algorithm)}")
    assert status == 401
    assert body["code"] == code
    assert challenge == "Bearer"


@pytest.mark.parametrize(
    "claims", [{}, {"user_id": "2"}, {"email": None}, {"iss": "the platform", "aud": "all", "iat": 1_700_000_000}]
)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_tokens_of_the_platform_open_it(api: Api, claims: dict[str, object], scheme: str) -> None:
    status, body, _ = await _get(api, f"{scheme} {_token(claims)}")
    assert status == 200
    assert body.get("id") == 2


async def test_a_deactivated_user_is_refused_everywhere(own: Own) -> None:
    owner = await own.api.login("owner")
    assert (await owner.get(URL)).status_code == 200
    await own.users.execute("UPDATE users SET is_active = false WHERE id = 2")
    for path in (URL, "/api/v1/datasets", "/api/v1/users/1"):
        answer = await owner.get(path)
        assert answer.status_code == 403
        assert answer.json()["code"] == "account_inactive"


async def test_what_changed_about_a_user_shows(own: Own) -> None:
    await own.users.execute(
        "UPDATE users SET system_role = 'admin', badge_color = NULL, full_name = '김철수' WHERE id = 2"
    )
    body = (await (await own.api.login("owner")).get(URL)).json()
    assert body["is_admin"] is True
    assert body["badge_color"] == ""
    assert body["full_name"] == "김철수"


async def test_the_gateway_away_lets_in_who_was_seen_and_nobody_else(own: Own) -> None:
    owner, viewer = await own.api.login("owner"), await own.api.login("viewer")
    assert (await owner.get(URL)).status_code == 200
    await own.gateway.server.stop(drain_seconds=0.0, grace_seconds=0.0)
    assert (await owner.get(URL)).status_code == 200
    answer = await viewer.get(URL)
    assert answer.status_code == 503
    assert answer.json()["code"] == "users_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
