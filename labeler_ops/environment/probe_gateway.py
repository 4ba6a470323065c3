"""Ask the user gateway as the API does: is the token known, does it have every scope, is the User DB read-only?"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc

from labeler_api.settings import Settings
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc

_CALL_SECONDS = 10.0  # checking a password takes half a second, on a machine that may be busy
_DENIED = grpc.StatusCode.PERMISSION_DENIED

Answer = tuple[str, str, str]


async def ask(api: Settings) -> list[Answer]:
    """Return (what, level, text) of each look; never raises for what it finds."""
    try:
        channel = _channel(api)
    except OSError as error:
        return [("TLS", "wrong", str(error))]
    async with channel:
        stub: Any = pb_grpc.UserGatewayServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("authorization", f"Bearer {api.user_gateway_token}"),)
        return await _ask(stub, metadata, api.user_gateway_address)


async def _ask(stub: Any, metadata: Any, address: str) -> list[Answer]:
    begun = perf_counter()
    try:
        info = await stub.GetServiceInfo(pb.GetServiceInfoRequest(), metadata=metadata, timeout=_CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        return [("token", "wrong", f"{address}: {error.code().name}: {error.details()}")]
    took = (perf_counter() - begun) * 1000
    answers = [("token", "ok", f"{address} knows the token; {took:.0f} ms, version {info.version}")]
    held = ", ".join(info.write_privileges[:3])
    answers.append(
        ("User DB", "ok", "proven by the gateway to be read-only")
        if info.database_read_only
        else ("User DB", "wrong", f"the gateway's role could write: {held or 'not proven'}")
    )
    return [*answers, await _scopes(stub, metadata)]


async def _scopes(stub: Any, metadata: Any) -> Answer:
    calls: Mapping[str, Callable[[], Awaitable[Any]]] = {
        "users.read": lambda: stub.BatchGetUsers(
            pb.BatchGetUsersRequest(ids=[1]), metadata=metadata, timeout=_CALL_SECONDS
        ),
        "users.read_private": lambda: stub.BatchGetUsers(
            pb.BatchGetUsersRequest(ids=[1], view=pb.USER_VIEW_FULL), metadata=metadata, timeout=_CALL_SECONDS
        ),
        # .invalid is nobody's: RFC 2606
        "credentials.verify": lambda: stub.VerifyCredentials(
            pb.VerifyCredentialsRequest(email="check@labeler.invalid", password="check"),  # noqa: S106 - no account
            metadata=metadata,
            timeout=_CALL_SECONDS,
        ),
    }
    missing = []
    for scope, call in calls.items():
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not _DENIED:
                return "scopes", "wrong", f"{scope}: {error.code().name}: {error.details()}"
            missing.append(scope)
    if missing:
        return "scopes", "wrong", f"the token lacks {', '.join(missing)}"
    return "scopes", "ok", f"the token has {', '.join(calls)}"


def _channel(api: Settings) -> grpc.aio.Channel:
    files = (api.user_gateway_tls_ca, api.user_gateway_tls_key, api.user_gateway_tls_cert)
    if not any(files):
        return grpc.aio.insecure_channel(api.user_gateway_address)
    ca, key, cert = (Path(name).read_bytes() if name else None for name in files)
    return grpc.aio.secure_channel(api.user_gateway_address, grpc.ssl_channel_credentials(ca, key, cert))
