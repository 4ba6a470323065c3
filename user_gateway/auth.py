"""Who calls: bearer tokens of services, and the scopes that they grant."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from enum import StrEnum
from ipaddress import ip_address

import msgspec

from user_gateway.errors import PermissionDenied, Unauthenticated


class Scope(StrEnum):
    """What a caller may do."""

    USERS_READ = "users.read"
    USERS_READ_PRIVATE = "users.read_private"
    CREDENTIALS_VERIFY = "credentials.verify"


class Caller(msgspec.Struct, frozen=True):
    """A service that calls: its name for the log, its scopes, and its one or two tokens."""

    name: str
    scopes: frozenset[Scope]
    tokens: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Caller({self.name!r}, {len(self.tokens)} token(s))"


class MetricsAccess:
    """Who may read the numbers: who knows the token; without a token this machine, where `local` allows it."""

    def __init__(self, token: str = "", *, local: bool = False) -> None:
        self._token = _digest(token) if token else None
        self._local = local

    def status(self, authorization: str, address: str) -> int:
        """Return 200, 401 for a wrong token, 404 for somebody who need not know that there is such a thing."""
        if self._token is not None:
            presented = _token(authorization) or ""
            return 200 if hmac.compare_digest(self._token, _digest(presented)) else 401
        return 200 if self._local and _is_loopback(address) else 404


current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""The caller of the RPC that the running task serves."""


class Authenticator:
    """Finds the caller of a token in a time that does not depend on how much of it is right."""

    def __init__(self, callers: Iterable[Caller]) -> None:
        self._known = [(_digest(token), caller) for caller in callers for token in caller.tokens]

    def authenticate(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return the caller; raise Unauthenticated when there is no token or an unknown one."""
        presented = _token(_authorization(metadata))
        if presented is None:
            raise Unauthenticated("TOKEN_MISSING", "Send the metadata 'authorization: Bearer <token>'.")
        digest = _digest(presented)
        found: Caller | None = None
        # No early exit: every known token is compared, whichever fits.
        for known, caller in self._known:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise Unauthenticated("TOKEN_INVALID", "This token is not known here.")
        return found


def require(scope: Scope) -> None:
    """Raise PermissionDenied unless the current caller has the scope."""
    if scope not in current_caller.get().scopes:
        raise PermissionDenied("SCOPE_MISSING", f"This call needs the scope {scope}.", metadata={"scope": str(scope)})


def names(scopes: Iterable[Scope]) -> Sequence[str]:
    """List scopes for a message, in alphabetical order."""
    return sorted(str(scope) for scope in scopes)


def _authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            return value
    return ""


def _token(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)  # an IPv4 client of a socket that is bound to ::
    return (mapped or found).is_loopback


def _digest(token: str) -> bytes:
    # Digests have one length, so that comparing them does not tell the length of a token.
    return hashlib.sha256(token.encode()).digest()
