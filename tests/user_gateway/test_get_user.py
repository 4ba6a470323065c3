"""GetUser: by id, by e-mail address, and what cannot be answered."""

import grpc
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import StartGateway, UsersDatabase


async def test_by_id_in_the_full_view(calls: Calls) -> None:
    user = await calls.get(id=1, view=pb.USER_VIEW_FULL)
    assert user.id == 1
    assert user.email == "admin@example.com"
    assert user.full_name == "Admin Example"
    assert user.system_role == "admin"
    assert user.is_active is True
    assert user.organization_id == 1
    assert user.badge_color == "blue"
    assert user.created_at.ToDatetime().year > 2000
    assert user.HasField("updated_at")
    assert not user.HasField("company")


async def test_the_basic_view_is_the_default_and_holds_five_fields(calls: Calls) -> None:
    user = await calls.get(id=2)
    assert {field.name for field, _ in user.ListFields()} == {"id", "full_name", "badge_color", "is_active"}
    assert user == await calls.get(id=2, view=pb.USER_VIEW_BASIC)


async def test_a_null_badge_color_is_not_set(calls: Calls) -> None:
    assert not (await calls.get(id=6)).HasField("badge_color")


async def test_by_email_without_regard_to_case(calls: Calls) -> None:
    assert (await calls.get(email="OWNER@Example.COM")).id == 2


async def test_of_addresses_that_differ_in_case_the_exact_one_wins(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute(
        "INSERT INTO users (id, email, hashed_password) "
        "VALUES (21, 'Twin@example.com', ''), (20, 'TWIN@example.com', '')"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert (await calls.get(email="Twin@example.com")).id == 21
        assert (await calls.get(email="TWIN@example.com")).id == 20
        assert (await calls.get(email="twin@example.com")).id == 20, "the lower id"


async def test_inactive_users_are_answered(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("UPDATE users SET is_active = false WHERE id = 5")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert (await calls.get(id=5)).is_active is False


@pytest.mark.parametrize("email", ["nobody@example.com", "%@example.com", "a\0b@example.com", "", "x" * 100_000])
async def test_an_unknown_address_is_not_found_and_not_repeated(calls: Calls, email: str) -> None:
    refusal = await refused(calls.get(email=email))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert refusal.reason == "USER_NOT_FOUND"
    assert email == "" or email not in refusal.everything


@pytest.mark.parametrize("user_id", [999, 2**31, 2**63 - 1])
async def test_an_unknown_id_is_not_found(calls: Calls, user_id: int) -> None:
    refusal = await refused(calls.get(id=user_id))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert refusal.reason == "USER_NOT_FOUND"
    assert refusal.metadata == {"id": str(user_id)}


@pytest.mark.parametrize("user_id", [0, -1, -(2**63)])
async def test_an_id_below_one_is_no_id(calls: Calls, user_id: int) -> None:
    refusal = await refused(calls.get(id=user_id))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "USER_ID_INVALID"


async def test_without_a_key(calls: Calls) -> None:
    refusal = await refused(calls.get())
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "KEY_MISSING"
