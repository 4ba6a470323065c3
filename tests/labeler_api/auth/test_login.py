"""POST /auth/login."""

import asyncio
import time

import bcrypt
import httpx
import jwt
import pytest

from tests.fixtures.accounts import OWNER
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, Api
from tests.fixtures.own_users import Own
from tests.fixtures.users import StartGateway

URL = "/api/v1/auth/login"


def _credentials(account: str, password: str | None = None) -> dict[str, str]:
    return {"email": f"{account}@example.com", "password": f"{account}123" if password is None else password}


def _from(api: Api, host: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api.app, client=(host, 1)), base_url=PUBLIC_URL)


async def test_the_token_opens_the_api(api: Api) -> None:
    async with api.client() as client:
        answer = await client.post(URL, json=_credentials("owner"))
        assert answer.status_code == 200
        body = answer.json()
        assert body.keys() == {"access_token", "token_type"}
        assert body["token_type"] == "bearer"
        assert answer.headers["Cache-Control"] == "no-store"
        me = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.status_code == 200
    assert me.json()["id"] == 2
    claims = jwt.decode(body["access_token"], JWT_SECRET, algorithms=["HS256"])
    assert claims.keys() == {"user_id", "email", "exp"}
    assert claims["user_id"] == OWNER.id
    assert claims["email"] == "owner@example.com"
    assert 1430 * 60 < claims["exp"] - time.time() <= 1440 * 60
    assert jwt.get_unverified_header(body["access_token"]) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize(
    "credentials",
    [
        _credentials("owner", "wrong"),
        _credentials("owner", ""),
        _credentials("owner", "owner123 "),
        _credentials("nobody"),
        {"email": "Owner@example.com", "password": "owner123"},
        {"email": "owner@example.com", "password": "x" * 1024},
        {"email": "owner@example.com", "password": "비밀번호"},
    ],
)
async def test_wrong_credentials_all_sound_the_same(api: Api, credentials: dict[str, str]) -> None:
    async with api.client() as client:
        answer = await client.post(URL, json=credentials)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    body = answer.json()
    assert body["detail"] == "The e-mail address or the password is wrong."
    assert body["code"] == "wrong_credentials"


async def test_an_inactive_account_is_told_so_after_the_right_password_only(own: Own) -> None:
    await own.users.execute("UPDATE users SET is_active = false WHERE id = 5")
    async with own.api.client() as client:
        right = await client.post(URL, json=_credentials("viewer"))
        wrong = await client.post(URL, json=_credentials("viewer", "wrong"))
    assert right.status_code == 403
    assert right.json()["code"] == "user_inactive"
    assert wrong.status_code == 401
    assert wrong.json()["code"] == "wrong_credentials"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "owner@example.com"},
        {"password": "x"},
        {"email": "owner", "password": "x"},
        {"email": "a b@example.com", "password": "x"},
        {"email": "owner@example.com", "password": None},
        {"email": ["owner@example.com"], "password": "x"},
        {"email": f"{'x' * 300}@example.com", "password": "x"},
        {"email": "owner@example.com", "password": "x" * 1025},
    ],
)
async def test_what_is_no_login_is_422(api: Api, body: object) -> None:
    async with api.client() as client:
        answer = await client.post(URL, json=body)
    assert answer.status_code == 422


async def test_no_password_comes_back_in_an_error(api: Api) -> None:
    async with api.client() as client:
        answer = await client.post(URL, json={"email": "owner", "password": "a-secret-of-mine"})
    assert "a-secret-of-mine" not in answer.text


async def test_the_sixth_try_on_an_account_waits(api: Api) -> None:
    async with api.client() as client:
        for _ in range(5):
            assert (await client.post(URL, json=_credentials("owner", "wrong"))).status_code == 401
        answer = await client.post(URL, json=_credentials("owner"))
        other = await client.post(URL, json=_credentials("viewer"))
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert other.status_code == 200
    async with _from(api, "10.0.0.7") as elsewhere:  # nobody can lock somebody else out
        assert (await elsewhere.post(URL, json=_credentials("owner"))).status_code == 200


async def test_tries_side_by_side_are_counted_too(api: Api) -> None:
    async with api.client() as client:
        answers = await asyncio.gather(*(client.post(URL, json=_credentials("owner", "wrong")) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 3


async def test_a_success_forgets_the_tries(api: Api) -> None:
    async with api.client() as client:
        for _ in range(3):
            for _ in range(4):
                assert (await client.post(URL, json=_credentials("owner", "wrong"))).status_code == 401
            assert (await client.post(URL, json=_credentials("owner"))).status_code == 200


async def test_a_client_that_goes_through_accounts_waits(api: Api) -> None:
    async with api.client() as client:
        for number in range(60):
            assert (await client.post(URL, json=_credentials(f"nobody{number}"))).status_code == 401
        answer = await client.post(URL, json=_credentials("owner"))
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    async with _from(api, "10.0.0.7") as elsewhere:
        assert (await elsewhere.post(URL, json=_credentials("owner"))).status_code == 200


async def test_a_login_touches_no_database_of_ours(api: Api) -> None:
    async with api.client() as client:
        calls = api.services.directory.calls.copy()
        with api.count() as counted:
            await client.post(URL, json=_credentials("owner"))
    assert counted.value == 0
    assert api.services.directory.calls - calls == {"VerifyCredentials": 1}


async def test_options_answer(api: Api) -> None:
    async with api.client() as client:
        answer = await client.options(URL)
    assert answer.status_code == 200


async def test_the_gateway_away_is_503_and_no_verdict_on_the_password(own: Own) -> None:
    await own.gateway.server.stop(drain_seconds=0.0, grace_seconds=0.0)
    async with own.api.client() as client:
        answer = await client.post(URL, json=_credentials("owner"))
    assert answer.status_code == 503
    assert answer.json()["code"] == "users_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1


async def test_an_outage_of_the_gateway_locks_nobody_out(own: Own, start_gateway: StartGateway) -> None:
    """Neither whoever kept trying, nor a newcomer behind the same address, once the gateway is back."""
    port = own.gateway.address.rpartition(":")[2]
    await own.gateway.server.stop(drain_seconds=0.0, grace_seconds=0.0)
    async with own.api.client() as client:
        for _ in range(80):
            assert (await client.post(URL, json=_credentials("owner"))).status_code == 503
        await start_gateway(own.users.dsn, USER_GATEWAY_PORT=port)
        seen = []
        async with asyncio.timeout(20):
            while 200 not in seen:
                seen.append((await client.post(URL, json=_credentials("owner"))).status_code)
                await asyncio.sleep(0.05)
        assert set(seen) <= {503, 200}
        assert (await client.post(URL, json=_credentials("viewer"))).status_code == 200


async def test_whoever_found_no_free_slot_has_not_failed(own: Own, start_gateway: StartGateway) -> None:
    """People who log in at once behind one address: whoever was not judged tries again, until all are in."""
    await own.users.execute("UPDATE users SET hashed_password = $1", bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode())
    await own.gateway.server.stop(drain_seconds=0.0, grace_seconds=0.0)
    port = own.gateway.address.rpartition(":")[2]
    await start_gateway(own.users.dsn, USER_GATEWAY_PORT=port, USER_GATEWAY_HASH_SLOTS="1")
    left, codes = {"owner", "viewer", "admin", "reviewer", "annotator"}, set()
    async with own.api.client() as client, asyncio.timeout(60):
        while left:
            people = sorted(left)
            answers = await asyncio.gather(*(client.post(URL, json=_credentials(one, "x")) for one in people))
            left -= {one for one, answer in zip(people, answers, strict=True) if answer.status_code == 200}
            codes |= {answer.json()["code"] for answer in answers if answer.status_code != 200}
        for _ in range(20):
            answers = await asyncio.gather(
                *(client.post(URL, json=_credentials(one, "x")) for one in ("owner", "admin"))
            )
            codes |= {answer.json()["code"] for answer in answers if answer.status_code != 200}
    assert codes <= {"login_busy", "users_unavailable"}
    assert "login_busy" in codes
