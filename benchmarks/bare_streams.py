"""The floor of streams: Starlette and aiobotocore that pass on an object, or return bytes from memory, and nothing else."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.bare_store import client

_CHUNK_BYTES = 64 * 1024
_KEY, _SMALL_KEY = os.environ.get("IMAGE_KEY", ""), os.environ.get("THUMBNAIL_KEY", "")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open a client, and read the small object into memory."""
    async with client() as store:
        app.state.client = store
        small = await store.get_object(Bucket=os.environ["S3_BUCKET_DATASETS"], Key=_SMALL_KEY)
        app.state.small = await small["Body"].read()
        yield


async def image(request: Request) -> Response:
    """Pass an object on as it comes."""
    store: Any = request.app.state.client
    answer = await store.get_object(Bucket=os.environ["S3_BUCKET_DATASETS"], Key=_KEY)
    headers = {"Content-Length": str(answer["ContentLength"])}
    return StreamingResponse(answer["Body"].iter_chunks(_CHUNK_BYTES), headers=headers, media_type="image/jpeg")


async def thumbnail(request: Request) -> Response:
    """Return bytes that are in memory."""
    return Response(request.app.state.small, media_type="image/jpeg")


async def health(_: Request) -> Response:
    """Say that it has begun."""
    return Response()


app = Starlette(
    routes=[Route("/image", image), Route("/thumbnail", thumbnail), Route("/health", health)], lifespan=lifespan
)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
