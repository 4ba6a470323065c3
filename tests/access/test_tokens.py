"""Tokens over HTTP: one answer to all that do not hold, and no other way in than the header."""

import time
from typing import Any

import jwt
import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.sample import IDS
from tests.fixtures.api import JWT_SECRET

ME = "/api/v1/auth/me"
CLAIMS = {"user_id": IDS["owner"], "email": "owner@example.com", "exp": int(time.time()) + 3600}


def signed(claims: dict[str, Any] = CLAIMS, *, secret: str = JWT_SECRET, **header: Any) -> str:
    return jwt.encode(claims, secret, algorithm="HS256", headers=header)


def renamed(algorithm: str) -> str:
    """A good signature under a header that names another algorithm, or none."""
    head = jwt.utils.base64url_encode(f'{{"alg":"{algorithm}","typ":"JWT"}}'.encode()).decode()
    _, payload, signature = signed().split(".")
    return f"{head}.{payload}.{'' if algorithm == 'none' else signature}"


@pytest.mark.parametrize(
    "token",
    [
        # In the hope that somebody checks it with the key, or the file, that the header names.
        pytest.param(signed(jku="http://127.0.0.1/keys", kid="../../../dev/null", secret="x" * 32), id="named key"),
        *(pytest.param(renamed(name), id=f"alg {name}") for name in ("none", "None", "RS256", "HS384", "ES256")),
        pytest.param(signed(secret="another secret of the same length, for HS256"), id="another secret"),
        pytest.param(signed({**CLAIMS, "exp": int(time.time()) - 3600}), id="expired"),
        pytest.param(signed({**CLAIMS, "nbf": int(time.time()) + 3600}), id="not yet valid"),
        pytest.param(signed({name: value for name, value in CLAIMS.items() if name != "exp"}), id="without exp"),
        pytest.param(signed({**CLAIMS, "padding": "x" * 20_000}), id="oversize"),
        pytest.param(signed({**CLAIMS, "user_id": 2**70}), id="no id"),
        pytest.param(signed({**CLAIMS, "user_id": 424242}), id="no account"),
        pytest.param(signed()[:-4], id="cut"),
    ],
)
async def test_a_token_that_does_not_hold_is_401(callers: Callers, token: str) -> None:
    answer = await callers.api.client({"Authorization": f"Bearer {token}"}).get(ME)
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert token[:20] not in answer.text


async def test_the_header_is_the_only_way_in(callers: Callers) -> None:
    token = signed()
    for headers in ({"Authorization": f"Basic {token}"}, {"Authorization": token}, {"Cookie": f"access_token={token}"}):
        assert (await callers.api.client(headers).get(ME)).status_code == 401, headers
    assert (await callers.api.client().get(ME, params={"access_token": token})).status_code == 401
    assert (await callers.api.client({"Authorization": f"bearer  {token}"}).get(ME)).status_code == 200
