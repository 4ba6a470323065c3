"""The client with which the floors of streams and uploads reach the object store."""

import os
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session


def client() -> AbstractAsyncContextManager[Any]:
    """Make a client by the variables of the API, to be entered."""
    return get_session().create_client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        region_name=os.environ.get("S3_REGION", "us-east-1"),
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        config=AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            max_pool_connections=256,
            request_checksum_calculation="when_required",
        ),
    )
