"""No hash ever, and no e-mail address in a BASIC view, a log or an error."""

import random
from typing import Any

import grpc
import pytest
import structlog
from itsdangerous import URLSafeSerializer

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import RunningGateway, StartGateway, UsersDatabase
from user_gateway.users import BASIC_COLUMNS, FULL_COLUMNS

SECRET_HASH = "$2b$04$abcdefghijklmnopqrstuuSECRETSECRETSECRETSECRETSECRETSE"


def fields_of(message: Any) -> list[Any]:
    return list(message.fields)


def test_a_user_on_the_wire_is_the_allow_list_and_nothing_else() -> None:
    assert {field.name for field in fields_of(pb.User.DESCRIPTOR)} == set(FULL_COLUMNS)
    assert "email" not in BASIC_COLUMNS


def test_no_answer_has_a_field_for_a_secret() -> None:
    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        for field in fields_of(message):
            words = set(field.name.split("_"))
            allowed = name == "VerifyCredentialsRequest"
            assert (
                allowed
                or not words & {"password", "hash", "hashed", "token", "secret", "phone", "reset"}
                or (field.name in {"page_token", "next_page_token"})
            ), f"{name}.{field.name}"


async def test_basic_views_hold_no_address(calls: Calls) -> None:
    answers = [
        await calls.get(id=1),
        await calls.get(email="admin@example.com"),
        await calls.batch([1, 2, 3]),
        await calls.search("example", view=pb.USER_VIEW_BASIC, page_size=2),
        await calls.search("example", view=pb.USER_VIEW_UNSPECIFIED),
        await calls.info(),
    ]
    for answer in answers:
        assert "@" not in str(answer)
        assert "$2b$" not in str(answer)


async def test_a_basic_page_token_holds_no_address(calls: Calls) -> None:
    page = await calls.search("example", view=pb.USER_VIEW_BASIC, page_size=2)
    carried, _, _ = page.next_page_token.partition(".")  # the token is signed, not secret
    assert "@" not in str(URLSafeSerializer("any").load_payload(carried.encode()))


async def test_logs_name_no_address_no_password_and_no_hash(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("UPDATE users SET hashed_password = $1 WHERE id = 2", SECRET_HASH)
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
        async with Calls(running.address, running.token) as calls:
            await calls.get(id=1, view=pb.USER_VIEW_FULL)
            await calls.get(email="admin@example.com", view=pb.USER_VIEW_FULL)
            await refused(calls.get(email="nobody@example.com"))
            await calls.verify("admin@example.com", "admin123")
            await calls.verify("owner@example.com", "a-wrong-password")
            await calls.search("admin@example")
            await refused(calls.search("admin@", page_token="forged@example.com"))
    text = repr(lines)
    assert sum(line["event"] == "call" for line in lines) == 7
    for secret in ("@", "admin123", "a-wrong-password", "$2b$", running.token):
        assert secret not in text


async def test_an_unexpected_exception_tells_its_request_id_and_nothing_more(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
        # A row that the gateway's own code cannot digest, with an address in the driver's or library's message. At the
        # start, the type would be named and the column left out.
        await users_db.execute("ALTER TABLE users ALTER COLUMN organization_id TYPE text USING 'leak@example.com'")
        async with Calls(running.address, running.token) as calls:
            calls.metadata += (("x-request-id", "request-17"),)
            refusal = await refused(calls.get(id=1, view=pb.USER_VIEW_FULL))
    assert refusal.code == grpc.StatusCode.INTERNAL
    assert refusal.reason == "INTERNAL"
    assert refusal.metadata == {"request_id": "request-17"}
    assert "leak" not in refusal.everything
    defects = [line for line in lines if line["event"] == "unhandled exception"]
    assert defects[0]["type"] == "TypeError"
    assert any("users.py" in frame for frame in defects[0]["at"])
    assert "leak@example.com" not in repr(lines)


@pytest.mark.parametrize("given", ["has blanks", "x" * 65, 'quote"', "new%0aline"])
async def test_an_unsound_request_id_is_replaced(gateway: RunningGateway, given: str) -> None:
    with structlog.testing.capture_logs() as lines:
        async with Calls(gateway.address, gateway.token) as calls:
            calls.metadata += (("x-request-id", given),)
            await calls.get(id=1)
    assert lines[-1]["request_id"] != given


async def test_random_bytes_get_a_clear_refusal(gateway: RunningGateway) -> None:
    choose = random.Random(7)  # the same bytes on every run
    fine = {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    }
    async with Calls(gateway.address, gateway.token) as calls:
        for method in ("GetUser", "BatchGetUsers", "SearchUsers", "GetServiceInfo"):
            raw: Any = calls.channel.unary_unary(f"/users.v1.UserGatewayService/{method}")
            for _ in range(150):
                data = choose.randbytes(choose.randrange(1, 40))
                call = raw(data, metadata=calls.metadata, timeout=10)
                assert await call.code() in fine, (method, data, await call.details())
