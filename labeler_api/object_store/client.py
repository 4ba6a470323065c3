"""The S3 client: how it is made, and how its calls are counted, timed and traced."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import ClientError
from botocore.loaders import create_loader

from labeler_api.settings import Settings
from labeler_api.telemetry.instruments import Instruments

# 1 KiB, botocore's default, costs more than the copying. A store's answer comes in pieces of 80 KiB or so: less would
# cut them in two. More adds up: two hundred clients that take nothing cost 147 MiB with 128 KiB, and 87 with 64.
CHUNK_BYTES = 80 * 1024
_READ_AHEAD_BYTES = 64 * 1024

_CONNECT_SECONDS, _READ_SECONDS = 3.0, 30.0  # a store that is there accepts at once; reading: between two packets

_SHORT_SECONDS = 10.0  # an upload may meet two silent connections, and is answered in spite of it within 30 s
_SLOWEST_BYTES_PER_SECOND = 100_000  # a part of 8 MiB over a line of one megabit takes 84 s
_LONG_SECONDS = 120.0
# The store puts parts together, deletes a thousand or looks for them first. Opening has a limit of its own.
_LONG_OPERATIONS = frozenset(
    {
        "complete_multipart_upload",
        "copy_object",
        "delete_objects",
        "list_objects_v2",
        "list_multipart_uploads",
        "get_object",
    }
)

# No such object, a condition that does not hold, a range beyond the end: the store works.
_ANSWERS = frozenset({404, 409, 412, 416})

Operation = Callable[..., Awaitable[Any]]

_DESCRIPTIONS = create_loader()  # it keeps what it has read: two megabytes of JSON, a tenth of a second


class _Sessions(threading.local):
    """One session a thread: botocore lets threads share clients, but not the session that makes them."""

    def __init__(self) -> None:
        self.session: AioSession = get_session()
        self.session.register_component("data_loader", _DESCRIPTIONS)


_sessions = _Sessions()


def store_session() -> AioSession:
    """Return the session that makes clients. Kept: a new one would read botocore's descriptions for each client."""
    return _sessions.session


class _Session(AIOHTTPSession):
    """aiohttp reads 512 KiB ahead for every stream: a hundred megabytes for 200 clients that take nothing."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        session: Any = await super()._get_session(proxy_url)  # type: ignore[misc]
        session._read_bufsize = _READ_AHEAD_BYTES  # a parameter of its constructor that aiobotocore does not pass on
        return session


class ObservedCalls:
    """Stands before a client and passes its operations on, each counted and in a span of its own.

    OpenTelemetry's instrumentation of botocore does not reach aiobotocore. A call ends where its answer begins: how
    fast a body is read is the reader's affair.
    """

    def __init__(self, client: Any, instruments: Instruments) -> None:
        self._client = client
        self._metrics, self._tracing = instruments.metrics, instruments.tracing

    def __getattr__(self, name: str) -> Operation:
        """Return the observed operation, e.g. `put_object`; made once."""
        operation: Operation = getattr(self._client, name)

        async def observed(**given: Any) -> Any:
            attributes = {"rpc.system.name": "aws-api", "rpc.method": name, "aws.s3.bucket": str(given.get("Bucket"))}
            with self._metrics.store_call(name, _result), self._tracing.span(f"S3 {name}", "CLIENT", attributes):
                async with asyncio.timeout(_seconds(name, given.get("Body"))):
                    return await operation(**given)

        setattr(self, name, observed)
        return observed


def _result(error: BaseException) -> str:
    """Tell what the store answered, as it should, from a failure."""
    if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] in _ANSWERS:
        return "refused"
    return "error"


def _seconds(operation: str, body: object) -> float:
    """How long a call may take, from its first byte to the head of its answer, the library's second try included.

    The library's own limit begins when the body is sent. It waits for ever for a connection that fell silent before.
    """
    if operation in _LONG_OPERATIONS:
        return _LONG_SECONDS
    return _SHORT_SECONDS + (len(body) / _SLOWEST_BYTES_PER_SECOND if isinstance(body, bytes) else 0.0)


def make_client(settings: Settings, endpoint: str, attempts: int = 2) -> Any:
    """Make a client for an endpoint, to be entered; opens no connection.

    The library waits up to a second between two attempts, at random.
    """
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},  # MinIO and SeaweedFS have no wildcard host name
        # Newer SDKs send checksums always; R2 and older MinIO refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=settings.s3_max_connections,
        http_session_cls=_Session,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return store_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key,
        config=config,
    )
