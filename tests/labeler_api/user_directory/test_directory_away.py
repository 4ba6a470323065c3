"""The user directory while the gateway is away, slow, or failing: what is trusted, what is tried again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import grpc
import pytest
import structlog

from labeler_api.errors import Forbidden, TooMany, Unavailable
from labeler_api.user_directory.directory import UserDirectory
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from tests.fixtures.timing import check_within
from tests.fixtures.users import Clock, OpenDirectory, RunningGateway, StartGateway, UsersDatabase, locked_users
from tests.fixtures.waiting import until


async def stop(running: RunningGateway) -> None:
    await running.server.stop(drain_seconds=0.0, grace_seconds=0.0)


async def test_while_the_gateway_is_away(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory, clock: Clock
) -> None:
    await users_db.execute("UPDATE users SET is_active = false WHERE id = 5")
    running = await start_gateway(users_db.dsn)
    directory = open_directory(running.address)
    await directory.get_many([1, 2, 5, 99])
    await stop(running)

    clock.now += 299.0
    assert (await directory.require_active(2)).email == "owner@example.com"
    with pytest.raises(Forbidden):
        await directory.require_active(5)
    for user_id in (3, 99):  # never seen, and last seen not to exist
        with pytest.raises(Unavailable):
            await directory.require_active(user_id)
    assert set(await directory.get_many([1, 2, 3, 5, 99])) == {1, 2, 5}, "names as last known"

    clock.now += 2.0
    for user_id in (2, 5):
        with pytest.raises(Unavailable) as caught:
            await directory.require_active(user_id)
        assert caught.value.status == 503
        assert caught.value.code == "users_unavailable"
        assert caught.value.retry_after == 2
    assert set(await directory.get_many([1, 2, 3])) == {1, 2}, "for display, the last known has no end"
    for call in (
        directory.find(2),
        directory.find_by_email("owner@example.com"),
        directory.search("owner", exclude_ids=[], limit=1, offset=0),
        directory.verify_credentials("owner@example.com", "owner123"),
        directory.ping(),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_an_absent_gateway_is_left_alone_but_for_one_call_a_second(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory, clock: Clock
) -> None:
    running = await start_gateway(users_db.dsn)
    directory = open_directory(running.address)
    await directory.ping()
    await stop(running)
    started = monotonic()
    for _ in range(40):
        with pytest.raises(Unavailable):
            await directory.find(2)
    assert directory.calls["GetUser"] == 3
    check_within(monotonic() - started, 5.0)
    clock.now += 1.1
    answers = await asyncio.gather(*(directory.find(user_id) for user_id in range(1, 30)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert directory.calls["GetUser"] == 4


async def test_it_finds_the_gateway_again(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    first = await start_gateway(users_db.dsn)
    directory = UserDirectory(first.address, first.token)
    await directory.ping()
    await stop(first)
    with pytest.raises(Unavailable):
        await directory.ping()
    await start_gateway(users_db.dsn, USER_GATEWAY_PORT=first.address.rpartition(":")[2])
    await until(lambda: _answers(directory), 5.0, "the gateway is found again")
    await directory.close()


async def _answers(directory: UserDirectory) -> bool:
    try:
        await directory.ping()
    except Unavailable:
        return False
    return True


async def test_the_gateway_without_its_database(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory
) -> None:
    running = await start_gateway("postgresql://user_readonly:x@127.0.0.1:1/users")
    directory = open_directory(running.address)
    with pytest.raises(Unavailable):
        await directory.ping()
    with pytest.raises(Unavailable):
        await directory.require_active(1)


async def test_a_wrong_token_is_our_fault_and_not_the_users(
    gateway: RunningGateway, open_directory: OpenDirectory
) -> None:
    directory = open_directory(gateway.address, "not-the-token-of-anybody")
    with structlog.testing.capture_logs() as lines, pytest.raises(Unavailable):
        await directory.require_active(1)
    refusals = [line for line in lines if line["log_level"] == "error"]
    assert refusals[0]["code"] == "UNAUTHENTICATED"


async def test_a_slow_gateway_costs_a_page_its_names_and_no_more(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory, clock: Clock
) -> None:
    running = await start_gateway(users_db.dsn)
    directory = open_directory(running.address)
    await directory.get_many([1])
    clock.now += 60.0
    async with locked_users(users_db):
        started = monotonic()
        users = await directory.get_many([1, 2], timeout=0.3)
        check_within(monotonic() - started, 1.8, "the request's, and not the two seconds of a look-up")
        assert set(users) == {1}, "as last known"
        started = monotonic()
        with pytest.raises(Unavailable):
            await directory.find(3)
        check_within(monotonic() - started, 10.0, "its own deadline, when the request has a long one")


async def test_closing_with_a_look_up_under_way(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_db.dsn)
    directory = UserDirectory(running.address, running.token)
    async with locked_users(users_db) as statements:
        waiting = asyncio.ensure_future(directory.find(1))
        await until(statements(1), 3.0, "the look-up runs")
        await directory.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


class Failing(pb_grpc.UserGatewayServiceServicer):
    """Fails a number of times before it answers; a real gateway cannot be told to."""

    def __init__(self, code: grpc.StatusCode, times: int) -> None:
        self.code = code
        self.times = times
        self.asked = 0

    async def GetUser(self, request: pb.GetUserRequest, context: "grpc.aio.ServicerContext[object, object]") -> object:
        await self._answer(context)
        return pb.GetUserResponse(user=pb.User(id=request.id, email="x@example.com", is_active=True))

    async def VerifyCredentials(self, request: object, context: "grpc.aio.ServicerContext[object, object]") -> object:
        await self._answer(context)
        return pb.VerifyCredentialsResponse()

    async def _answer(self, context: "grpc.aio.ServicerContext[object, object]") -> None:
        self.asked += 1
        if self.asked <= self.times:
            await context.abort(self.code, "not now")


@pytest.fixture
async def failing() -> AsyncIterator[Callable[[Failing], Awaitable[str]]]:
    servers: list[grpc.aio.Server] = []

    async def serve(servicer: Failing) -> str:
        server = grpc.aio.server()
        pb_grpc.add_UserGatewayServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield serve
    for server in servers:
        await server.stop(None)


@pytest.mark.parametrize(
    ("code", "times", "asked"),
    [
        (grpc.StatusCode.UNAVAILABLE, 3, 4),
        (grpc.StatusCode.UNAVAILABLE, 9, 4),
        (grpc.StatusCode.INTERNAL, 9, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 9, 1),
    ],
)
async def test_only_unavailable_is_tried_again(
    failing: Callable[[Failing], Awaitable[str]],
    open_directory: OpenDirectory,
    code: grpc.StatusCode,
    times: int,
    asked: int,
) -> None:
    servicer = Failing(code, times)
    directory = open_directory(await failing(servicer))
    if times < asked:
        assert (await directory.require_active(7)).id == 7
    else:
        with pytest.raises(Unavailable):
            await directory.require_active(7)
    assert servicer.asked == asked


async def test_credentials_are_never_tried_again(
    failing: Callable[[Failing], Awaitable[str]], open_directory: OpenDirectory
) -> None:
    servicer = Failing(grpc.StatusCode.UNAVAILABLE, 9)
    directory = open_directory(await failing(servicer))
    with pytest.raises(Unavailable):
        await directory.verify_credentials("a@example.com", "x")
    assert servicer.asked == 1


class SlowSearch(Failing):
    """Searches take longer than anybody waits; everything else is answered at once."""

    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.OK, 0)
        self.searches = self.at_once = self.most_at_once = 0

    async def SearchUsers(self, request: object, context: "grpc.aio.ServicerContext[object, object]") -> object:
        self.searches += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(60)
        finally:
            self.at_once -= 1
        return pb.SearchUsersResponse()


async def test_slow_searches_leave_everything_else_alone(
    failing: Callable[[Failing], Awaitable[str]], open_directory: OpenDirectory
) -> None:
    """They are no failure of the gateway: look-ups and log-ins go on, and so does searching."""
    servicer = SlowSearch()
    directory = open_directory(await failing(servicer))
    for _ in range(2):
        slow = await asyncio.gather(*(directory.search("anna") for _ in range(4)), return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in slow)
        assert (await directory.find(7)) is not None
        assert (await directory.require_active(8)).id == 8
        assert await directory.verify_credentials("a@example.com", "x") is None
    assert servicer.searches == 8


async def test_a_handful_search_at_once_and_the_others_are_told(
    failing: Callable[[Failing], Awaitable[str]], open_directory: OpenDirectory
) -> None:
    servicer = SlowSearch()
    directory = open_directory(await failing(servicer))
    answers = await asyncio.gather(*(directory.search("anna") for _ in range(100)), return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, TooMany)]
    assert servicer.most_at_once <= 4
    assert len(busy) == 96
    assert {(answer.code, answer.retry_after) for answer in busy} == {("search_busy", 1)}
    assert directory.calls == {"SearchUsers": 4}
    assert (await directory.find(7)) is not None


async def test_kinds_of_calls_fail_apart(
    failing: Callable[[Failing], Awaitable[str]], open_directory: OpenDirectory, clock: Clock
) -> None:
    servicer = Failing(grpc.StatusCode.UNAVAILABLE, 3)
    directory = open_directory(await failing(servicer))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await directory.verify_credentials("a@example.com", "x")
    with pytest.raises(Unavailable):  # left alone
        await directory.verify_credentials("a@example.com", "x")
    assert directory.calls == {"VerifyCredentials": 3}
    assert (await directory.require_active(7)).id == 7
    clock.now += 1.1
    assert await directory.verify_credentials("a@example.com", "x") is None
