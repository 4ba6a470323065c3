"""Tokens that hold, and every kind that does not."""

import base64
import json
import time
from collections import OrderedDict
from typing import Any

import jwt
import pytest

from labeler_api.errors import Unauthenticated
from labeler_api.tokens import access_tokens

SECRET = "a secret for tests that is long enough for HS256, and for HS512 as well: 64 bytes"


def signed(claims: dict[str, Any], *, secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


def unsigned(claims: dict[str, Any]) -> str:
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_round_trip() -> None:
    token = access_tokens.issue(user_id=7, email="a@example.com", secret=SECRET, minutes=5)
    claims = access_tokens.verify(token, secret=SECRET)
    assert claims.user_id == 7
    assert claims.email == "a@example.com"
    assert claims.exp == pytest.approx(time.time() + 300, abs=5)
    assert set(jwt.decode(token, SECRET, algorithms=["HS256"])) == {"user_id", "email", "exp"}


def test_the_platforms_token_is_accepted() -> None:
    soon = int(time.time()) + 60
    assert access_tokens.verify(signed({"user_id": "12", "email": None, "exp": soon}), secret=SECRET).user_id == 12


LATER = int(time.time()) + 3600


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "\u00e9.\u00e9.\u00e9",
        "x" * 5000,
        signed({"user_id": 1, "email": "a", "exp": LATER}, secret=SECRET[::-1]),
        signed({"user_id": 1, "email": "a", "exp": LATER}, algorithm="HS512"),
        unsigned({"user_id": 1, "email": "a", "exp": LATER}),
        signed({"email": "a", "exp": LATER}),
        signed({"user_id": 1, "email": "a"}),
        signed({"user_id": "seven", "email": "a", "exp": LATER}),
        signed({"user_id": {"$gt": 0}, "email": "a", "exp": LATER}),
        signed({"user_id": 1, "email": "a", "exp": LATER, "nbf": LATER}),
    ],
)
def test_a_token_that_does_not_hold_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        access_tokens.verify(token, secret=SECRET)
    assert caught.value.code == "token_invalid"


def test_an_expired_token_says_so() -> None:
    with pytest.raises(Unauthenticated) as caught:
        access_tokens.verify(signed({"user_id": 1, "email": "a", "exp": int(time.time()) - 60}), secret=SECRET)
    assert caught.value.code == "token_expired"


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> OrderedDict[bytes, access_tokens.Claims]:
    kept: OrderedDict[bytes, access_tokens.Claims] = OrderedDict()
    monkeypatch.setattr(access_tokens, "_remembered", kept)
    return kept


def test_a_token_is_verified_once(
    remembered: OrderedDict[bytes, access_tokens.Claims], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = access_tokens.issue(user_id=7, email="a@example.com", secret=SECRET, minutes=5)
    claims = access_tokens.verify(token, secret=SECRET)
    monkeypatch.setattr(jwt, "decode", None)
    assert access_tokens.verify(token, secret=SECRET) == claims
    assert token.encode() not in b"".join(remembered)


def test_a_remembered_token_expires(remembered: OrderedDict[bytes, access_tokens.Claims]) -> None:
    token = signed({"user_id": 1, "email": "a", "exp": int(time.time()) - 8})  # within the leeway of 10, for 1 to 2 s
    access_tokens.verify(token, secret=SECRET)
    time.sleep(2.1)
    with pytest.raises(Unauthenticated) as raised:
        access_tokens.verify(token, secret=SECRET)
    assert raised.value.code == "token_expired"
    assert len(remembered) == 1


def test_what_is_remembered_is_one_token_of_one_secret(remembered: OrderedDict[bytes, access_tokens.Claims]) -> None:
    token = access_tokens.issue(user_id=7, email="a@example.com", secret=SECRET, minutes=5)
    access_tokens.verify(token, secret=SECRET)
    for other, secret in ((token, SECRET[::-1]), (token[:-2] + "AA", SECRET), (token + ".", SECRET)):
        with pytest.raises(Unauthenticated):
            access_tokens.verify(other, secret=secret)
    assert len(remembered) == 1  # what does not hold is not kept


def test_the_oldest_tokens_are_forgotten(
    remembered: OrderedDict[bytes, access_tokens.Claims], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "REMEMBERED", 3)
    for number in range(9):
        access_tokens.verify(signed({"user_id": number, "email": "a", "exp": LATER}), secret=SECRET)
    assert [claims.user_id for claims in remembered.values()] == [6, 7, 8]
