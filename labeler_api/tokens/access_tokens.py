"""JSON Web Tokens, shared with the Platform: HS256; claims `user_id`, `email`, `exp` (contract#logging-in)."""

import time
from collections import OrderedDict
from hashlib import sha256
from typing import Final

import jwt
import msgspec

from labeler_api.errors import Unauthenticated

_LEEWAY_SECONDS = 10  # clocks of two services on two hosts
_MAX_TOKEN_BYTES = 4096  # ours have about 200
REMEMBERED: Final = 10_000
"""Tokens that are not verified again: some people's of a day. Each takes about 400 bytes."""


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says."""

    user_id: int
    exp: int
    email: str | None = None


def issue(*, user_id: int, email: str, secret: str, minutes: int, algorithm: str = "HS256") -> str:
    """Sign a token that lives for this many minutes."""
    claims = {"user_id": user_id, "email": email, "exp": int(time.time()) + minutes * 60}
    return jwt.encode(claims, secret, algorithm=algorithm)


_remembered: OrderedDict[bytes, Claims] = OrderedDict()


def verify(token: str, *, secret: str, algorithm: str = "HS256") -> Claims:
    """Check signature and expiry. Raises Unauthenticated, saying which of the two is wrong.

    A person sends the same token with every call, and verifying it costs a tenth of one. The contents of a good
    token are remembered by its digest, until its `exp`.
    """
    if len(token) > _MAX_TOKEN_BYTES:
        raise Unauthenticated("The access token is too long.", code="token_invalid")
    digest = sha256(f"{secret}\0{token}".encode("utf-8", "surrogatepass")).digest()
    claims = _remembered.get(digest)
    if claims is not None and time.time() < claims.exp + _LEEWAY_SECONDS:
        _remembered.move_to_end(digest)
        return claims
    claims = _verified(token, secret, algorithm)
    _remembered[digest] = claims
    if len(_remembered) > REMEMBERED:
        _remembered.popitem(last=False)
    return claims


def _verified(token: str, secret: str, algorithm: str) -> Claims:
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[algorithm],
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "user_id"], "verify_aud": False},
        )
        # The Platform has written user_id as a numeric string at times.
        return msgspec.convert(claims, Claims, strict=False)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The access token has expired. Log in again.", code="token_expired") from None
    except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError):
        raise Unauthenticated("The access token is not valid. Log in again.", code="token_invalid") from None
