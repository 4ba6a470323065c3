"""The two buckets of the labeler, and what browsers may read from them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from labeler_api.object_store.bucket_ownership import PROBE_PREFIX
from labeler_api.object_store.client import store_session
from labeler_ops.storage.access import FRONTEND_ORIGINS, StorageAccess, StorageError

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CORSRuleTypeDef

__all__ = ["FRONTEND_ORIGINS", "PROBE_PREFIX", "StorageAccess", "StorageError", "connect", "prepare", "require_buckets"]

P = ParamSpec("P")

CORS_MAX_AGE_SECONDS = 3000  # how long a browser keeps the answer of a pre-flight
_RETRY_SECONDS = 0.1  # between two tries while the store is starting


@asynccontextmanager
async def connect(access: StorageAccess) -> AsyncIterator["S3Client"]:
    """Open a client as the API does: path style, checksums only where S3 requires them."""
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # Newer SDKs send checksums always; R2 and older MinIO refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=30,
        retries={"max_attempts": 1},
    )
    async with store_session().create_client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=config,
    ) as client:
        yield client


async def prepare(access: StorageAccess, *, origins: Sequence[str] = FRONTEND_ORIGINS, seconds: float = 30.0) -> None:
    """Make both buckets with their CORS rules and wait until a put and a get succeed in each.

    Safe to repeat. Raises StorageError when the store is not usable within `seconds`.
    """
    deadline = time.monotonic() + seconds
    async with connect(access) as client:
        for bucket in access.buckets:
            await _until(deadline, _ensure_bucket, client, bucket)
            await _until(deadline, _ensure_cors, client, bucket, origins)
            await _until(deadline, _probe, client, bucket)


async def require_buckets(access: StorageAccess) -> None:
    """Look for both buckets and change nothing. Raises StorageError, one line that says what to do."""
    async with connect(access) as client:
        for bucket in access.buckets:
            try:
                await client.head_bucket(Bucket=bucket)
            except ClientError as error:
                raise StorageError(_what_to_do(access.endpoint, bucket, _status(error))) from error
            except (BotoCoreError, HTTPClientError, OSError) as error:
                raise StorageError(f"{access.endpoint} cannot be reached: {_explain(error)}") from error


async def _until(deadline: float, action: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
    """Try until it succeeds: a store that is starting refuses, answers 5xx, or lacks room for a time."""
    while True:
        try:
            await action(*args, **kwargs)
        except (ClientError, BotoCoreError, HTTPClientError, OSError) as error:
            if not _may_pass(error):
                raise StorageError(_explain(error)) from error
            if time.monotonic() > deadline:
                raise StorageError(f"the object store does not take objects: {_explain(error)}") from error
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _ensure_bucket(client: "S3Client", bucket: str) -> None:
    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _status(error) != 404:  # noqa: PLR2004
            raise
        await _create(client, bucket)


async def _create(client: "S3Client", bucket: str) -> None:
    try:
        await client.create_bucket(Bucket=bucket)
    except ClientError as error:
        # Somebody else made it between the look and the making: that is what we wanted.
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise


async def _ensure_cors(client: "S3Client", bucket: str, origins: Sequence[str]) -> None:
    rule: CORSRuleTypeDef = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Length", "Content-Range"],
        "MaxAgeSeconds": CORS_MAX_AGE_SECONDS,
    }
    await client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})


async def _probe(client: "S3Client", bucket: str) -> None:
    key, content = PROBE_PREFIX + secrets.token_hex(8), b"probe"
    await client.put_object(Bucket=bucket, Key=key, Body=content)
    try:
        answer = await client.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            if await body.read() != content:
                raise StorageError(f"bucket '{bucket}' gave back other bytes than were put")
    finally:
        await client.delete_object(Bucket=bucket, Key=key)


def _what_to_do(endpoint: str, bucket: str, status: int) -> str:
    reasons = {
        404: f"bucket '{bucket}' does not exist: make it, or name another one",
        403: f"the access key may not use bucket '{bucket}': check the key, the secret and its rights",
    }
    return f"{endpoint}: {reasons.get(status, f'bucket {bucket!r} answers {status}')}"


def _status(error: Exception) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, ClientError) else 0


def _may_pass(error: Exception) -> bool:
    status = _status(error)
    return status == 0 or status >= 500 or _error_code(error) == "NoSuchBucket"  # noqa: PLR2004


def _error_code(error: Exception) -> str:
    """Give S3's code of an error, empty for one that is not S3's."""
    return error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""


def _explain(error: Exception) -> str:
    return " ".join(str(error).split())
