"""How the Labeler DB grows with the work: what a thousand saves cost, and what each published version adds.

`python -m benchmarks.growth` starts a PostgreSQL server, fills one project as `benchmarks.move` does, and saves
annotations through the API's own statements, publishing every so many saves. It shows the bytes of each table with its
indexes and large values, and the seconds of a publication's freezing: the first one, of an unchanged project, and of
one in which a hundredth has changed. Bytes are those of the files after the server has put away what is dead.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks.move_fill import Amount, fill
from labeler_api.annotations.editing import store as annotations
from labeler_api.db.pool import Database, PoolOptions
from labeler_api.versions.publishing import store as versions
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install

_PROJECT, _DATASET, _USER = "proj_1", "ds_1", 1
_WRITER = annotations.Writer(_USER, own_roles=(), roles=(), bypass_role_check=True)
_LOCK_SECONDS = 60
_TABLES = ("annotation_history", "annotation_snapshots", "annotation_versions", "annotations")
_EVERY = (1000, 100, 10)  # saves between two versions
_SIZE = "SELECT pg_total_relation_size($1::text::regclass)"


class Project:
    """One project that people work in."""

    def __init__(self, database: Database, url: str) -> None:
        self._database, self._url = database, url
        self._ids: list[int] = []
        self._number = 0

    async def find(self) -> int:
        """Look at what there is; how many annotations of the task."""
        async with self._database.read() as connection:
            rows = await connection.fetch(
                "SELECT id FROM annotations WHERE project_id = $1 AND task_type = 'detection' ORDER BY id", _PROJECT
            )
        self._ids = [row["id"] for row in rows]
        return len(self._ids)

    async def save(self, number: int) -> None:
        """Move a box, so many times, here and there."""
        for _ in range(number):
            self._number += 1
            place = self._number * 7919 % len(self._ids)
            change = f'{{"geometry": {{"type": "bbox", "bbox": [{self._number}, 2, 30, 40.5]}}}}'
            async with self._database.single() as tx:
                await annotations.update(tx, _WRITER, self._ids[place], None, change, _LOCK_SECONDS)

    async def publish(self) -> float:
        """Make a version with all its rows, without its files; the seconds of freezing."""
        async with self._database.begin() as tx:
            attempt = await versions.reserve(
                tx,
                project_id=_PROJECT,
                task_type="detection",
                version_number=None,
                created_by=_USER,
                description=None,
                export_format="dice",
            )
        assert attempt is not None
        began = perf_counter()
        async with self._database.begin(long=True) as tx:
            await versions.freeze(
                tx,
                attempt["id"],
                project_id=_PROJECT,
                dataset_id=_DATASET,
                task_type="detection",
                stored_types=["detection"],
                include_draft=True,
            )
        seconds = perf_counter() - began
        async with self._database.begin() as tx:
            await versions.publish(
                tx,
                attempt["id"],
                project_id=_PROJECT,
                annotation_count=len(self._ids),
                image_count=0,
                export_path="",
                file_size_bytes=0,
                content_sha256="",
            )
        return seconds

    async def read(self) -> float:
        """Read the latest version as a file is made of it; the seconds."""
        began = perf_counter()
        async with self._database.snapshot() as snapshot:
            last = await snapshot.fetchval("SELECT max(id) FROM annotation_versions")
            async for _ in versions.frozen(snapshot, last):
                pass
        return perf_counter() - began

    async def sizes(self) -> dict[str, int]:
        """Bytes of each table, dead rows put away."""
        connection = await asyncpg.connect(self._url)
        try:
            for table in _TABLES:
                await connection.execute(f"VACUUM {table}")
            return {table: await connection.fetchval(_SIZE, table) for table in _TABLES}
        finally:
            await connection.close()


async def _growth(project: Project, saves: int, console: Console) -> None:
    console.print(f"[bold]{await project.find()} annotations of the task, bytes per 1,000 saves")
    table = Table("saves a version", *_TABLES[:3])
    await project.publish()
    for every in _EVERY:
        before = await project.sizes()
        for _ in range(saves // every):
            await project.save(every)
            await project.publish()
        after = await project.sizes()
        table.add_row(f"{every:,}", *(_megabytes((after[name] - before[name]) * 1000 / saves) for name in _TABLES[:3]))
    console.print(table)


async def _times(project: Project, console: Console) -> None:
    number = await project.find()
    rows: list[tuple[str, float, float, int]] = []
    for name, changed in (
        ("the first version", 0),
        ("nothing has changed", 0),
        ("a hundredth has changed", number // 100),
    ):
        await project.save(changed)
        before = sum((await project.sizes()).values())
        seconds = await project.publish()
        added = sum((await project.sizes()).values()) - before
        rows.append((name, seconds, await project.read(), added))
    table = Table("", "freezing, s", "reading, s", "added")
    for name, seconds, reading, added in rows:
        table.add_row(name, f"{seconds:.2f}", f"{reading:.2f}", _megabytes(added))
    console.print(f"[bold]{number} annotations of the task")
    console.print(table)


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


async def main(small: int, large: int, saves: int) -> None:
    """Both measurements, each in a database of its own."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="labeler-growth-") as home:
        server = PostgresServer(find_install(os.environ), Path(home) / "server", free_port(), durable=False)
        await server.initialise()
        await server.start()
        try:
            for size in (small, large):
                await _measured(server, size, saves if size == small else 0, console)
        finally:
            await server.stop()


async def _measured(server: PostgresServer, size: int, saves: int, console: Console) -> None:
    name = f"growth_{size}"
    connection = await asyncpg.connect(server.dsn("postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await connection.close()
    url = server.dsn(name)
    await fill(url, Amount(size * 10 // 6, size * 10 // 6, 100 + size // 50), lambda *_: None, number=1)
    database = await Database.connect(url, PoolOptions())
    try:
        project = Project(database, url)
        await (_growth(project, saves, console) if saves else _times(project, console))
    finally:
        await database.close()


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="How the Labeler DB grows.")
    parser.add_argument("--small", type=int, default=1000, help="annotations of the project whose growth is measured")
    parser.add_argument("--large", type=int, default=100_000, help="annotations of the one that is timed")
    parser.add_argument("--saves", type=int, default=1000, help="saves in each measurement of growth")
    return parser.parse_args(given)


if __name__ == "__main__":
    options = _arguments()
    asyncio.run(main(options.small, options.large, options.saves))
