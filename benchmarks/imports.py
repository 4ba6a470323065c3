"""Annotations a second that an import writes, by the size of the file, and what a save on another image waits meanwhile.

`python -m benchmarks.imports` starts the embedded stack in a temporary home (its PostgreSQL does not wait for the disk). For each size
a new dataset gets a COCO file of boxes, ten an image at most. First nobody else works: "alone" is the whole call, the upload of a
picture included. Then the next file comes while one person saves on an image that it does not name, twenty times a second. Small
files are imported several times, alone until the calls took seconds, beside the saves until there are two hundred of these: a p95 of ten
saves is the slowest of them. With `--replace` the last file is imported once more in place of what it was, as an administrator does
from the store. "written" is the part of a call in which the images are kept from others, as the marks tell. The CPU columns are
microseconds an annotation of the API's process and of PostgreSQL's, those saves included: the same on a busy machine, while the
seconds are not. Both together say what one core manages that does one after the other, as an import does.

After each save a bare handler that updates a row and commits (`benchmarks.bare`) is called, by the same person: what a save would wait at
least for a core while an import has one of them. With two cores that is most of it.

What the slowest save waited for is told below the table: ten times in 100 ms the wait events of everybody but the import are noted.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.api import bare, stack, token
from benchmarks.processes import cpu_seconds

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_ON_AN_IMAGE = 10
_PAUSE_SECONDS = 0.05
_ALONE_SECONDS = 3.0
_SAVES = 200
_IMPORT_SECONDS = 900.0
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001488aa4710000000049454e44ae426082"
)
_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type,
        thumbnail_key)
    SELECT $1::text, 'train/' || n, n || '.jpg', 'datasets/' || $1::text || '/images/train/' || n || '.jpg', 'train', 200000, 640, 480,
        md5(n::text) || md5(n::text), 'image/jpeg', 'datasets/' || $1::text || '/thumbnails/train/' || n || '.jpg'
    FROM generate_series(0, $2::int) n
"""
_BARE = """
    CREATE TABLE benchmark_bodies (id int PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE benchmark_writes (id int PRIMARY KEY, n bigint NOT NULL);
    INSERT INTO benchmark_bodies VALUES (0, repeat('x', 600)::bytea);
    INSERT INTO benchmark_writes VALUES (1, 0)
"""
_MARKED = "SELECT EXISTS (SELECT FROM importing_images)"
# Statements that were under way for longer than a save takes, but for the import's and this one.
_WAITS = """
    SELECT COALESCE(a.wait_event_type || '/' || a.wait_event, 'CPU') AS event,
           left(regexp_replace(a.query, '\\s+', ' ', 'g'), 60) AS statement
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.state = 'active' AND a.pid <> pg_backend_pid()
      AND a.query_start < clock_timestamp() - interval '50 ms'
      AND NOT EXISTS (
          SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
          WHERE l.pid = a.pid AND c.relname = 'import_stage')
"""


@dataclass
class Saves:
    """What one person waited for saves on an image of their own, and for the bare handler, in milliseconds."""

    waits: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    refused: int = 0


@dataclass
class Seen:
    """What was seen in the database while an import was under way."""

    marks: list[float] = field(default_factory=list)  # the moments at which it had some
    waits: Counter[str] = field(default_factory=Counter)  # what other connections waited for, by their statements


def coco(number: int, images: int, first: int = 1) -> bytes:
    """A file of boxes, spread over so many images from `first` on: image 0 is not named."""
    named = range(first, first + images)
    listed = [{"id": n, "file_name": f"train/{n}.jpg", "width": 640, "height": 480} for n in named]
    boxes = [
        {"id": n, "image_id": first + n % images, "category_id": n % 5, "bbox": [n % 500, n // images, 30.5, 40.25]}
        for n in range(number)
    ]
    classes = [{"id": n, "name": f"class {n}"} for n in range(5)]
    return json.dumps({"images": listed, "annotations": boxes, "categories": classes}).encode()


async def made(api: httpx.AsyncClient, database: asyncpg.Connection, images: int) -> tuple[str, str]:
    """Make a dataset with its project and images; return both ids."""
    answer = await api.post("/api/v1/datasets", json={"name": f"Import {images}", "task_types": ["detection"]})
    dataset = answer.raise_for_status().json()["id"]
    project = (await api.get(f"/api/v1/datasets/{dataset}/project")).raise_for_status().json()["id"]
    await database.execute(_IMAGES, dataset, images)
    return dataset, project


async def save(stack: "Stack", project: str, saves: Saves) -> None:
    """Save once, call the bare handler once, and note how long each took."""
    body = {
        "project_id": project,
        "image_id": "train/0",
        "annotation_type": "bbox",
        "geometry": {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480},
        "class_id": "1",
        "class_name": "class 1",
    }
    started = perf_counter()
    answer = await stack.api.post("/api/v1/annotations", json=body)
    saves.waits.append((perf_counter() - started) * 1000)
    saves.refused += not answer.is_success
    await asyncio.sleep(_PAUSE_SECONDS / 2)
    started = perf_counter()
    (await stack.api.post(stack.bare, content=b"{}")).raise_for_status()
    saves.bare.append((perf_counter() - started) * 1000)
    await asyncio.sleep(_PAUSE_SECONDS / 2)


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[Seen]:
    """Watch the marks and the waits, a hundred times a second."""
    seen = Seen()
    database = await asyncpg.connect(dsn)

    async def watch() -> None:
        while True:
            if await database.fetchval(_MARKED):
                seen.marks.append(perf_counter())
            for row in await database.fetch(_WAITS):
                seen.waits[f"{row['event']}: {row['statement']}"] += 1
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


@dataclass(frozen=True, slots=True)
class Stack:
    """What the measurements talk to."""

    api: httpx.AsyncClient
    bare: str
    database: asyncpg.Connection
    dsn: str
    pids: Mapping[str, int]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the API's process and of PostgreSQL's."""
        return cpu_seconds(self.pids["api"], children=False), cpu_seconds(self.pids["postgres"])


@dataclass
class Imports:
    """Calls of one size beside saves, added up. Seconds, and CPU seconds of the API's process and of PostgreSQL's."""

    calls: int = 0
    seconds: float = 0.0
    written: float = 0.0
    api: float = 0.0
    server: float = 0.0
    saves: Saves = field(default_factory=Saves)
    waits: Counter[str] = field(default_factory=Counter)


async def beside(stack: Stack, project: str, number: int, ask: Awaitable[httpx.Response], seen: Imports) -> None:
    """Wait for an import of so many annotations beside saves; add what was seen."""
    async with watched(stack.dsn) as watching:
        before, started = stack.cpu(), perf_counter()
        task = asyncio.ensure_future(ask)
        while not task.done():
            await save(stack, project, seen.saves)
        answer = await task
        seen.seconds += perf_counter() - started
        api, server = (now - then for now, then in zip(stack.cpu(), before, strict=True))
    require_all(answer, number)
    seen.calls += 1
    seen.written += max(watching.marks[-1] - watching.marks[0], 0.01) if watching.marks else 0.01
    seen.api += api
    seen.server += server
    seen.waits += watching.waits


def require_all(answer: httpx.Response, number: int) -> None:
    """End the benchmark unless the import took all of the file's annotations."""
    told = answer.raise_for_status().json()
    if told.get("annotations_imported", told.get("imported")) != number:
        raise SystemExit(f"not imported: {answer.text[:500]}")


def row(name: str, number: int, rate_alone: str, alone: Saves, seen: Imports) -> list[str]:
    """Return a row of the table."""
    rows, saves = number * seen.calls, seen.saves
    api, server = 1e6 * seen.api / rows, 1e6 * seen.server / rows
    return [
        name,
        rate_alone,
        f"{seen.seconds / seen.calls:.2f}",
        f"{rows / seen.seconds:,.0f}",
        f"{seen.written / seen.calls:.2f}",
        f"{rows / seen.written:,.0f}",
        f"{api:.1f}",
        f"{server:.1f}",
        f"{1e6 / (api + server):,.0f}",
        f"{p95(alone.waits):.0f}",
        f"{p95(saves.waits):.0f}",
        f"{p95(saves.waits) / p95(alone.waits):.1f}",
        f"{max(saves.waits):.0f}",
        f"{p95(alone.bare):.0f}",
        f"{p95(saves.bare):.0f}",
        f"{p95(saves.bare) / p95(alone.bare):.1f}",
        str(seen.calls),
        str(len(saves.waits)),
        str(saves.refused),
    ]


def upload(stack: Stack, dataset: str, number: int, images: int, picture: int) -> Awaitable[httpx.Response]:
    """Upload a file of boxes beside a picture with a name of its own."""
    files = [("files", (f"extra {picture}.png", PNG)), ("annotation_file", ("labels.json", coco(number, images)))]
    return stack.api.post(f"/api/v1/datasets/{dataset}/images", files=files, timeout=_IMPORT_SECONDS)


async def rate_alone(stack: Stack, number: int, images: int) -> str:
    """Import files of a size while nobody else works; return annotations a second of the median call."""
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < _ALONE_SECONDS:
        dataset, _ = await made(stack.api, stack.database, images)
        asked = upload(stack, dataset, number, images, len(taken))
        started = perf_counter()
        require_all(await asked, number)
        taken.append(perf_counter() - started)
        if taken[0] > _ALONE_SECONDS:
            break
    return f"{number / median(taken):,.0f}"


async def measure(stack: Stack, number: int, *, replace: bool) -> AsyncIterator[tuple[list[str], Imports]]:
    """Import files of a size, and perhaps one once more in place of itself; yield a row of each."""
    images = max(1, number // _ON_AN_IMAGE)
    rate = await rate_alone(stack, number, images)
    alone, seen = Saves(), Imports()
    while len(seen.saves.waits) < _SAVES:
        dataset, project = await made(stack.api, stack.database, images)
        async with watched(stack.dsn):  # it takes a part of a core, here as beside the import
            until = perf_counter() + _ALONE_SECONDS
            while perf_counter() < until and len(alone.waits) < _SAVES:
                await save(stack, project, alone)
        await beside(stack, project, number, upload(stack, dataset, number, images, seen.calls), seen)
    yield row(f"{number:,}", number, rate, alone, seen), seen
    if replace:
        path, again = f"/api/v1/annotations/import/project/{project}?force=true", Imports()
        await beside(stack, project, number, stack.api.post(path, timeout=_IMPORT_SECONDS), again)
        yield row(f"{number:,} replaced", number, "", alone, again), again


def p95(waits: list[float]) -> float:
    """What nineteen of twenty waited at most."""
    return quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]


async def main(sizes: list[int], *, replace: bool) -> None:
    """Run the benchmark and print its table."""
    table = Table(title="An import beside saves on another image of the project")
    for column in (
        "annotations", "alone", "call s", "a second", "written s", "a second", "API µs", "server µs", "a core", "p95 alone", "p95 ms",
        "ratio", "slowest ms", "bare alone", "bare ms", "ratio", "calls", "saves", "refused",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    console = Console(width=210, stderr=True)
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home)) as ready, httpx.AsyncClient(base_url=ready["api"], timeout=60) as api:
            api.headers["Authorization"] = f"Bearer {await token(ready, api)}"
            dsn = ready["databases"]["labeler"]
            database = await asyncpg.connect(dsn)
            await database.execute(_BARE)
            async with bare(dsn) as floor:
                ready_stack = Stack(api, f"{floor.url}/0/1", database, dsn, ready["pids"])
                for size in sizes:
                    async for line, seen in measure(ready_stack, size, replace=replace):
                        table.add_row(*line)
                        console.print(table)
                        console.print(*(f"{count:6} {what}" for what, count in seen.waits.most_common(8)), sep="\n")
            await database.close()
    Console(width=210).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="annotations of each file")
    parser.add_argument("--replace", action="store_true", help="import each file once more in place of what it was")
    given = parser.parse_args()
    asyncio.run(main(given.sizes, replace=given.replace))
