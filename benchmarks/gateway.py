"""GetUser calls a second of the user gateway, beside a bare grpc.aio server that returns the same bytes.

`python -m benchmarks.gateway` starts a PostgreSQL, the gateway and the bare server, and measures both in turns with the
same client, so that a noisy machine is unfair to both alike.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import asyncpg
import grpc
import uvloop
from rich.console import Console
from rich.table import Table

import labeler_ops.stack
from benchmarks.echo import METHOD
from labeler_ops.database.roles import apply_roles
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc

USERS, BATCH = 1_000, 200
TOKEN = "token-of-the-benchmark"
_PASSWORD = "benchmark"
_START_SECONDS = 60
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Result:
    """One measurement: calls a second, and latencies in milliseconds."""

    calls_per_second: float
    p50: float
    p95: float


async def measure(call: Call, *, clients: int, seconds: float) -> Result:
    """Call again and again from so many clients, each waiting for its answer."""
    milliseconds: list[float] = []
    started = perf_counter()

    async def ask() -> None:
        while (before := perf_counter()) - started < seconds:
            await call()
            milliseconds.append((perf_counter() - before) * 1000)

    await asyncio.gather(*(ask() for _ in range(clients)))
    cuts = quantiles(milliseconds, n=100)
    return Result(len(milliseconds) / (perf_counter() - started), cuts[49], cuts[94])


@asynccontextmanager
async def cluster(home: Path) -> AsyncIterator[PostgresServer]:
    """Start a PostgreSQL with an empty database `postgres`."""
    server = PostgresServer(find_install(os.environ), home / "data", free_port(), durable=False)
    await server.initialise()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def make_users(server: PostgresServer) -> str:
    """Make a User DB of so many users; return its URL for the read-only role."""
    connection = await asyncpg.connect(server.dsn("postgres"))
    schema = Path(labeler_ops.stack.__file__).parent / "sql" / "users.sql"
    await connection.execute(schema.read_text())
    await connection.execute(
        "INSERT INTO users (email, hashed_password, full_name, company, badge_color) "
        "SELECT 'user' || n || '@example.com', '', 'User ' || n, 'Example', 'blue' FROM generate_series(1, $1) AS n",
        USERS,
    )
    await connection.execute("ANALYZE users")
    await connection.close()
    await apply_roles(server.dsn("postgres"), "users", password=_PASSWORD)
    return server.dsn("postgres", "user_readonly", _PASSWORD)


@asynccontextmanager
async def started(*arguments: str, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """Start a server; yield the first line that it writes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("standard output is a pipe")
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line:
            raise SystemExit(f"python -m {arguments[0]} did not start")
        yield line.decode()
    finally:
        process.terminate()
        await process.wait()


async def run(*, seconds: float, rounds: int) -> Mapping[tuple[str, int], list[Result]]:
    """Measure everything in turns; return the results by what was called and by the number of clients."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = await make_users(await stack.enter_async_context(cluster(home)))
        line = await stack.enter_async_context(started("user_gateway", environment=gateway_environment(dsn)))
        opened = await stack.enter_async_context(channel(json.loads(line)["port"]))
        stub: Any = pb_grpc.UserGatewayServiceStub(opened)  # type: ignore[no-untyped-call]
        metadata = (("authorization", f"Bearer {TOKEN}"),)
        request = pb.GetUserRequest(id=7, view=pb.USER_VIEW_FULL)
        batch = pb.BatchGetUsersRequest(ids=range(1, BATCH + 1), view=pb.USER_VIEW_FULL)
        answer = await stub.GetUser(request, timeout=10, metadata=metadata, wait_for_ready=True)
        echo = await stack.enter_async_context(
            started("benchmarks.echo", answer.SerializeToString().hex(), environment={})
        )
        bare: Any = (await stack.enter_async_context(channel(int(echo)))).unary_unary(
            METHOD, pb.GetUserRequest.SerializeToString, pb.GetUserResponse.FromString
        )
        calls: Mapping[str, Call] = {
            "bare grpc.aio echo": lambda: bare(request, timeout=10, metadata=metadata),
            "GetUser": lambda: stub.GetUser(request, timeout=10, metadata=metadata),
            f"BatchGetUsers({BATCH})": lambda: stub.BatchGetUsers(batch, timeout=10, metadata=metadata),
        }
        for call in calls.values():
            await measure(call, clients=16, seconds=0.5)  # connections, plans and caches are warm from here on
        results: dict[tuple[str, int], list[Result]] = {}
        for _ in range(rounds):
            for clients in (1, 16):
                for name, call in calls.items():
                    results.setdefault((name, clients), []).append(
                        await measure(call, clients=clients, seconds=seconds)
                    )
        return results


def gateway_environment(dsn: str) -> Mapping[str, str]:
    """What the gateway is started with."""
    return {
        "ENVIRONMENT": "test",
        "LOG_LEVEL": "INFO",  # one line a call, as in production
        "USER_DB_URL": dsn,
        "USER_GATEWAY_HOST": "127.0.0.1",
        "USER_GATEWAY_PORT": "0",
        "USER_GATEWAY_TOKENS": f"benchmark={TOKEN}:users.read+users.read_private",
    }


def channel(port: int) -> grpc.aio.Channel:
    """Open a channel of its own to a port of this machine."""
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)


def _table(results: Mapping[tuple[str, int], list[Result]]) -> Table:
    table = Table("call", "clients", "calls/s", "of bare", "p50 ms", "p95 ms")
    for (name, clients), measured in results.items():
        rate = median(result.calls_per_second for result in measured)
        bare = median(result.calls_per_second for result in results["bare grpc.aio echo", clients])
        p50, p95 = median(result.p50 for result in measured), median(result.p95 for result in measured)
        table.add_row(name, str(clients), f"{rate:,.0f}", f"{rate / bare:.0%}", f"{p50:.2f}", f"{p95:.2f}")
    return table


def main() -> None:
    """Measure and print the medians of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="turns; the table shows medians")
    options = parser.parse_args()
    Console().print(_table(uvloop.run(run(seconds=options.seconds, rounds=options.rounds))))


if __name__ == "__main__":
    main()
