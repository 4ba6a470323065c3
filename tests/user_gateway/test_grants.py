"""Grants that come and go while the gateway runs."""

import asyncio

import grpc
import pytest
import structlog

from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import StartGateway, UsersDatabase
from tests.fixtures.waiting import until
from user_gateway.server import LOG_INS_NAME

REVOKE = "REVOKE SELECT (hashed_password) ON users FROM user_readonly"
GRANT = "GRANT SELECT (hashed_password) ON users TO user_readonly"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again after a moment instead of a minute."""
    monkeypatch.setattr("user_gateway.database._READ_AGAIN_SECONDS", 0.5)
    monkeypatch.setattr("user_gateway.database._MISSING_SECONDS", 0.2)


async def assert_refused(calls: Calls) -> None:
    refusal = await refused(calls.verify("owner@example.com", "owner123"))
    assert refusal.code == grpc.StatusCode.UNAVAILABLE
    assert refusal.reason == "CREDENTIALS_UNREADABLE"
    assert refusal.retry_after_seconds == 5.0
    assert not await calls.serving(LOG_INS_NAME)
    assert await calls.serving()
    assert (await calls.get(id=1)).id == 1


async def test_a_lost_grant_on_the_hashes_calls_nobodys_password_wrong(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert await calls.verify("owner@example.com", "owner123") is not None
        assert await calls.serving(LOG_INS_NAME)
        with structlog.testing.capture_logs() as lines:
            await users_db.execute(REVOKE)
            await assert_refused(calls)
        said = [line for line in lines if line["log_level"] == "error"]
        assert [(line["event"], line["column"]) for line in said] == [
            ("passwords cannot be checked: every log-in is refused", "users.hashed_password")
        ]
        await users_db.execute(GRANT)

        async def back() -> bool:
            return await calls.serving(LOG_INS_NAME)

        await until(back, 10.0, "log-ins are ready")
        assert await calls.verify("owner@example.com", "owner123") is not None


async def test_a_grant_that_is_missing_at_the_start(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute(REVOKE)
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        await assert_refused(calls)


async def test_a_column_that_may_be_read_later(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("REVOKE SELECT (badge_color) ON users FROM user_readonly")
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
    assert [line["columns"] for line in lines if "may not read" in line["event"]] == [["users.badge_color"]]
    async with Calls(running.address, running.token) as calls:
        assert not (await calls.get(id=1)).HasField("badge_color")
        await users_db.execute("GRANT SELECT (badge_color) ON users TO user_readonly")

        async def shown() -> bool:
            return (await calls.get(id=1)).HasField("badge_color")

        await until(shown, 10.0, "the column is shown")


async def test_a_role_that_gains_a_right_to_write_is_left_alone(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        await users_db.execute("GRANT UPDATE ON users TO user_readonly")

        async def gone() -> bool:
            return not await calls.serving()

        await until(gone, 10.0, "NOT_SERVING")
        await asyncio.sleep(1.5)
        assert (await refused(calls.get(id=1))).reason == "USER_DB_UNAVAILABLE"
        await users_db.execute("REVOKE UPDATE ON users FROM user_readonly")
        await until(calls.serving, 10.0, "SERVING")
