"""Who may call: tokens, their rotation, their scopes; what stands open."""

from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import RunningGateway, StartGateway
from user_gateway.auth import Authenticator, Caller, Scope
from user_gateway.errors import Unauthenticated
from user_gateway.server import SERVICE_NAME

REQUESTS = {
    "GetUser": pb.GetUserRequest(id=1),
    "BatchGetUsers": pb.BatchGetUsersRequest(ids=[1]),
    "SearchUsers": pb.SearchUsersRequest(query="example"),
    "VerifyCredentials": pb.VerifyCredentialsRequest(email="admin@example.com", password="admin123"),
    "GetServiceInfo": pb.GetServiceInfoRequest(),
}
OLD, NEW = "old-token-of-the-reporter", "new-token-of-the-reporter"
READER, LOGIN = "token-of-a-plain-reader", "token-of-a-login-page"


def test_every_call_is_tried() -> None:
    assert set(REQUESTS) == {method.name for method in pb.DESCRIPTOR.services_by_name["UserGatewayService"].methods}


@pytest.mark.parametrize("method", REQUESTS)
async def test_without_a_token(gateway: RunningGateway, method: str) -> None:
    async with Calls(gateway.address, None) as calls:
        refusal = await refused(calls.call(method, REQUESTS[method]))
    assert refusal.code == grpc.StatusCode.UNAUTHENTICATED
    assert refusal.reason == "TOKEN_MISSING"


@pytest.mark.parametrize("method", REQUESTS)
async def test_with_a_wrong_token(gateway: RunningGateway, method: str) -> None:
    async with Calls(gateway.address, gateway.token + "x") as calls:
        refusal = await refused(calls.call(method, REQUESTS[method]))
    assert refusal.code == grpc.StatusCode.UNAUTHENTICATED
    assert refusal.reason == "TOKEN_INVALID"
    assert gateway.token not in refusal.everything


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic {token}", "{token}"])
async def test_with_a_header_that_is_no_bearer_token(gateway: RunningGateway, value: str) -> None:
    async with Calls(gateway.address, None) as calls:
        calls.metadata = (("authorization", value.format(token=gateway.token)),)
        assert (await refused(calls.info())).reason == "TOKEN_MISSING"


async def test_the_scheme_is_read_without_regard_to_case(gateway: RunningGateway) -> None:
    async with Calls(gateway.address, None) as calls:
        calls.metadata = (("authorization", f"bearer {gateway.token}"),)
        assert (await calls.info()).version


def test_every_spelling_of_a_header_is_judged_by_its_token() -> None:
    reader = Caller("reader", frozenset({Scope.USERS_READ}), (READER,))
    authenticator = Authenticator([reader, Caller("login", frozenset(), (LOGIN,))])
    for spaces in range(1, 200):  # as many spellings as one likes
        assert authenticator.authenticate([("authorization", f"Bearer{' ' * spaces}{READER}")]) is reader
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="not known"):
            authenticator.authenticate([("authorization", f"Bearer {READER}x")])
        with pytest.raises(Unauthenticated, match="Send the metadata"):
            authenticator.authenticate([])


async def test_two_tokens_of_a_caller_hold_at_once(users_dsn: str, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_dsn, USER_GATEWAY_TOKENS=f"reporter={OLD}|{NEW}:users.read")
    for token in (OLD, NEW):
        async with Calls(running.address, token) as calls:
            assert (await calls.get(id=1)).id == 1


@pytest.mark.parametrize(
    ("token", "request_", "scope"),
    [
        (READER, pb.GetUserRequest(id=1, view=pb.USER_VIEW_FULL), "users.read_private"),
        (READER, pb.GetUserRequest(email="admin@example.com"), "users.read_private"),
        (READER, pb.BatchGetUsersRequest(ids=[1], view=pb.USER_VIEW_FULL), "users.read_private"),
        (READER, pb.SearchUsersRequest(query="admin", view=pb.USER_VIEW_FULL), "users.read_private"),
        (READER, REQUESTS["VerifyCredentials"], "credentials.verify"),
        (LOGIN, REQUESTS["GetUser"], "users.read"),
        (LOGIN, REQUESTS["BatchGetUsers"], "users.read"),
        (LOGIN, REQUESTS["SearchUsers"], "users.read"),
    ],
)
async def test_a_scope_that_is_missing(
    users_dsn: str, start_gateway: StartGateway, token: str, request_: Any, scope: str
) -> None:
    tokens = f"reader={READER}:users.read,login={LOGIN}:credentials.verify"
    running = await start_gateway(users_dsn, USER_GATEWAY_TOKENS=tokens)
    async with Calls(running.address, token) as calls:
        refusal = await refused(calls.call(type(request_).__name__.removesuffix("Request"), request_))
        assert refusal.code == grpc.StatusCode.PERMISSION_DENIED
        assert refusal.reason == "SCOPE_MISSING"
        assert refusal.metadata == {"scope": scope}
        assert (await calls.info()).database_read_only, "which needs a token, and no scope"


async def test_health_and_reflection_stand_open(gateway: RunningGateway) -> None:
    async with Calls(gateway.address, None) as calls:
        assert await calls.serving()
        assert await calls.serving("")
        for version in ("v1", "v1alpha"):
            names = await listed(calls, version)
            assert {SERVICE_NAME, f"grpc.reflection.{version}.ServerReflection"} <= set(names)
        refusal = await refused(calls.serving("users.v1.Unknown"))
        assert refusal.code == grpc.StatusCode.NOT_FOUND


async def test_no_reflection_in_production(users_dsn: str, start_gateway: StartGateway) -> None:
    tokens = f"labeler={'t' * 43}:users.read"
    running = await start_gateway(users_dsn, ENVIRONMENT="production", USER_GATEWAY_TOKENS=tokens)
    async with Calls(running.address, None) as calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await listed(calls)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def listed(calls: Calls, version: str = "v1alpha") -> list[str]:
    """The services that reflection names, in either of its versions: the messages are the same."""
    ask: Any = calls.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in ask(iter([request]), timeout=10):
        return [service.name for service in response.list_services_response.service]
    return []
