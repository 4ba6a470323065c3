"""How long the API of before is kept from its work while its database is upgraded.

`python -m benchmarks.upgrade` starts a PostgreSQL of its own, makes the schema of an older revision, fills it, and runs what
that API runs all the time (saves, locks, pages, statuses) on connections of their own while `labeler db upgrade` does its
work. The longest that one of them took is how long the API stood still. With `--reader SECONDS` somebody has an export open
meanwhile, which holds on to every table that it has read.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import asyncpg
from alembic import command
from alembic.config import Config
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from benchmarks.move_fill import Amount, fill_tables
from benchmarks.move_servers import running
from labeler_api.migrations import DIRECTORY
from labeler_api.migrations.engine import engine
from labeler_ops.database.upgrade import upgrade

_PROJECTS = 4
_PAUSE_SECONDS = 0.02
_BEFORE_SECONDS = 3.0

# Each is a statement, or several in one transaction, with the columns that the oldest of these APIs knew.
_HOT = {
    "save": """
        INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
        VALUES ('proj_1', 'train/000001', 'bbox', 'detection', '{"bbox": [1, 2, 3, 4]}', 1);
        INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by, revision)
        VALUES (currval('annotations_id_seq'), 'proj_1', 'train/000001', 'create', '{"version": 1}', 1, 1);
        UPDATE image_annotation_status SET total_annotations = total_annotations + 1, last_modified_at = now()
        WHERE project_id = 'proj_1' AND image_id = 'train/000001' AND task_type = 'detection';
        UPDATE annotation_projects SET total_annotations = total_annotations + 1, revision = revision + 1
        WHERE id = 'proj_1'
    """,
    "lock": """
        INSERT INTO image_locks (project_id, image_id, user_id, expires_at)
        VALUES ('proj_1', 'train/000002', 1, now() + interval '5 minutes')
        ON CONFLICT ON CONSTRAINT uq_project_image_lock DO UPDATE SET expires_at = excluded.expires_at
    """,
    "page": "SELECT * FROM annotations WHERE project_id = 'proj_2' AND image_id = 'train/000003' ORDER BY id",
    "history": "SELECT * FROM annotation_history WHERE annotation_id = 77 ORDER BY id",
    "statuses": """
        SELECT s.*, i.file_name FROM image_annotation_status s
        JOIN annotation_projects p ON p.id = s.project_id
        JOIN image_metadata i ON i.dataset_id = p.dataset_id AND i.id = s.image_id
        WHERE s.project_id = 'proj_2' ORDER BY s.image_id LIMIT 100
    """,
    "versions": "SELECT * FROM annotation_versions WHERE project_id = 'proj_2' ORDER BY id DESC LIMIT 20",
}


@dataclass
class Waits:
    """How long a call's statements took, in milliseconds, each with the moment of its end."""

    before: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    failed: int = 0


async def go_to(url: str, revision: str) -> None:
    """Bring an empty database to a revision."""

    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(DIRECTORY).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection, legacy_timezone="UTC")
        command.upgrade(config, revision)

    database = engine(url)
    async with database.connect() as connection:
        await connection.run_sync(migrate)
    await database.dispose()


@asynccontextmanager
async def calling(url: str, waits: dict[str, Waits], upgrading: asyncio.Event) -> AsyncIterator[None]:
    """Run every call over and over while the block runs."""

    async def call(name: str) -> None:
        connection = await asyncpg.connect(url, server_settings={"lock_timeout": "30s"})
        try:
            while True:
                started = perf_counter()
                try:
                    await connection.execute(_HOT[name])
                except asyncpg.PostgresError:
                    waits[name].failed += 1
                lasted = (perf_counter() - started) * 1000
                (waits[name].meanwhile if upgrading.is_set() else waits[name].before).append(lasted)
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            connection.terminate()

    tasks = [asyncio.create_task(call(name)) for name in _HOT]
    try:
        yield
    finally:
        await asyncio.sleep(_PAUSE_SECONDS * 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def reading(url: str, seconds: float) -> AsyncIterator[None]:
    """Have every table open in a transaction, for so long at most."""
    if not seconds:
        yield
        return
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for name in await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ):
        await connection.execute(f"SELECT FROM {name['relname']} LIMIT 1")
    ending = asyncio.create_task(_end(connection, seconds))
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        connection.terminate()


async def _end(connection: asyncpg.Connection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await connection.execute("ROLLBACK")


async def main(start: str, annotations: int, reader: float) -> None:
    """Run the benchmark and print its table."""
    console = Console(width=120, stderr=True)
    with tempfile.TemporaryDirectory() as home:
        async with running(Path(home), durable=True) as servers:
            url = await servers.empty("upgraded")
            await go_to(url, start)
            amount = Amount(annotations, 2 * annotations, annotations // 10)
            await fill_tables(url, amount, lambda done, of: console.print(f"{done} of {of} projects"), _PROJECTS)
            await servers.settled()
            waits = {name: Waits() for name in _HOT}
            upgrading = asyncio.Event()
            async with calling(url, waits, upgrading):
                await asyncio.sleep(_BEFORE_SECONDS)
                async with reading(url, reader):
                    upgrading.set()
                    began = perf_counter()

                    def told(step: str) -> None:
                        console.print(f"{perf_counter() - began:6.1f} s  {step.splitlines()[0]}")

                    report = await upgrade(url, progress=told)
                    lasted = perf_counter() - began
    table = Table(title=f"{report.before} to {report.after}, {annotations:,} annotations: {lasted:.1f} s")
    for column in ("call", "p95 before", "slowest before", "p95 meanwhile", "slowest meanwhile", "calls", "failed"):
        table.add_column(column, justify="left" if column == "call" else "right")
    for name, one in waits.items():
        figures = [value for times in (one.before, one.meanwhile) for value in (_p95(times), max(times))]
        table.add_row(name, *(f"{value:.0f}" for value in figures), str(len(one.meanwhile)), str(one.failed))
    Console(width=120).print(table)


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1] if len(times) > 1 else times[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default="20261122_1120", help="the revision to start from")
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--reader", type=float, default=0.0, help="seconds for which somebody has every table open")
    given = parser.parse_args()
    asyncio.run(main(given.start, given.annotations, given.reader))
