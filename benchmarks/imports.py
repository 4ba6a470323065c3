"""Annotations a second that an import writes, by the size of the file, and what a save on another image waits meanwhile.

`python -m benchmarks.imports` starts the embedded stack in a temporary home (its PostgreSQL does not wait for the disk). For each size
a new dataset gets a COCO file of boxes, ten an image at most, while one person saves on an image that the file does not name,
twenty times a second. "written" is the part of the call in which the images are kept from others, as the marks tell; "CPU" is annotations by a second
of PostgreSQL's time, those saves included, which is the same on a busy machine.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.api import stack, token
from benchmarks.processes import cpu_seconds

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_ON_AN_IMAGE = 10
_PAUSE_SECONDS = 0.05
_ALONE_SECONDS = 3.0
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
_MARKED = "SELECT EXISTS (SELECT FROM importing_images)"


@dataclass
class Saves:
    """What one person waited for saves on an image of their own, in milliseconds."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    refused: int = 0


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


async def save(api: httpx.AsyncClient, project: str, waits: list[float], saves: Saves) -> None:
    """Save once, and note how long it took."""
    body = {
        "project_id": project,
        "image_id": "train/0",
        "annotation_type": "bbox",
        "geometry": {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480},
        "class_id": "1",
        "class_name": "class 1",
    }
    started = perf_counter()
    answer = await api.post("/api/v1/annotations", json=body)
    waits.append((perf_counter() - started) * 1000)
    saves.refused += not answer.is_success
    await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def marked(dsn: str) -> AsyncIterator[list[float]]:
    """Watch the marks: the moments at which an import had some, once every ten milliseconds."""
    seen: list[float] = []
    database = await asyncpg.connect(dsn)

    async def watch() -> None:
        while True:
            if await database.fetchval(_MARKED):
                seen.append(perf_counter())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


async def measure(
    api: httpx.AsyncClient, database: asyncpg.Connection, dsn: str, server: int, number: int
) -> list[str]:
    """Import a file beside saves; return a row of the table. `server` is PostgreSQL's process."""
    images = max(1, number // _ON_AN_IMAGE)
    dataset, project = await made(api, database, images)
    content = coco(number, images)
    saves = Saves()
    until = perf_counter() + _ALONE_SECONDS
    while perf_counter() < until:
        await save(api, project, saves.alone, saves)
    files = [("files", ("extra.png", PNG)), ("annotation_file", ("labels.json", content))]
    async with marked(dsn) as seen:
        busy, started = cpu_seconds(server), perf_counter()
        task = asyncio.create_task(api.post(f"/api/v1/datasets/{dataset}/images", files=files, timeout=_IMPORT_SECONDS))
        while not task.done():
            await save(api, project, saves.beside, saves)
        answer = await task
        whole, busy = perf_counter() - started, cpu_seconds(server) - busy
    if answer.raise_for_status().json()["annotations_imported"] != number:
        raise SystemExit(f"not imported: {answer.text[:500]}")
    written = max(seen[-1] - seen[0], 0.01) if seen else 0.01
    return [
        f"{number:,}",
        f"{whole:.1f}",
        f"{number / whole:,.0f}",
        f"{written:.1f}",
        f"{number / written:,.0f}",
        f"{number / max(busy, 0.01):,.0f}",
        f"{p95(saves.alone):.0f}",
        f"{p95(saves.beside):.0f}",
        f"{max(saves.beside):.0f}",
        str(len(saves.beside)),
        str(saves.refused),
    ]


def p95(waits: list[float]) -> float:
    """What nineteen of twenty waited at most."""
    return quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]


async def main(sizes: list[int]) -> None:
    """Run the benchmark and print its table."""
    table = Table(title="An import beside saves on another image of the project")
    for column in (
        "annotations", "call s", "a second", "written s", "a second", "CPU", "p95 alone", "p95 ms", "slowest ms", "saves", "refused",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home)) as ready, httpx.AsyncClient(base_url=ready["api"], timeout=60) as api:
            api.headers["Authorization"] = f"Bearer {await token(ready, api)}"
            dsn, server = ready["databases"]["labeler"], ready["pids"]["postgres"]
            database = await asyncpg.connect(dsn)
            for size in sizes:
                table.add_row(*await measure(api, database, dsn, server, size))
                Console(width=120, stderr=True).print(table)
            await database.close()
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="annotations of each file")
    asyncio.run(main(parser.parse_args().sizes))
