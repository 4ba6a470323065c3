"""The floor: bare Starlette handlers that read, or update and commit, one row with asyncpg and return the bytes in it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open a pool of the API's size."""
    async with asyncpg.create_pool(os.environ["LABELER_DB_URL"], min_size=5, max_size=15) as pool:
        app.state.pool = pool
        yield


async def body(request: Request) -> Response:
    """Return a stored body."""
    pool: Any = request.app.state.pool
    stored = await pool.fetchval("SELECT body FROM benchmark_bodies WHERE id = $1", request.path_params["id"])
    return Response(stored, media_type="application/json")


async def write(request: Request) -> Response:
    """Change a row of its own for each connection and return the stored body."""
    await request.body()
    pool: Any = request.app.state.pool
    row = request.path_params["id"], request.path_params["row"]
    await pool.execute("UPDATE benchmark_writes SET n = n + 1 WHERE id = $1", row[1])
    stored = await pool.fetchval("SELECT body FROM benchmark_bodies WHERE id = $1", row[0])
    return Response(stored, media_type="application/json")


app = Starlette(
    routes=[Route("/{id:int}", body), Route("/{id:int}/{row:int}", write, methods=["POST", "PUT"])], lifespan=lifespan
)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
