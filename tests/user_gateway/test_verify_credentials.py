"""VerifyCredentials: right and wrong pairs, equal work, bounded work."""

import asyncio
from time import perf_counter, thread_time

import bcrypt
import grpc
import pytest
import structlog

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures import gateway_process
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.timing import check_within
from tests.fixtures.users import GATEWAY_TOKEN, StartGateway, UsersDatabase
from user_gateway import passwords
from user_gateway.errors import ResourceExhausted
from user_gateway.hash_slots import OwnSlots
from user_gateway.passwords import PasswordChecker


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


async def test_the_right_pair_gives_the_user(calls: Calls) -> None:
    user = await calls.verify("annotator@example.com", "annotator123")
    assert user == await calls.get(id=4, view=pb.USER_VIEW_FULL)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("annotator@example.com", "annotator124"),
        ("Annotator@example.com", "annotator123"),  # login compares exactly
        ("annotator@example.com ", "annotator123"),
        ("nobody@example.com", "annotator123"),
        ("a\0b@example.com", "annotator123"),
        ("annotator@example.com", "annotator123\0"),
        ("annotator@example.com", "x" * 100_000),
    ],
)
async def test_a_wrong_pair_gives_nobody(calls: Calls, email: str, password: str) -> None:
    assert await calls.verify(email, password) is None


@pytest.mark.parametrize(("email", "password"), [("", "x"), ("admin@example.com", "")])
async def test_an_incomplete_pair_is_refused(calls: Calls, email: str, password: str) -> None:
    refusal = await refused(calls.verify(email, password))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "CREDENTIALS_INCOMPLETE"


async def test_inactive_accounts_and_odd_hashes(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    long_password = "ü" * 36 + "anything"  # 72 bytes, and more that do not count
    await users_db.execute("UPDATE users SET is_active = false WHERE id = 5")
    await users_db.execute(
        "INSERT INTO users (id, email, hashed_password) VALUES (31, 'long@example.com', $1), "
        "(32, 'broken@example.com', 'not a hash'), (33, 'empty@example.com', ''), (34, 'php@example.com', $2)",
        hashed(("ü" * 36).encode()),
        hashed(b"from php").replace("$2b$", "$2y$"),
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        inactive = await calls.verify("viewer@example.com", "viewer123")
        assert inactive is not None
        assert inactive.is_active is False
        assert await calls.verify("long@example.com", long_password) is not None
        assert await calls.verify("long@example.com", "ü" * 35) is None
        assert await calls.verify("php@example.com", "from php") is not None
        for email in ("broken@example.com", "empty@example.com"):
            assert await calls.verify(email, "not a hash") is None


async def test_the_time_tells_nothing_of_an_account(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    """Hashes of several costs, a broken one, and none: the work is that of the dearest, whoever is asked for."""
    costs = {"owner": 10, "admin": 9, "viewer": 7, "reviewer": 5, "annotator": 4}
    for account, cost in costs.items():
        await users_db.execute(
            "UPDATE users SET hashed_password = $1 WHERE email = $2", hashed(b"secret", cost), f"{account}@example.com"
        )
    await users_db.execute("UPDATE users SET hashed_password = 'broken' WHERE id = 6")
    running = await start_gateway(users_db.dsn)
    times: dict[str, list[float]] = {account: [] for account in (*costs, "stranger", "nobody")}
    async with Calls(running.address, running.token) as calls:
        await calls.verify("owner@example.com", "warm up")
        # Interleaved, so that a busy machine slows all alike; more often where that is not enough.
        while len(times["nobody"]) < 9 or (uneven(times) and len(times["nobody"]) < 60):
            for account, measured in times.items():
                started = perf_counter()
                assert await calls.verify(f"{account}@example.com", "wrong") is None
                measured.append(perf_counter() - started)
    assert not uneven(times), {account: min(measured) for account, measured in times.items()}


def uneven(times: dict[str, list[float]]) -> bool:
    """Whether the fastest check of one account tells it from another."""
    fastest = [min(measured) for measured in times.values()]
    return max(fastest) >= 1.5 * min(fastest)


# Hashes are random: as the names of cases they would differ from one test process to the next.
_STORED = {f"cost {cost}": hashed(b"secret", cost) for cost in (4, 6, 8, 9)}


@pytest.mark.parametrize(
    "stored", [*_STORED.values(), "$2b$09$broken", "", None], ids=[*_STORED, "broken", "empty", "none"]
)
def test_the_work_of_a_check_is_counted_out(stored: str | None) -> None:
    """In the time of the thread's own work, which neighbours do not lengthen."""
    checked = passwords._check("wrong", hashed(b"secret", 9), 9)  # makes the hashes that fill up
    assert not checked
    passwords._check("wrong", stored, 9)

    def work(kept: str | None) -> float:
        measured = []
        for _ in range(5):
            started = thread_time()
            assert not passwords._check("wrong", kept, 9)
            measured.append(thread_time() - started)
        return min(measured)

    whole = work(hashed(b"secret", 9))
    assert 0.75 * whole < work(stored) < 1.33 * whole


async def test_a_dearer_hash_than_the_sample_had_raises_the_work_of_all() -> None:
    checker = PasswordChecker(OwnSlots(1))
    assert await checker.check("secret", hashed(b"secret", 4), highest_cost=4)
    assert checker._cost == 4
    assert await checker.check("secret", hashed(b"secret", 6), highest_cost=4)
    assert checker._cost == 6
    assert not await checker.check("other", None, highest_cost=4)
    assert checker._cost == 6
    checker.close()


async def test_more_checks_than_slots_are_refused_at_once(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("UPDATE users SET hashed_password = $1", hashed(b"secret", 11))  # about 100 ms each
    running = await start_gateway(users_db.dsn, USER_GATEWAY_HASH_SLOTS="2")
    async with Calls(running.address, running.token) as calls:
        answers = await asyncio.gather(
            *(calls.verify("owner@example.com", "secret") for _ in range(8)), return_exceptions=True
        )
        refusals = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
        assert len(answers) - len(refusals) >= 2
        assert refusals, "eight at once do not fit into two slots"

        async def raise_again() -> None:
            raise refusals[0]

        refusal = await refused(raise_again())
        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "TOO_MANY_CHECKS"
        assert refusal.retry_after_seconds == 1.0
        assert await calls.verify("owner@example.com", "secret") is not None, "the slots are free again"


async def test_the_event_loop_goes_on_while_passwords_are_checked(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("UPDATE users SET hashed_password = $1", hashed(b"secret", 12))
    running = await start_gateway(users_db.dsn, USER_GATEWAY_HASH_SLOTS="1")
    async with Calls(running.address, running.token) as calls:
        await calls.get(id=1)
        checking = asyncio.ensure_future(calls.verify("owner@example.com", "secret"))
        answered = 0
        while not checking.done():
            await calls.get(id=1)
            answered += 1
        assert await checking is not None
        assert answered > 3


async def test_a_slot_is_held_until_its_thread_ends() -> None:
    checker = PasswordChecker(OwnSlots(1))
    slow = hashed(b"secret", 11)
    abandoned = asyncio.ensure_future(checker.check("secret", slow, highest_cost=4))
    await asyncio.sleep(0)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    with pytest.raises(ResourceExhausted):
        await checker.check("secret", slow, highest_cost=4)
    deadline = perf_counter() + 10
    while perf_counter() < deadline:
        try:
            assert await checker.check("secret", slow, highest_cost=4)
            break
        except ResourceExhausted:
            await asyncio.sleep(0.01)
    else:
        pytest.fail("the slot was never given back")
    checker.close()


async def test_a_hash_that_would_take_a_day_is_refused() -> None:
    checker = PasswordChecker(OwnSlots(1))
    with structlog.testing.capture_logs() as lines:
        for cost in (17, 31):
            dear = hashed(b"secret").replace("$04$", f"${cost}$")
            assert not await checker.check("secret", dear, highest_cost=4)
    assert [(line["log_level"], line["cost"], line["highest"]) for line in lines] == [
        ("error", 17, 16),
        ("error", 31, 16),
    ]
    assert checker._cost == 4, "and it is no reason for others to wait"
    assert await checker.check("secret", hashed(b"secret"), highest_cost=4), "the slot is free"
    checker.close()


async def test_the_end_waits_for_no_check(users_db: UsersDatabase) -> None:
    """Eight checks of some seconds each on a few cores, whose callers have left."""
    await users_db.execute("UPDATE users SET hashed_password = $1", hashed(b"secret").replace("$04$", "$16$"))
    process = await gateway_process.start(users_db.dsn, USER_GATEWAY_HASH_SLOTS="8", USER_GATEWAY_DRAIN_SECONDS="0")
    try:
        await process.wait_ready()
        async with Calls(process.address, GATEWAY_TOKEN) as calls:
            request = pb.VerifyCredentialsRequest(email="owner@example.com", password="secret")
            leaving = [asyncio.create_task(calls.call("VerifyCredentials", request, 0.5)) for _ in range(8)]
            for outcome in await asyncio.gather(*leaving, return_exceptions=True):
                assert isinstance(outcome, grpc.aio.AioRpcError)
        process.terminate()
        started = perf_counter()
        assert await process.ended() == 0
        check_within(perf_counter() - started, 8.0)
    finally:
        await process.kill()
