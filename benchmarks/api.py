"""Requests a second and p95 of the API's main reads, beside a bare Starlette + asyncpg handler that returns the same bytes.

`python -m benchmarks.api` starts the embedded stack in a temporary home, fills a project (2 000 images, 5 000
annotations) and measures both servers in turns, so that a noisy machine is unfair to both alike.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.load import Result, measure
from labeler_ops.stack.ports import free_port

IMAGES, ANNOTATIONS, ROUNDS = 2000, 5000, 3
_START_SECONDS = 120


@asynccontextmanager
async def stack(home: Path) -> AsyncIterator[dict[str, Any]]:
    """Start `labeler up` and yield what its ready file says."""
    ready = home / "ready.json"
    environment = {**os.environ, "API_PORT": "0", "USER_GATEWAY_PORT": "0"}
    command = [sys.executable, "-m", "labeler_ops.cli", "up", "--ephemeral", "--ready-file", str(ready)]
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
async def bare(dsn: str) -> AsyncIterator[str]:
    """Start the bare server."""
    port = free_port()
    environment = {**os.environ, "LABELER_DB_URL": dsn, "PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare"], env=environment)
    try:
        async with httpx.AsyncClient() as client:
            for _ in range(100):
                try:
                    await client.get(f"http://127.0.0.1:{port}/0")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


async def fill(dsn: str, api: httpx.AsyncClient) -> str:
    """Make a dataset over HTTP and fill it by SQL; return the project's id."""
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
    finally:
        await connection.close()
    return str(project)


async def compare(
    name: str, url: str, floor: str, headers: dict[str, str], connections: int, seconds: float
) -> list[str]:
    """Measure both in turns and return a row of the table."""
    ours: list[Result] = []
    floors: list[Result] = []
    for _ in range(ROUNDS):
        ours.append(await measure(url, connections=connections, seconds=seconds, headers=headers))
        floors.append(await measure(floor, connections=connections, seconds=seconds))
    rate, floor_rate = (median(result.requests_per_second for result in results) for results in (ours, floors))
    failures = sum(result.failures for result in ours + floors)
    return [
        name,
        str(connections),
        f"{rate:,.0f}",
        f"{median(result.p50_ms for result in ours):.1f}",
        f"{median(result.p95_ms for result in ours):.1f}",
        f"{floor_rate:,.0f}",
        f"{rate / floor_rate:.2f}",
        str(failures),
    ]


async def main(connections: list[int], seconds: float) -> None:
    """Run the benchmark and print its table."""
    table = Table(title=f"API beside a bare handler with the same bytes; {ROUNDS} rounds in turns, medians")
    for column in ("call", "conn", "req/s", "p50 ms", "p95 ms", "bare req/s", "ratio", "not 2xx"):
        table.add_column(column, justify="left" if column == "call" else "right", no_wrap=True)
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home)) as ready:
            dsn = ready["databases"]["labeler"]
            account = next(account for account in ready["accounts"] if account["role"] == "owner")
            async with httpx.AsyncClient(base_url=ready["api"], timeout=30) as api:
                login = {"email": account["email"], "password": account["password"]}
                token = (await api.post("/api/v1/auth/login", json=login)).raise_for_status().json()["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                api.headers.update(headers)
                project = await fill(dsn, api)
                calls = {
                    "GET /auth/me": "/api/v1/auth/me",
                    "GET /datasets": "/api/v1/datasets",
                    "GET /projects/{id}/images (50)": f"/api/v1/projects/{project}/images?limit=50&offset=0",
                    "GET /annotations/project/{id} (one image)": f"/api/v1/annotations/project/{project}?image_id=train/7",
                    "GET /annotations/project/{id} (1 000)": f"/api/v1/annotations/project/{project}?limit=1000",
                    "GET /image-locks/{id}": f"/api/v1/image-locks/{project}",
                }
                database = await asyncpg.connect(dsn)
                await database.execute("CREATE TABLE benchmark_bodies (id int PRIMARY KEY, body bytea NOT NULL)")
                for number, path in enumerate(calls.values()):
                    answer = (await api.get(path, headers={"Accept-Encoding": "identity"})).raise_for_status()
                    await database.execute("INSERT INTO benchmark_bodies VALUES ($1, $2)", number, answer.content)
                await database.close()
            async with bare(dsn) as floor:
                for count in connections:
                    for number, (name, path) in enumerate(calls.items()):
                        url = ready["api"] + path
                        table.add_row(*await compare(name, url, f"{floor}/{number}", headers, count, seconds))
    # Wide enough for the names of the calls where the output is a file.
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[8])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    given = parser.parse_args()
    asyncio.run(main(given.connections, given.seconds))
