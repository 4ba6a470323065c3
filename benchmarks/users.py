"""The user gateway in front of a million users: every call alone, and beside twenty people who search.

`python -m benchmarks.users` starts a PostgreSQL, fills it with generate_series, and measures without the indexes of
`labeler db roles users --indexes` and with them. Afterwards the cost of the gateway beside a bare grpc.aio server that
runs the same query, in turns with the same client.
"""

import argparse
import asyncio
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import asyncpg
import bcrypt
import grpc
import uvloop
from rich.console import Console
from rich.table import Table

import labeler_ops.stack
from benchmarks.figures import show
from benchmarks.gateway import METADATA, channel, cluster, compare, figures_of, gateway_environment, sides, started
from labeler_ops.database.indexes import apply_indexes
from labeler_ops.database.roles import apply_roles
from labeler_ops.stack.postgres import PostgresServer
from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc

_READER_PASSWORD = "benchmark"
_PASSWORD = "the password of everybody"
_SEARCHING = 20
_LOG_INS = 32
_FULL = pb.USER_VIEW_FULL
_SEARCHED = ("an", "anna", "lee", ".e", "777")

# 40 first names and 50 last names, so that `anna` finds a fortieth of all; addresses have the number of their user.
_FILL = """
INSERT INTO users (email, hashed_password, full_name, company, badge_color)
SELECT lower(first || '.' || last) || n || '@example.com', $2, initcap(first || ' ' || last), 'Example', 'blue'
FROM generate_series(1, $1::int) AS n,
     LATERAL (SELECT CASE WHEN n % 40 = 0 THEN 'anna' ELSE left(md5((n % 40)::text), 6) END AS first,
                     CASE WHEN n % 50 = 0 THEN 'lee' ELSE left(md5((n % 50 + 100)::text), 7) END AS last) AS names
"""

Call = Callable[[], Awaitable[object]]


async def fill(server: PostgresServer, users: int) -> str:
    """Make the User DB; return its URL for the read-only role."""
    schema = Path(labeler_ops.stack.__file__).parent / "sql" / "users.sql"
    connection = await asyncpg.connect(server.dsn("postgres"))
    await connection.execute(schema.read_text())
    await connection.execute(_FILL, users, bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(10)).decode())
    await connection.execute("VACUUM ANALYZE users")
    await connection.close()
    await apply_roles(server.dsn("postgres"), "users", password=_READER_PASSWORD)
    return server.dsn("postgres", "user_readonly", _READER_PASSWORD)


@asynccontextmanager
async def gateway(dsn: str, **variables: str) -> AsyncIterator[tuple[Any, float]]:
    """Start the gateway; yield its stub, and the seconds until it served."""
    began = perf_counter()
    environment = {**gateway_environment(dsn), "USER_GATEWAY_HASH_SLOTS": str(_LOG_INS), "LOG_LEVEL": "WARNING"}
    environment["USER_GATEWAY_TOKENS"] += "+credentials.verify"
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(started("user_gateway", environment=environment | variables))
        opened = await stack.enter_async_context(channel(json.loads(line)["port"]))
        stub: Any = pb_grpc.UserGatewayServiceStub(opened)  # type: ignore[no-untyped-call]
        while True:
            try:
                await stub.GetServiceInfo(pb.GetServiceInfoRequest(), timeout=10, metadata=METADATA)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)
        yield stub, perf_counter() - began


def calls(stub: Any, users: int, token: str) -> Mapping[str, Call]:
    """What is measured, by name."""
    numbers = itertools.count(7)

    def ask(method: str, request: Any) -> Awaitable[object]:
        return getattr(stub, method)(request, timeout=10, metadata=METADATA)  # type: ignore[no-any-return]

    def some_id() -> int:
        return next(numbers) * 7919 % users + 1

    def batch(size: int) -> Call:
        return lambda: ask("BatchGetUsers", pb.BatchGetUsersRequest(ids=[some_id() for _ in range(size)], view=_FULL))

    def search(query: str, **fields: Any) -> Call:
        return lambda: ask("SearchUsers", pb.SearchUsersRequest(query=query, view=_FULL, page_size=10, **fields))

    def by_email(*, stored: bool) -> Call:
        def call() -> Awaitable[object]:
            address = f"anna.lee{(some_id() // 200 or 1) * 200}@example.com"
            return ask("GetUser", pb.GetUserRequest(email=address if stored else address.upper(), view=_FULL))

        return call

    return {
        "GetUser by id": lambda: ask("GetUser", pb.GetUserRequest(id=some_id(), view=_FULL)),
        "GetUser by address": by_email(stored=True),
        "GetUser by address, other letters": by_email(stored=False),
        "BatchGetUsers 200": batch(200),
        "BatchGetUsers 500": batch(500),
        "search: two letters": search("an"),
        "search: frequent": search("anna"),
        "search: rare": search(f"{users - 200}"),
        "search: deep token": search("anna", page_token=token),
        "search: deep skip": search("anna", skip=min(20_000, users // 50)),
        "search: 10 000 excluded": search("anna", exclude_ids=range(1, min(users, 10_001))),
    }


async def deep_token(stub: Any) -> str:
    """The token behind a thousand users of `anna`."""
    token = ""
    for _ in range(5):
        request = pb.SearchUsersRequest(query="anna", view=_FULL, page_size=200, page_token=token)
        token = (await stub.SearchUsers(request, timeout=10, metadata=METADATA)).next_page_token or token
    # A token belongs to its query and view, not to the size of the page.
    return token


async def timed(call: Call, seconds: float) -> tuple[list[float], Counter[str]]:
    """Call again and again; return the milliseconds of each that was answered, and the others by code."""
    milliseconds: list[float] = []
    failed: Counter[str] = Counter()
    until = perf_counter() + seconds
    while (before := perf_counter()) < until or len(milliseconds) + failed.total() < 2:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            failed[error.code().name] += 1
            await asyncio.sleep(0.05)
        else:
            milliseconds.append((perf_counter() - before) * 1000)
    return milliseconds, failed


@asynccontextmanager
async def people_searching(stub: Any) -> AsyncIterator[Counter[str]]:
    """Twenty people who search all the time while the block runs; their answers by code."""
    answers: Counter[str] = Counter()

    async def search(number: int) -> None:
        for query in itertools.islice(itertools.cycle(_SEARCHED), number, None):
            request = pb.SearchUsersRequest(query=query, view=_FULL, page_size=10)
            try:
                await stub.SearchUsers(request, timeout=10, metadata=METADATA)
                answers["OK"] += 1
            except grpc.aio.AioRpcError as error:
                answers[error.code().name] += 1

    tasks = [asyncio.create_task(search(number)) for number in range(_SEARCHING)]
    await asyncio.sleep(0.5)
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def log_ins(stub: Any) -> float:
    """Thirty-two log-ins at once; the seconds until the last."""
    began = perf_counter()
    await asyncio.gather(
        *(
            stub.VerifyCredentials(
                pb.VerifyCredentialsRequest(email=f"anna.lee{200 * number}@example.com", password=_PASSWORD),
                timeout=60,
                metadata=METADATA,
            )
            for number in range(1, _LOG_INS + 1)
        )
    )
    return perf_counter() - began


async def whole(dsn: str, users: int, seconds: float, console: Console, title: str) -> None:
    """Measure every call, alone and beside those who search."""
    async with gateway(dsn) as (stub, start):
        console.print(f"\n{title}: served {start:.2f} s after the start of the process")
        named = calls(stub, users, await deep_token(stub))
        table = Table("call", "alone p50", "p99", "failed", f"beside {_SEARCHING} searches p50", "p99", "failed")
        for name, call in named.items():
            await timed(call, 0.2)
            alone, failed = await timed(call, seconds)
            async with people_searching(stub):
                beside, failed_beside = await timed(call, seconds)
            table.add_row(name, *_shown(alone), _codes(failed), *_shown(beside), _codes(failed_beside))
        alone_seconds = await log_ins(stub)
        async with people_searching(stub) as answers:
            beside_seconds = await log_ins(stub)
        console.print(table)
        console.print(
            f"{_LOG_INS} log-ins at once: {alone_seconds:.2f} s, beside searches {beside_seconds:.2f} s. "
            f"Searches meanwhile: {dict(answers)}"
        )


def _shown(milliseconds: list[float]) -> tuple[str, str]:
    if len(milliseconds) < 2:
        return "-", "-"
    return f"{median(milliseconds):.1f}", f"{quantiles(milliseconds, n=100)[98]:.1f}"


def _codes(failed: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in failed.items()) or "0"


async def run(users: int, seconds: float, rounds: int, console: Console) -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as home:
        async with cluster(Path(home)) as server:
            began = perf_counter()
            dsn = await fill(server, users)
            console.print(f"{users:,} users in {perf_counter() - began:.0f} s")
            await whole(dsn, users, seconds, console, "without further indexes")
            began = perf_counter()
            await apply_indexes(server.dsn("postgres"))
            console.print(f"indexes in {perf_counter() - began:.0f} s")
            await whole(dsn, users, seconds, console, "with the indexes")
            async with sides(dsn) as found:
                show(figures_of(await compare(found, seconds=seconds, rounds=rounds)), write=False)


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, help="20000 for a quick look")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    uvloop.run(run(arguments.users, arguments.seconds, arguments.rounds, Console(width=140)))


if __name__ == "__main__":
    main()
