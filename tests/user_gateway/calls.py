"""A client of the gateway as another service would write it: the generated stub, a token, and the error details."""

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from user_gateway.server import SERVICE_NAME

SECONDS = 10.0  # a test machine may be slow; tests of deadlines set their own


@dataclass(frozen=True)
class Refusal:
    """An error as the caller sees it; `everything` is all the text that came over the wire."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    retry_after_seconds: float | None
    everything: str


class Calls:
    """Calls with one token; `async with Calls(address, token) as calls`."""

    def __init__(
        self,
        address: str,
        token: str | None,
        credentials: grpc.ChannelCredentials | None = None,
        service_config: object = None,
    ) -> None:
        options = (
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.service_config", json.dumps(service_config or {})),
        )
        self.channel = (
            grpc.aio.insecure_channel(address, options=options)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=options)
        )
        self.stub: Any = pb_grpc.UserGatewayServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.channel.close()

    async def call(self, method: str, request: Any, seconds: float = SECONDS) -> Any:
        return await getattr(self.stub, method)(request, timeout=seconds, metadata=self.metadata)

    async def get(self, seconds: float = SECONDS, **fields: Any) -> pb.User:
        response: pb.GetUserResponse = await self.call("GetUser", pb.GetUserRequest(**fields), seconds)
        return response.user

    async def batch(self, ids: list[int], view: pb.UserView = pb.USER_VIEW_BASIC) -> pb.BatchGetUsersResponse:
        response: pb.BatchGetUsersResponse = await self.call(
            "BatchGetUsers", pb.BatchGetUsersRequest(ids=ids, view=view)
        )
        return response

    async def search(self, query: str, seconds: float = SECONDS, **fields: Any) -> pb.SearchUsersResponse:
        fields.setdefault("view", pb.USER_VIEW_FULL)
        response: pb.SearchUsersResponse = await self.call(
            "SearchUsers", pb.SearchUsersRequest(query=query, **fields), seconds
        )
        return response

    async def verify(self, email: str, password: str) -> pb.User | None:
        response: pb.VerifyCredentialsResponse = await self.call(
            "VerifyCredentials", pb.VerifyCredentialsRequest(email=email, password=password)
        )
        return response.user if response.HasField("user") else None

    async def info(self) -> pb.GetServiceInfoResponse:
        response: pb.GetServiceInfoResponse = await self.call("GetServiceInfo", pb.GetServiceInfoRequest())
        return response

    async def serving(self, name: str = SERVICE_NAME) -> bool:
        stub: Any = health_pb2_grpc.HealthStub(self.channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


async def refused(call: Awaitable[object]) -> Refusal:
    """Await a call that must fail; return how."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return _refusal(error)
    raise AssertionError(f"expected an error, got {answer!r}")


def _refusal(error: grpc.aio.AioRpcError) -> Refusal:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    kinds = []
    for detail in status.details if status else ():
        kinds.append(detail.type_url)
        detail.Unpack(info)
        detail.Unpack(retry)
    assert len(kinds) == len(set(kinds)), "each type of detail appears once"
    delayed = any("RetryInfo" in kind for kind in kinds)
    return Refusal(
        code=error.code(),
        reason=info.reason,
        message=error.details() or "",
        metadata=dict(info.metadata),
        retry_after_seconds=retry.retry_delay.ToMilliseconds() / 1000 if delayed else None,
        everything=f"{error.details()} {info} {list(error.trailing_metadata() or ())}",
    )
