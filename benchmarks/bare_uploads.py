"""The floor of uploads: decode a photograph, make its thumbnail, put both as objects, and nothing else.

As many processes decode as there are cores. `POST /{number}` does that for so many photographs and says how long it
took; nothing is received, hashed, checked or noted. `PHOTOGRAPH` is the file that is read each time.
"""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.bare_store import client
from labeler_api.images import thumbnail_format

_FILE = Path(os.environ.get("PHOTOGRAPH", ""))
_CORES = len(os.sched_getaffinity(0))
_AHEAD = 2  # pictures whose objects travel while others are decoded
_numbers = count()


def small(path: Path) -> bytes:
    """Make the thumbnail: decoded at the smallest scale that will do, as we do."""
    side = (thumbnail_format.SIDE_PIXELS, thumbnail_format.SIDE_PIXELS)
    with Image.open(path) as image:
        image.thumbnail(side, Image.Resampling.LANCZOS, reducing_gap=2.0)
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=thumbnail_format.JPEG_QUALITY, optimize=True)
    return out.getvalue()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open a client, and start the processes."""
    with ProcessPoolExecutor(_CORES, mp_context=get_context("spawn")) as processes:
        async with client() as store:
            app.state.client, app.state.processes = store, processes
            yield


async def store(request: Request) -> Response:
    """Store so many photographs."""
    left = iter(range(request.path_params["number"]))
    await asyncio.gather(*(_store(request.app.state, left) for _ in range(_CORES + _AHEAD)))
    return Response()


async def _store(state: Any, left: Any) -> None:
    loop, bucket = asyncio.get_running_loop(), os.environ["S3_BUCKET_DATASETS"]
    for _ in left:
        thumbnail = await loop.run_in_executor(state.processes, small, _FILE)
        content = await asyncio.to_thread(_FILE.read_bytes)
        key = f"datasets/bare/{next(_numbers)}"
        for name, body in ((f"{key}.thumbnail.jpg", thumbnail), (f"{key}.jpg", content)):
            await state.client.put_object(Bucket=bucket, Key=name, Body=body, ContentType="image/jpeg")


async def health(_: Request) -> Response:
    """Say that it has begun."""
    return Response()


app = Starlette(routes=[Route("/{number:int}", store, methods=["POST"]), Route("/health", health)], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
