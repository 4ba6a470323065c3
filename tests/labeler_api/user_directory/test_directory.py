"""The user directory on a real gateway: look-ups, batches, the cache."""

import asyncio

import bcrypt
import pytest
import structlog

from labeler_api.errors import Forbidden, Invalid, TooMany, Unauthenticated
from labeler_api.user_directory.directory import UserDirectory
from labeler_api.user_directory.profiles import ProfileCache, UserProfile
from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.users import Clock, OpenDirectory, RunningGateway, StartGateway, UsersDatabase


@pytest.fixture
async def known(gateway: RunningGateway, open_directory: OpenDirectory) -> UserDirectory:
    """A directory on the shared gateway, with the test's clock. A channel of grpc.aio needs the running loop."""
    return open_directory(gateway.address)


async def test_a_profile(known: UserDirectory) -> None:
    admin = await known.require_active(1)
    assert admin == UserProfile(
        id=1,
        email="admin@example.com",
        full_name="Admin Example",
        organization_id=1,
        system_role="admin",
        is_active=True,
        badge_color="blue",
        created_at=admin.created_at,
        updated_at=admin.updated_at,
    )
    assert admin.is_admin
    assert admin.created_at.tzinfo is not None
    stranger = await known.require_active(6)
    assert not stranger.is_admin
    assert stranger.badge_color is None


@pytest.mark.parametrize("user_id", [99, 0, -1, 2**63 - 1, 2**63, 10**30])
async def test_an_unknown_user_is_not_logged_in(known: UserDirectory, user_id: int) -> None:
    assert await known.find(user_id) is None
    with pytest.raises(Unauthenticated):
        await known.require_active(user_id)
    assert await known.get_many([user_id]) == {}


async def test_an_answer_is_believed_for_thirty_seconds_at_most(known: UserDirectory, clock: Clock) -> None:
    await known.require_active(2)
    clock.now += 26.9  # the jitter takes a tenth at most
    await known.require_active(2)
    assert await known.get_many([2])
    assert known.calls.total() == 1
    clock.now += 3.2
    await known.require_active(2)
    assert known.calls.total() == 2


async def test_that_somebody_is_unknown_is_believed_for_five_seconds(known: UserDirectory, clock: Clock) -> None:
    for _ in range(3):
        assert await known.find(99) is None
    assert known.calls["GetUser"] == 1
    clock.now += 5.1
    assert await known.find(99) is None
    assert known.calls["GetUser"] == 2


async def test_a_page_of_users_costs_one_call_for_each_500(known: UserDirectory) -> None:
    users = await known.get_many([3, 1, 3, *range(1_000, 2_100)])
    assert set(users) == {1, 3}
    assert known.calls == {"BatchGetUsers": 3}
    await known.get_many([1, *range(1_000, 2_100)])
    assert known.calls == {"BatchGetUsers": 3}, "the missing ones are remembered too"
    assert set(await known.get_many([1, 2])) == {1, 2}
    assert known.calls == {"BatchGetUsers": 4}
    assert await known.get_many([]) == {}


async def test_side_by_side_they_wait_for_one_call(known: UserDirectory) -> None:
    profiles = await asyncio.gather(*(known.require_active(4) for _ in range(50)))
    assert len(set(map(id, profiles))) == 1
    assert known.calls == {"GetUser": 1}
    pages = await asyncio.gather(*(known.get_many([1, 2, 3, 4, 5]) for _ in range(20)))
    assert all(set(page) == {1, 2, 3, 4, 5} for page in pages)
    assert known.calls == {"GetUser": 1, "BatchGetUsers": 1}


async def test_whoever_asks_first_may_leave(known: UserDirectory) -> None:
    first = asyncio.ensure_future(known.require_active(5))
    second = asyncio.ensure_future(known.require_active(5))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).id == 5
    assert known.calls == {"GetUser": 1}


async def test_by_email(known: UserDirectory) -> None:
    found = await known.find_by_email("OWNER@EXAMPLE.COM")
    assert found is not None
    assert found.id == 2
    assert await known.find_by_email("nobody@example.com") is None
    assert await known.find_by_email("") is None
    await known.require_active(2)
    assert known.calls["GetUser"] == 3, "the answer by address was believed for the id"


async def test_search(known: UserDirectory) -> None:
    users, total = await known.search("example", exclude_ids=[1, 0, -4], limit=2, offset=1)
    assert [user.id for user in users] == [2, 3]
    assert total == 5
    assert await known.search("example", exclude_ids=[], limit=5, offset=2**40) == ([], 6)
    with pytest.raises(Invalid):
        await known.search("e", exclude_ids=[], limit=5, offset=0)


async def test_credentials(known: UserDirectory) -> None:
    user = await known.verify_credentials("viewer@example.com", "viewer123")
    assert user is not None
    assert user.id == 5
    for email, password in (("viewer@example.com", "x"), ("x@example.com", "viewer123"), ("", ""), ("a", "")):
        assert await known.verify_credentials(email, password) is None
    await known.require_active(5)
    assert known.calls == {"VerifyCredentials": 3}


async def test_too_many_logins(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory
) -> None:
    await users_db.execute("UPDATE users SET hashed_password = $1", bcrypt.hashpw(b"s", bcrypt.gensalt(11)).decode())
    running = await start_gateway(users_db.dsn, USER_GATEWAY_HASH_SLOTS="1")
    directory = open_directory(running.address)
    answers = await asyncio.gather(
        *(directory.verify_credentials("owner@example.com", "s") for _ in range(6)), return_exceptions=True
    )
    refusals = [answer for answer in answers if isinstance(answer, TooMany)]
    assert refusals
    assert refusals[0].retry_after == 1
    assert directory.calls == {"VerifyCredentials": 6}


async def test_a_deactivated_user_is_refused_after_thirty_seconds(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory, clock: Clock
) -> None:
    running = await start_gateway(users_db.dsn)
    directory = open_directory(running.address)
    await directory.require_active(3)
    await users_db.execute("UPDATE users SET is_active = false WHERE id = 3")
    clock.now += 30.0
    with pytest.raises(Forbidden):
        await directory.require_active(3)
    inactive = await directory.verify_credentials("reviewer@example.com", "reviewer123")
    assert inactive is not None
    assert not inactive.is_active


async def test_the_request_id_travels_along(known: UserDirectory) -> None:
    with structlog.contextvars.bound_contextvars(request_id="request-4711"), structlog.testing.capture_logs() as lines:
        await known.require_active(1)
        await known.get_many([2])
    assert [line["request_id"] for line in lines if line["event"] == "call"] == ["request-4711"] * 2


def profile(user_id: int, *, active: bool = True) -> UserProfile:
    return UserProfile(id=user_id, email="x@example.com", is_active=active, created_at=_EPOCH)


_EPOCH = pb.User().created_at.ToDatetime()


def test_a_late_answer_does_not_replace_a_later_question(clock: Clock) -> None:
    cache = ProfileCache(30.0, clock=clock)
    cache.put(1, profile(1, active=False), asked_at=1_001.0)
    cache.put(1, profile(1, active=True), asked_at=1_000.0)  # asked before the deactivation, answered after it
    last = cache.last(1)
    assert last is not None
    assert last.profile is not None
    assert not last.profile.is_active


def test_the_cache_has_an_end_and_forgets_whom_nobody_asked_for(clock: Clock) -> None:
    cache = ProfileCache(30.0, capacity=3, clock=clock)
    for user_id in (1, 2, 3):
        cache.put(user_id, profile(user_id), clock())
    assert cache.fresh(1)
    cache.put(4, profile(4), clock())
    assert [user_id for user_id in (1, 2, 3, 4) if cache.last(user_id)] == [1, 3, 4]
