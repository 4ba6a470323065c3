"""The user directory: who users are, asked of the user gateway over one gRPC channel, through a cache.

A gateway that does not answer stops nobody from seeing things: names fall back to what was last known, and a user who
was seen active a moment ago goes on working. Everything else says 503.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import grpc
import structlog

from labeler_api.errors import AppError, Forbidden, Invalid, TooMany, Unauthenticated, Unavailable
from labeler_api.resilience.circuit_breaker import CircuitBreaker
from labeler_api.resilience.single_flight import SingleFlight, results_within
from labeler_api.telemetry.instruments import Instruments
from labeler_api.user_directory.channel_options import OPTIONS, SERVICE_CONFIG
from labeler_api.user_directory.profiles import ProfileCache, UserProfile, to_profile
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc

__all__ = ["SERVICE_CONFIG", "UserDirectory", "UserProfile"]

log = structlog.get_logger(__name__)

BATCH_IDS = 500
"""Ids in one BatchGetUsers: the gateway takes no more."""

_LOOK_UP_SECONDS = 2.0  # a look-up takes milliseconds; longer, and the page is better shown without names
_VERIFY_SECONDS = 10.0  # half a second of hashing, on a machine that may be busy
_RETRY_AFTER_SECONDS = 2  # what clients are told: the channel reconnects within it
_LARGEST_ID = 2**63 - 1
_LARGEST_SKIP = 2**31 - 1

# Searches read the whole table. A handful of them at once leaves the gateway's connections (ten by default) to look-ups
# and log-ins; a person who gets no answer within a second types on.
_SEARCHES_AT_ONCE = 4
_SEARCH_WAIT_SECONDS = 1.0
_SEARCHES_WAITING = 32

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

# Kinds of calls, which fail apart: each has a breaker of its own.
_SEARCH, _CREDENTIALS, _LOOK_UPS = "search", "credentials", "look-ups"
_KINDS = {"SearchUsers": _SEARCH, "VerifyCredentials": _CREDENTIALS}
# A slow search says that there are many users. A look-up by key, or a hash, that takes seconds says that it hangs.
_FAILURES: Mapping[str, Collection[grpc.StatusCode]] = {
    _SEARCH: (grpc.StatusCode.UNAVAILABLE,),
    _CREDENTIALS: _AWAY,
    _LOOK_UPS: _AWAY,
}


class UserDirectory:
    """Look-ups of users. Belongs to the event loop it is made in; one per process.

    `cache_seconds` is how long an answer is believed, `grace_seconds` how long a user last seen active goes on working
    while the gateway is away. `calls` counts the calls sent, by method.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        cache_seconds: float = 30.0,
        grace_seconds: float = 300.0,
        clock: Callable[[], float] = monotonic,
        instruments: Instruments | None = None,
    ) -> None:
        self._channel = _channel(address, ca_file, cert_file, key_file)
        self._stub: Any = pb_grpc.UserGatewayServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._authorization = ("authorization", f"Bearer {token}")
        self._cache = ProfileCache(cache_seconds, clock=clock)
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._look_ups: SingleFlight[int, Mapping[int, UserProfile | None]] = SingleFlight()
        self._breakers = {kind: CircuitBreaker(clock) for kind in _FAILURES}
        self._searching = asyncio.Semaphore(_SEARCHES_AT_ONCE)
        self._searches_waiting = 0
        self._instruments = instruments or Instruments()
        self._metrics = self._instruments.metrics
        self.calls: Counter[str] = Counter()
        self.has_answered = False
        """Whether the gateway, with its database, has answered since the start."""

    async def close(self) -> None:
        """Give up the look-ups under way and close the channel."""
        await self._look_ups.cancel()
        await self._channel.close()

    async def get_many(self, ids: Iterable[int], timeout: float | None = None) -> Mapping[int, UserProfile]:
        """Return the profiles for display, within `timeout` seconds. Never raises for an absent gateway.

        Users that do not exist are missing from the answer; those that cannot be asked for are as last known, or
        missing. At most one call for each 500 ids that are not in the cache.
        """
        known: dict[int, UserProfile | None] = {}
        unknown: list[int] = []
        for user_id in dict.fromkeys(ids):
            seen = self._cache.fresh(user_id)
            if seen is not None:
                known[user_id] = seen.profile
            elif 1 <= user_id <= _LARGEST_ID:
                unknown.append(user_id)
        if known:
            self._metrics.cache_hits.inc(len(known))
        if unknown:
            self._metrics.cache_misses.inc(len(unknown))
            for answer in await results_within(timeout, self._batch(unknown)):
                known |= answer
        for user_id in unknown:
            if user_id not in known and (last := self._cache.last(user_id)) is not None:
                known[user_id] = last.profile
                self._metrics.cache_stale.inc()
        return {user_id: profile for user_id, profile in known.items() if profile is not None}

    async def require_active(self, user_id: int) -> UserProfile:
        """Return the profile of a user who may work now.

        Raises Unauthenticated for an unknown user, Forbidden for a deactivated one, Unavailable when the gateway is
        away and the user was not seen active within the grace.
        """
        try:
            profile = await self.find(user_id)
        except Unavailable:
            last = self._cache.last(user_id)
            if last is None or last.profile is None or self._clock() - last.asked_at > self._grace_seconds:
                raise
            profile = last.profile
            self._metrics.cache_stale.inc()
        if profile is None:
            raise Unauthenticated("This account does not exist.", code="account_unknown")
        if not profile.is_active:
            raise Forbidden("This account has been deactivated.", code="account_inactive")
        return profile

    async def find(self, user_id: int) -> UserProfile | None:
        """Find a user by id, believing the cache while it is fresh. Raises Unavailable."""
        if not 1 <= user_id <= _LARGEST_ID:
            return None
        seen = self._cache.fresh(user_id)
        (self._metrics.cache_misses if seen is None else self._metrics.cache_hits).inc()
        if seen is not None:
            return seen.profile
        task = self._look_ups.running(user_id)
        if task is None:
            task = self._look_ups.start([user_id], self._fetch_one(user_id), "user look-up")
        return (await asyncio.shield(task)).get(user_id)

    async def find_by_email(self, email: str) -> UserProfile | None:
        """Find a user by e-mail address without regard to case, always asking. Raises Unavailable."""
        request = pb.GetUserRequest(email=email, view=pb.USER_VIEW_FULL)
        asked_at = self._clock()
        try:
            response = await self._call("GetUser", request)
        except _UserNotFound:
            return None
        return self._learn(response.user, asked_at)

    async def search(
        self, q: str, *, exclude_ids: Iterable[int] = (), limit: int = 10, offset: int = 0
    ) -> tuple[list[UserProfile], int]:
        """Search active users; return one page and the number of all matches.

        Raises Unavailable, Invalid, and TooMany where others search as much as the gateway can bear.
        """
        request = pb.SearchUsersRequest(
            query=q,
            exclude_ids=[user_id for user_id in exclude_ids if 1 <= user_id <= _LARGEST_ID],
            page_size=limit,
            skip=min(offset, _LARGEST_SKIP),
            view=pb.USER_VIEW_FULL,
        )
        asked_at = self._clock()
        async with self._place_to_search():
            response = await self._call("SearchUsers", request)
        return [self._learn(user, asked_at) for user in response.users], response.total_size

    async def verify_credentials(self, email: str, password: str) -> UserProfile | None:
        """Return the user, inactive ones included, or None when the address or the password is wrong.

        Raises TooMany when the gateway checks as many passwords as it can, Unavailable when it is away.
        """
        if not email or not password:
            return None
        request = pb.VerifyCredentialsRequest(email=email, password=password)
        asked_at = self._clock()
        response = await self._call("VerifyCredentials", request, seconds=_VERIFY_SECONDS)
        return self._learn(response.user, asked_at) if response.HasField("user") else None

    async def ping(self) -> None:
        """Raise Unavailable unless the gateway answers, knows our token and has its database."""
        await self._call("GetServiceInfo", pb.GetServiceInfoRequest())

    def _batch(self, ids: Sequence[int]) -> set[asyncio.Task[Mapping[int, UserProfile | None]]]:
        """Return the look-ups that bring these ids: those that others wait for already, and new ones for the rest."""
        running = {task for user_id in ids if (task := self._look_ups.running(user_id))}
        rest = [user_id for user_id in ids if not self._look_ups.running(user_id)]
        chunks = [rest[start : start + BATCH_IDS] for start in range(0, len(rest), BATCH_IDS)]
        return running | {self._look_ups.start(chunk, self._fetch_many(chunk), "user look-up") for chunk in chunks}

    async def _fetch_one(self, user_id: int) -> Mapping[int, UserProfile | None]:
        asked_at = self._clock()
        try:
            response = await self._call("GetUser", pb.GetUserRequest(id=user_id, view=pb.USER_VIEW_FULL))
        except _UserNotFound:
            self._cache.put(user_id, None, asked_at)
            return {user_id: None}
        return {user_id: self._learn(response.user, asked_at)}

    async def _fetch_many(self, ids: Sequence[int]) -> Mapping[int, UserProfile | None]:
        asked_at = self._clock()
        response = await self._call("BatchGetUsers", pb.BatchGetUsersRequest(ids=ids, view=pb.USER_VIEW_FULL))
        for user_id in response.missing_ids:
            self._cache.put(user_id, None, asked_at)
        found = {user.id: self._learn(user, asked_at) for user in response.users}
        return {**dict.fromkeys(response.missing_ids), **found}

    def _learn(self, user: pb.User, asked_at: float) -> UserProfile:
        profile = to_profile(user)
        self._cache.put(profile.id, profile, asked_at)
        return profile

    @asynccontextmanager
    async def _place_to_search(self) -> AsyncIterator[None]:
        """Wait a moment for one of the places; who waits holds nothing that others need."""
        if self._searches_waiting >= _SEARCHES_WAITING:
            raise _search_busy()
        self._searches_waiting += 1
        try:
            async with asyncio.timeout(_SEARCH_WAIT_SECONDS):
                await self._searching.acquire()
        except TimeoutError:
            raise _search_busy() from None
        finally:
            self._searches_waiting -= 1
        try:
            yield
        finally:
            self._searching.release()

    async def _call(self, method: str, request: Any, *, seconds: float = _LOOK_UP_SECONDS) -> Any:
        kind = _KINDS.get(method, _LOOK_UPS)
        breaker = self._breakers[kind]
        if not breaker.admits(seconds):
            raise _unavailable()
        self.calls[method] += 1
        try:
            with self._observed(method):
                response = await getattr(self._stub, method)(request, timeout=seconds, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            (breaker.failed if error.code() in _FAILURES[kind] else breaker.answered)()
            raise _translated(method, error) from error
        breaker.answered()
        self.has_answered = True
        return response

    @contextmanager
    def _observed(self, method: str) -> Iterator[None]:
        """Count, time and trace a call."""
        started, code = perf_counter(), "OK"
        attributes = {"rpc.system.name": "grpc", "rpc.method": f"{pb.DESCRIPTOR.package}.UserGatewayService/{method}"}
        try:
            with self._instruments.tracing.span(f"UserGatewayService/{method}", "CLIENT", attributes):
                yield
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        finally:
            self._metrics.gateway_calls.labels(method, code).inc()
            self._metrics.gateway_seconds.labels(method).observe(perf_counter() - started)

    def _metadata(self) -> Sequence[tuple[str, str]]:
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        known = [("x-request-id", request_id)] if request_id else []
        return [self._authorization, *known, *self._instruments.tracing.headers()]


class _UserNotFound(Exception):
    """The gateway knows no such user."""


def _channel(address: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> grpc.aio.Channel:
    if ca_file is None and cert_file is None and key_file is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    if (cert_file is None) != (key_file is None):
        raise ValueError("USER_GATEWAY_TLS_CERT and USER_GATEWAY_TLS_KEY: set both or none")
    ca, key, cert = (path.read_bytes() if path else None for path in (ca_file, key_file, cert_file))
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), options=OPTIONS)


def _translated(method: str, error: grpc.aio.AioRpcError) -> Exception:
    match error.code():
        case grpc.StatusCode.NOT_FOUND:
            return _UserNotFound()
        case grpc.StatusCode.RESOURCE_EXHAUSTED if method == "VerifyCredentials":
            return TooMany("Too many people log in at this moment. Try again.", code="login_busy", retry_after=1)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if method == "SearchUsers":  # other processes search as well
            return _search_busy()
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Invalid(error.details() or "The user service refused the request.", code="user_request_refused")
        case code if code not in _AWAY:
            # A wrong token, another version, a defect: for our clients the same as a gateway that is away.
            log.error("the user gateway refused a call", method=method, code=code.name, details=error.details())
    return _unavailable()


def _search_busy() -> AppError:
    return TooMany("Too many people search for users at this moment. Try again.", code="search_busy", retry_after=1)


def _unavailable() -> AppError:
    return Unavailable(
        "User data cannot be read at the moment. Try again.", code="users_unavailable", retry_after=_RETRY_AFTER_SECONDS
    )
