"""Errors that callers may see: a gRPC status, a stable reason and a text without any user's data."""

from collections.abc import Mapping
from typing import NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

DOMAIN = "users.image-labeler"
"""Domain of every ErrorInfo: reasons are unique within it."""


class GatewayError(Exception):
    """An error for the caller. `metadata` repeats every value of the message that is not fixed."""

    code: int = code_pb2.INTERNAL

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


class InvalidArgument(GatewayError):
    """The request cannot be answered as it is; sending it again will not help."""

    code = code_pb2.INVALID_ARGUMENT


class NotFound(GatewayError):
    """There is no such user."""

    code = code_pb2.NOT_FOUND


class Unauthenticated(GatewayError):
    """The caller (a service, not a user) showed no token or a wrong one."""

    code = code_pb2.UNAUTHENTICATED


class PermissionDenied(GatewayError):
    """The caller's token lacks the scope."""

    code = code_pb2.PERMISSION_DENIED


class ResourceExhausted(GatewayError):
    """Too much at once; try again after the delay in RetryInfo."""

    code = code_pb2.RESOURCE_EXHAUSTED


class Unavailable(GatewayError):
    """The User DB does not answer; try again after the delay in RetryInfo."""

    code = code_pb2.UNAVAILABLE


class DeadlineExceeded(GatewayError):
    """The caller's deadline passed; the statement was cancelled."""

    code = code_pb2.DEADLINE_EXCEEDED


class Internal(GatewayError):
    """A defect of the gateway. Says the request id and nothing more."""


def user_not_found(**metadata: str) -> NotFound:
    """No user has this key; the message never repeats an e-mail address."""
    return NotFound("USER_NOT_FOUND", "No such user.", metadata=metadata)


def database_unavailable() -> Unavailable:
    """The User DB is away."""
    # One second: the watcher looks for the database as often.
    return Unavailable("USER_DB_UNAVAILABLE", "The User DB does not answer.", retry_after_seconds=1.0)


class CatalogChanged(Unavailable):
    """A column or a grant went away under a statement: read the catalog again, and ask again."""

    def __init__(self) -> None:
        super().__init__("USER_DB_UNAVAILABLE", "The User DB has changed just now.", retry_after_seconds=1.0)


def credentials_unreadable() -> Unavailable:
    """The role may not read the password hashes: no password could be right, so none is called wrong."""
    # Five seconds: the grants are looked at as often while it is so.
    return Unavailable(
        "CREDENTIALS_UNREADABLE", "The gateway may not read the User DB's password hashes.", retry_after_seconds=5.0
    )


def deadline_exceeded() -> DeadlineExceeded:
    """The time that the caller gave, or the longest time the gateway gives, is over."""
    return DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the User DB answered.")


def to_status(error: GatewayError) -> status_pb2.Status:
    """Build google.rpc.Status: the message, ErrorInfo, and RetryInfo where a retry makes sense."""
    status = status_pb2.Status(code=error.code, message=error.message)
    status.details.append(
        _packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    )
    if error.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: GatewayError) -> NoReturn:
    """End the call with this error. Raises grpc.aio.AbortError, which must not be swallowed."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details or "", status.trailing_metadata or ())
