"""The user gateway beside its floor: grpc.aio with the same query and message, and nothing else.

`python -m benchmarks.gateway` starts a PostgreSQL, the servers and one client, and measures them in turns, so that a
noisy machine is unfair to all alike. Beside calls a second stands the CPU time of the server's process for one call,
which neighbours do not lengthen. The client has a core of its own where there are two. `--before DIRECTORY` measures the
gateway of another checkout in the same turns.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import asyncpg
import grpc
import psutil
import uvloop

import labeler_ops.stack
from benchmarks.figures import Figures, add_write, show
from benchmarks.pairs import load_now
from labeler_ops.database.roles import apply_roles
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc

USERS, BATCH = 1_000, 200
TOKEN = "token-of-the-benchmark"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
FLOOR, QUERY, GATEWAY, BEFORE = "floor", "query alone", "gateway", "gateway before"
_PASSWORD = "benchmark"
_START_SECONDS = 60
_WARM_SECONDS = 0.2
_CLIENTS = (1, 16, 64)
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Result:
    """One measurement: calls a second, latencies in milliseconds, and how many calls there were."""

    calls_per_second: float
    p50: float
    p95: float
    calls: int


@dataclass(frozen=True)
class Side:
    """A server that is measured: its stub and its process."""

    stub: Any
    process: psutil.Process


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
    return Result(len(milliseconds) / (perf_counter() - started), cuts[49], cuts[94], len(milliseconds))


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
async def started(*arguments: str, environment: Mapping[str, str], directory: Path | None = None) -> AsyncIterator[str]:
    """Start a server; yield the first line that it writes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env={**os.environ, **environment},
        cwd=directory,
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


@asynccontextmanager
async def sides(dsn: str, before: Path | None = None) -> AsyncIterator[Mapping[str, Side]]:
    """Start the servers, each with a client of its own; the floor is the first."""
    wanted: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
        FLOOR: (("benchmarks.bare_gateway",), {"USER_DB_URL": dsn}),
        QUERY: (("benchmarks.bare_gateway", "query"), {"USER_DB_URL": dsn}),
        GATEWAY: (("user_gateway",), gateway_environment(dsn)),
    }
    if before is not None:
        wanted[BEFORE] = ("user_gateway",), {**gateway_environment(dsn), "PYTHONPATH": str(before)}
    async with AsyncExitStack() as stack:
        found: dict[str, Side] = {}
        for name, (arguments, environment) in wanted.items():
            home = before if name == BEFORE else None
            line = json.loads(
                await stack.enter_async_context(started(*arguments, environment=environment, directory=home))
            )
            opened = await stack.enter_async_context(channel(line["port"]))
            stub: Any = pb_grpc.UserGatewayServiceStub(opened)  # type: ignore[no-untyped-call]
            found[name] = Side(stub, psutil.Process(line["pid"]))
        _pin([side.process for side in found.values()])
        yield found


def _pin(servers: list[psutil.Process]) -> None:
    """Give the client a core of its own, where there are two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:1])
        for server in servers:
            for thread in server.threads():
                os.sched_setaffinity(thread.id, cores[1:])


Measured = tuple[Result, float]
"""A measurement, and the microseconds of a core that the server took for a call."""

Results = Mapping[tuple[str, int, str], list[Measured]]
"""Measurements by call, clients and server."""


async def compare(found: Mapping[str, Side], *, seconds: float, rounds: int) -> Results:
    """Measure every call on every side in turns; return the results by call, clients and side."""
    one = pb.GetUserRequest(id=7, view=pb.USER_VIEW_FULL)
    many = pb.BatchGetUsersRequest(ids=range(1, BATCH + 1), view=pb.USER_VIEW_FULL)
    requests: Mapping[str, tuple[str, Any]] = {
        "GetUser": ("GetUser", one),
        f"BatchGetUsers({BATCH})": ("BatchGetUsers", many),
    }
    results: dict[tuple[str, int, str], list[Measured]] = {}
    for turn, (name, (method, request)), clients in itertools.product(range(rounds + 1), requests.items(), _CLIENTS):
        for side_name, side in found.items():
            # The first round warms connections, plans and caches.
            result = await _cost(
                getattr(side.stub, method), request, side.process, clients, seconds if turn else _WARM_SECONDS
            )
            if turn:
                results.setdefault((name, clients, side_name), []).append(result)
    return results


async def _cost(ask: Any, request: Any, process: psutil.Process, clients: int, seconds: float) -> Measured:
    before = _cpu_seconds(process)
    result = await measure(
        lambda: ask(request, timeout=10, metadata=METADATA, wait_for_ready=True), clients=clients, seconds=seconds
    )
    return result, (_cpu_seconds(process) - before) / result.calls * 1e6


def _cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a server so far, with that of its workers."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


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


_COLUMNS = ("call", "clients", "server", "calls/s", "of floor", "µs of a core", "of floor by CPU", "p50 ms", "p95 ms")


def figures_of(results: Results, notes: Sequence[str] = ()) -> Figures:
    """The medians of all rounds; the ratios are those of CPU time."""
    rows, ratios = [], {}
    for (name, clients, side), measured in results.items():
        rate, cost = _medians(measured)
        floor_rate, floor_cost = _medians(results[name, clients, FLOOR])
        p50, p95 = median(one.p50 for one, _ in measured), median(one.p95 for one, _ in measured)
        parts = (f"{rate / floor_rate:.2f}", f"{cost:,.0f}", f"{floor_cost / cost:.2f}")
        rows.append([name, str(clients), side, f"{rate:,.0f}", *parts, f"{p50:.2f}", f"{p95:.2f}"])
        if side == GATEWAY:
            ratios[f"{name}, {clients}"] = floor_cost / cost
    return Figures("gateway", "The gateway beside its floor", _COLUMNS, rows, notes, ratios)


def _medians(measured: list[Measured]) -> tuple[float, float]:
    return median(one.calls_per_second for one, _ in measured), median(cost for _, cost in measured)


async def run(*, seconds: float, rounds: int, before: Path | None = None) -> Results:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as home:
        async with cluster(Path(home)) as server:
            dsn = await make_users(server)
            async with sides(dsn, before) as found:
                return await compare(found, seconds=seconds, rounds=rounds)


def main() -> None:
    """Measure; print the medians of all rounds, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="turns; the table shows medians")
    parser.add_argument("--before", type=Path, help="another checkout, whose gateway is measured, too")
    add_write(parser)
    options = parser.parse_args()
    results = uvloop.run(run(seconds=options.seconds, rounds=options.rounds, before=options.before))
    how = f"grpc.aio's own client on a core of its own, {options.rounds} rounds of {options.seconds:g} s in turns, medians"
    show(figures_of(results, (f"{how}, {load_now()}",)), write=options.write)


if __name__ == "__main__":
    main()
