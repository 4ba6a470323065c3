"""The floors: bare Starlette handlers on a pool of asyncpg.

They read, or update and commit, one row and return the bytes in it. Or they run the statements of a call of the API
(`benchmarks.same`) and return the bytes that the API answered.
"""

import gc
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

_BODY = "SELECT body FROM benchmark_bodies WHERE id = $1"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open a pool of the API's size, and load the API's statements where they are asked for."""
    if "BENCHMARK_PLACE" in os.environ:
        from benchmarks.same import given

        app.state.statements = given()
    gc.freeze()  # as the API does with what it has imported
    async with asyncpg.create_pool(os.environ["LABELER_DB_URL"], min_size=5, max_size=15) as pool:
        app.state.pool = pool
        app.state.bodies = {}
        yield


async def body(request: Request) -> Response:
    """Return a stored body."""
    pool: Any = request.app.state.pool
    stored = await pool.fetchval(_BODY, request.path_params["id"])
    return Response(stored, media_type="application/json")


async def write(request: Request) -> Response:
    """Change a row of its own for each connection and return the stored body."""
    await request.body()
    pool: Any = request.app.state.pool
    row = request.path_params["id"], request.path_params["row"]
    await pool.execute("UPDATE benchmark_writes SET n = n + 1 WHERE id = $1", row[1])
    stored = await pool.fetchval(_BODY, row[0])
    return Response(stored, media_type="application/json")


async def same(request: Request) -> Response:
    """Run the statements of a call and return the stored body, which is read once."""
    await request.body()
    pool: Any = request.app.state.pool
    bodies: dict[int, bytes] = request.app.state.bodies
    number, name = request.path_params["id"], request.path_params["name"]
    if number not in bodies:
        bodies[number] = await pool.fetchval(_BODY, number)
    if name != "me":  # which asks the database nothing
        async with pool.acquire() as connection:
            await request.app.state.statements.run(name, connection, request.path_params["row"])
    return Response(bodies[number], media_type="application/json")


app = Starlette(
    routes=[
        Route("/{id:int}", body),
        Route("/{id:int}/{row:int}", write, methods=["POST", "PUT"]),
        Route("/same/{id:int}/{row:int}/{name}", same, methods=["GET", "POST"]),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
