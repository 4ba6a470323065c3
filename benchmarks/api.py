"""What the calls cost that the frontend makes most, beside bare Starlette + asyncpg handlers of the same bytes.

`python -m benchmarks.api` starts the embedded stack in a temporary home, fills a project (2 000 images, 5 000
annotations), and measures an API process and the bare server in turns. `ratio` compares requests a second with a handler
that reads one row. `added` is the CPU time (in µs) that the API's process spends on a request above a bare handler that runs
the same statements (`benchmarks.same`): it is the same on a busy machine. `--statuses` adds those of `benchmarks.statuses`.
Last, each call is made over 256 connections, and the slowest answer is told: nobody should wait for a second.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx

from benchmarks.calls import VARIANTS, Ask, asks
from benchmarks.figures import Figures, add_write, show
from benchmarks.load import Request
from benchmarks.processes import Cores, Server, api_process, environment_of, quiet
from benchmarks.same import STATEMENTS, Place
from benchmarks.statuses import status_asks
from benchmarks.turns import Bench, Summary
from labeler_ops.stack.ports import free_port

IMAGES, ANNOTATIONS = 2000, 5000
_START_SECONDS = 120
OK, NOT_MODIFIED = 200, 304
CROWD = 256  # connections; many people at once, or a few who ask for much
CROWD_MS = 1000.0  # the longest that one of them may wait for an answer
HELD = {f"nobody waits for {CROWD_MS / 1000:g} s, {CROWD}": 1.0}
"""What holds whatever was measured before."""


@asynccontextmanager
async def stack(home: Path, *options: str) -> AsyncIterator[dict[str, Any]]:
    """Start `labeler up` with some options and yield what its ready file says."""
    ready = home / "ready.json"
    environment = {**os.environ, "API_PORT": "0", "USER_GATEWAY_PORT": "0"}
    command = [sys.executable, "-m", "labeler_ops.cli", "up", "--ephemeral", "--ready-file", str(ready), *options]
    process = subprocess.Popen(command, env=environment, cwd=home, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the stack did not start; run `labeler up` to see why")
            await asyncio.sleep(0.1)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(60)


@asynccontextmanager
async def bare(dsn: str, cores: Iterable[int] = (), given: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
    """Start the bare server, on these cores alone where some are given, with these variables of the environment."""
    port = free_port()
    environment = {**os.environ, **(given or {}), "LABELER_DB_URL": dsn, "PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare"], env=environment)
    if cores:
        os.sched_setaffinity(process.pid, cores)
    try:
        async with httpx.AsyncClient() as client:
            for _ in range(100):
                try:
                    await client.get(f"http://127.0.0.1:{port}/0")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(30)


async def fill(dsn: str, api: httpx.AsyncClient) -> tuple[str, str, list[int]]:
    """Make a dataset over HTTP and fill it by SQL; return its id, the project's, and those of some annotations."""
    made = await api.post("/api/v1/datasets", json={"name": "Benchmark", "task_types": ["detection"]})
    dataset = made.raise_for_status().json()["id"]
    project = (await api.get(f"/api/v1/datasets/{dataset}/project")).raise_for_status().json()["id"]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256,"
            " content_type, thumbnail_key) SELECT $1::text, 'train/' || n, n || '.jpg', 'datasets/' || $1::text || '/images/train/' || n || '.jpg',"
            " 'train', 200000, 640, 480, md5(n::text) || md5(n::text), 'image/jpeg', 'datasets/' || $1::text || '/thumbnails/train/' || n || '.jpg'"
            " FROM generate_series(1, $2::int) n",
            dataset,
            IMAGES,
        )
        await connection.execute("UPDATE datasets SET num_images = $2 WHERE id = $1", dataset, IMAGES)
        geometry = json.dumps(
            {"type": "bbox", "bbox": [10.25, 20.5, 100.0, 50.75], "image_width": 640, "image_height": 480}
        )
        await connection.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, class_id, class_name, created_by)"
            " SELECT $1, 'train/' || (1 + n % $2::int), 'bbox', 'detection', $3::jsonb, 'c1', 'crack', 2 FROM generate_series(1, $4::int) n",
            project,
            IMAGES,
            geometry,
            ANNOTATIONS,
        )
        await connection.execute("ANALYZE")
        # One an image, so that connections do not wait for one image's lock.
        rows = await connection.fetch(
            "SELECT id FROM annotations WHERE project_id = $1 ORDER BY id LIMIT $2", project, VARIANTS
        )
    finally:
        await connection.close()
    return str(dataset), str(project), [row["id"] for row in rows]


@dataclass(frozen=True)
class Servers:
    """The API's process and the bare one."""

    api: Server
    bare: Server

    def asked(self, ask: Ask, number: int, headers: Mapping[str, str]) -> list[tuple[int, list[Request]]]:
        """What is sent: to the API, to the bare handler of one row, and to that of the same statements, if there is one."""
        ours = [
            Request(self.api.url + path, ask.method, ask.content(variant), {**headers, **ask.headers}, ask.status)
            for variant, path in enumerate(ask.paths)
        ]
        rows = [f"{self.bare.url}/{number}/{row}" if ask.writes else f"{self.bare.url}/{number}" for row in _rows(ask)]
        same = [f"{self.bare.url}/same/{number}/{row}/{quote(ask.name)}" for row in _rows(ask)]
        # Where the load looks at each answer of ours, it does so of theirs: it takes time.
        status = None if ask.status is None else OK
        found = [
            (self.api.pid, ours),
            (self.bare.pid, [Request(url, ask.method, b"{}", status=status) for url in rows]),
        ]
        if ask.name in STATEMENTS:
            found.append((self.bare.pid, [Request(url, ask.method, b"{}", status=status) for url in same]))
        return found


def _rows(ask: Ask) -> range:
    return range(1, VARIANTS + 1) if ask.writes else range(1, 2)


COLUMNS = (
    *("call", "conn", "a second", "p95 ms", "max ms", "bare", "ratio", "CPU µs", "bare", "same", "added"),
    *("PostgreSQL", "bare", "failed"),
)


@dataclass(frozen=True)
class Measured:
    """A call, a bare handler that reads one row, and one that runs the statements of the call."""

    name: str
    connections: int
    ours: Summary
    floor: Summary
    same: Summary | None

    def cells(self) -> list[str]:
        """A row of the table."""
        ours, floor, same = self.ours, self.floor, self.same
        return [
            *(self.name, str(self.connections), f"{ours.rate:,.0f}", f"{ours.p95:.1f}", f"{ours.slowest:.0f}"),
            *(f"{floor.rate:,.0f}", f"{ours.rate / floor.rate:.2f}" if floor.rate else "–"),
            *(f"{one.server_ms * 1000:.0f}" if one else "–" for one in (ours, floor, same)),
            f"{(ours.server_ms - same.server_ms) * 1000:.0f}" if same else "–",
            *(f"{one.postgres_ms * 1000:.0f}" for one in (ours, floor)),
            str(sum(one.failures for one in (ours, floor, same) if one)),
        ]

    @property
    def by_cpu(self) -> float:
        """The CPU time of the handler that runs the same statements, in parts of ours."""
        return (self.same or self.floor).server_ms / self.ours.server_ms


async def keep_bodies(dsn: str, api: httpx.AsyncClient, calls: Sequence[Ask]) -> None:
    """Store what the API answers to each call, for the bare server to return."""
    database = await asyncpg.connect(dsn)
    await make_tables(database, VARIANTS)
    for number, ask in enumerate(calls):
        headers = {"Accept-Encoding": "identity", **ask.headers}
        answer = await api.request(ask.method, ask.paths[0], content=ask.content(0), headers=headers)
        if answer.status_code != NOT_MODIFIED:
            answer.raise_for_status()
        await database.execute("INSERT INTO benchmark_bodies VALUES ($1, $2)", number, answer.content)
    await database.close()


async def make_tables(database: asyncpg.Connection, rows: int) -> None:
    """Make the tables of the bare handlers anew."""
    await database.execute("DROP TABLE IF EXISTS benchmark_bodies, benchmark_writes")
    await database.execute("CREATE TABLE benchmark_bodies (id int PRIMARY KEY, body bytea NOT NULL)")
    await database.execute("CREATE TABLE benchmark_writes (id int PRIMARY KEY, n bigint NOT NULL)")
    await database.execute("INSERT INTO benchmark_writes SELECT n, 0 FROM generate_series(1, $1::int) n", rows)


@dataclass(frozen=True)
class Calls:
    """The calls by their numbers, with servers that are ready for them."""

    bench: Bench
    servers: Servers
    asks: Mapping[int, Ask]
    headers: Mapping[str, str]

    async def compared(self, connections: Sequence[int]) -> list[Measured]:
        """Measure each beside the bare handlers."""
        return [await self._compared(number, ask, count) for number, ask in self.asks.items() for count in connections]

    async def _compared(self, number: int, ask: Ask, connections: int) -> Measured:
        asked = self.servers.asked(ask, number, self.headers)
        ours, floor, *same = await self.bench.in_turns([(pid, requests, connections) for pid, requests in asked])
        found = Measured(ask.name, connections, ours, floor, same[0] if same else None)
        print(*found.cells(), sep=" | ", flush=True)  # noqa: T201 - it takes minutes
        return found

    async def crowded(self) -> "Crowded":
        """Make each over many connections at once.

        Each crowd comes when the one before has been answered. Who measures hangs up in the middle of a request, and
        the person for whom all ask may have no more calls under way than these.
        """
        bench = replace(self.bench, rounds=1)
        found = {}
        for number, ask in self.asks.items():
            present = await self._with_present_tag(ask)
            (pid, ours), *_ = self.servers.asked(present, number, self.headers)
            (found[ask.name],) = await bench.in_turns([(pid, ours, CROWD)], partial(quiet, self.servers.api))
        return Crowded({name: one.slowest for name, one in found.items()}, sum(one.failures for one in found.values()))

    async def _with_present_tag(self, ask: Ask) -> Ask:
        """Give a call that knows its page the present tag: the writes that were measured made the first one old."""
        if "If-None-Match" not in ask.headers:
            return ask
        async with httpx.AsyncClient(base_url=self.servers.api.url, headers=self.headers, timeout=30) as client:
            tag = (await client.get(ask.paths[0])).raise_for_status().headers["ETag"]
        return replace(ask, headers={**ask.headers, "If-None-Match": tag})


@dataclass(frozen=True)
class Crowded:
    """The slowest answer of each call in ms, over many connections at once."""

    slowest: Mapping[str, float]
    failures: int

    @property
    def ratios(self) -> dict[str, float]:
        """1 where nobody waited for too long, else 0: what HELD says."""
        held = max(self.slowest.values()) <= CROWD_MS and not self.failures
        return dict.fromkeys(HELD, float(held))

    def said(self) -> str:
        """Say it in a sentence."""
        name, slowest = max(self.slowest.items(), key=lambda item: item[1])
        each = ", ".join(f"{call} {ms:.0f}" for call, ms in self.slowest.items())
        failed = f"; {self.failures} failed" if self.failures else ""
        return (
            f"The slowest answer over {CROWD} connections took {slowest:.0f} ms ({name}); of each call: {each}{failed}"
        )


@asynccontextmanager
async def prepared(
    ready: Mapping[str, Any], bench: Bench, only: Sequence[str], *, with_statuses: bool = False
) -> AsyncIterator[Calls]:
    """Start servers beside a running stack, for the calls whose names contain one of `only`."""
    dsn, environment = ready["databases"]["labeler"], environment_of(ready["pids"]["api"])
    async with AsyncExitStack() as exits:
        server = await exits.enter_async_context(api_process(environment, cores=bench.cores.servers))
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as api:
            headers = {"Authorization": f"Bearer {await token(ready, api)}"}
            api.headers.update(headers)
            dataset, project, annotation_ids = await fill(dsn, api)
            statuses = await status_asks(dsn, api) if with_statuses else []
            await keep_bodies(dsn, api, [*await asks(api, dataset, project, annotation_ids), *statuses])
            calls = [*await asks(api, dataset, project, annotation_ids), *statuses]
            place = Place(dataset, project, (await api.get("/api/v1/auth/me")).json()["id"])
        servers = Servers(server, await exits.enter_async_context(bare(dsn, bench.cores.servers, place.environment)))
        wanted = {number: ask for number, ask in enumerate(calls) if any(name in ask.name for name in only)}
        yield Calls(bench, servers, wanted, headers)


def ratios(found: Sequence[Measured]) -> dict[str, float]:
    """What is drawn and what a later run is held to."""
    return {f"{one.name}, {one.connections}": one.by_cpu for one in found}


async def main(given: Any) -> None:
    """Run the benchmark and print its table."""
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home)) as ready:
            bench = Bench(ready["pids"]["postgres"], Cores.present(), given.seconds, given.rounds)
            async with prepared(ready, bench, given.only, with_statuses=given.statuses) as calls:
                found, crowded = await calls.compared(given.connections), await calls.crowded()
    figures = Figures(
        "reads",
        "Calls beside bare handlers with the same statements",
        COLUMNS,
        [one.cells() for one in found],
        [bench.how, crowded.said()],
        ratios(found),
    )
    show(figures, write=given.write)


async def token(ready: Mapping[str, Any], api: httpx.AsyncClient) -> str:
    """Log in as the demo's owner."""
    account = next(account for account in ready["accounts"] if account["role"] == "owner")
    login = {"email": account["email"], "password": account["password"]}
    return str((await api.post("/api/v1/auth/login", json=login)).raise_for_status().json()["access_token"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], help="calls whose name contains one of these")
    parser.add_argument("--statuses", action="store_true", help="long lists of statuses as well")
    add_write(parser)
    asyncio.run(main(parser.parse_args()))
