"""Requests a second and p95 of what the frontend calls most, beside bare Starlette + asyncpg handlers of the same bytes.

`python -m benchmarks.api` starts the embedded stack in a temporary home, fills a project (2 000 images, 5 000
annotations) and those of `benchmarks.statuses`, and measures both servers in turns, so that a noisy machine is unfair to both alike.
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
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.calls import VARIANTS, Ask, asks
from benchmarks.load import Request, Result, measure
from benchmarks.processes import Server
from benchmarks.statuses import status_asks
from labeler_ops.stack.ports import free_port

IMAGES, ANNOTATIONS, ROUNDS = 2000, 5000, 3
_START_SECONDS = 120
NOT_MODIFIED = 304


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
async def bare(dsn: str, cores: Iterable[int] = ()) -> AsyncIterator[Server]:
    """Start the bare server, on these cores alone where some are given."""
    port = free_port()
    environment = {**os.environ, "LABELER_DB_URL": dsn, "PORT": str(port)}
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


async def compare(
    ask: Ask, api: str, floor: str, headers: Mapping[str, str], connections: int, seconds: float
) -> list[str]:
    """Measure both in turns and return a row of the table."""
    asked = [
        Request(api + path, ask.method, ask.content(number), {**headers, **ask.headers}, ask.status)
        for number, path in enumerate(ask.paths)
    ]
    bare_asked = [Request(f"{floor}/{number}", ask.method, b"{}") for number in range(1, VARIANTS + 1)]
    if not ask.writes:
        bare_asked = [Request(floor)]
    ours: list[Result] = []
    floors: list[Result] = []
    for _ in range(ROUNDS):
        ours.append(await measure(asked, connections=connections, seconds=seconds))
        floors.append(await measure(bare_asked, connections=connections, seconds=seconds))
    rate, floor_rate = (median(result.requests_per_second for result in results) for results in (ours, floors))
    return [
        ask.name,
        str(connections),
        f"{rate:,.0f}",
        f"{median(result.p50_ms for result in ours):.1f}",
        f"{median(result.p95_ms for result in ours):.1f}",
        f"{max(result.slowest_ms for result in ours):.0f}",
        f"{floor_rate:,.0f}",
        f"{median(result.p95_ms for result in floors):.1f}",
        f"{rate / floor_rate:.2f}",
        str(sum(result.failures for result in ours + floors)),
    ]


async def keep_bodies(dsn: str, api: httpx.AsyncClient, calls: Sequence[Ask]) -> None:
    """Store what the API answers to each call, for the bare server to return."""
    database = await asyncpg.connect(dsn)
    await database.execute("CREATE TABLE benchmark_bodies (id int PRIMARY KEY, body bytea NOT NULL)")
    await database.execute("CREATE TABLE benchmark_writes (id int PRIMARY KEY, n bigint NOT NULL)")
    await database.execute("INSERT INTO benchmark_writes SELECT n, 0 FROM generate_series(1, $1::int) n", VARIANTS)
    for number, ask in enumerate(calls):
        headers = {"Accept-Encoding": "identity", **ask.headers}
        answer = await api.request(ask.method, ask.paths[0], content=ask.content(0), headers=headers)
        if answer.status_code != NOT_MODIFIED:
            answer.raise_for_status()
        await database.execute("INSERT INTO benchmark_bodies VALUES ($1, $2)", number, answer.content)
    await database.close()


async def main(connections: list[int], seconds: float, only: str) -> None:
    """Run the benchmark and print its table."""
    table = Table(title=f"API beside a bare handler with the same bytes; {ROUNDS} rounds in turns, medians")
    for column in ("call", "conn", "req/s", "p50 ms", "p95 ms", "max ms", "bare req/s", "bare p95", "ratio", "failed"):
        table.add_column(column, justify="left" if column == "call" else "right", no_wrap=True)
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home)) as ready:
            dsn = ready["databases"]["labeler"]
            async with httpx.AsyncClient(base_url=ready["api"], timeout=30) as api:
                headers = {"Authorization": f"Bearer {await token(ready, api)}"}
                api.headers.update(headers)
                dataset, project, annotation_ids = await fill(dsn, api)
                statuses = await status_asks(dsn, api)
                await keep_bodies(dsn, api, [*await asks(api, dataset, project, annotation_ids), *statuses])
                calls = [*await asks(api, dataset, project, annotation_ids), *statuses]
            async with bare(dsn) as floor:
                for number, ask in enumerate(calls):
                    for count in connections if only in ask.name else ():
                        url = f"{floor.url}/{number}"
                        table.add_row(*await compare(ask, ready["api"], url, headers, count, seconds))
    # Wide enough for the names of the calls where the output is a file.
    Console(width=120).print(table)


async def token(ready: Mapping[str, Any], api: httpx.AsyncClient) -> str:
    """Log in as the demo's owner."""
    account = next(account for account in ready["accounts"] if account["role"] == "owner")
    login = {"email": account["email"], "password": account["password"]}
    return str((await api.post("/api/v1/auth/login", json=login)).raise_for_status().json()["access_token"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    given = parser.parse_args()
    asyncio.run(main(given.connections, given.seconds, given.only))
