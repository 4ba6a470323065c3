"""Walk over rows of images with several workers, each with a connection of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import asyncpg

from labeler_api.db.connection import ISOLATION
from labeler_api.migrations import HEAD
from labeler_ops.connecting import Connection
from labeler_ops.database import state
from labeler_ops.errors import DatabaseError

PAGE = 500
"""Rows that a page's statement reads."""


async def require_head(dsn: str) -> None:
    """Raise DatabaseError unless the database is at this program's revision."""
    if (revision := await state.revision(dsn)) != HEAD:
        raise DatabaseError(f"the database is at revision {revision}, not {HEAD}: run `labeler db upgrade` first")


async def count(dsn: str, statement: str, dataset_id: str | None) -> int:
    """Count the rows of all datasets, or of one."""
    async with state.opened(dsn, ISOLATION) as connection:
        return int(await connection.fetchval(statement, dataset_id))


async def walk(
    dsn: str,
    statement: str,
    dataset_id: str | None,
    workers: int,
    work: Callable[[Connection, int, asyncpg.Record], Awaitable[None]],
) -> None:
    """Give each row of a statement of pages to one of the workers, with its connection and its number.

    The statement takes a dataset or NULL, and the last dataset_id and id of the page before. Raises what a worker
    raises first.
    """
    queue: asyncio.Queue[asyncpg.Record | None] = asyncio.Queue(maxsize=2 * workers)

    async def one(number: int) -> None:
        async with state.opened(dsn, ISOLATION) as connection:
            while (row := await queue.get()) is not None:
                await work(connection, number, row)

    try:
        async with asyncio.TaskGroup() as group, aclosing(_rows(dsn, statement, dataset_id)) as rows:
            for number in range(workers):
                group.create_task(one(number))
            async for row in rows:
                await queue.put(row)
            for _ in range(workers):
                await queue.put(None)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _rows(dsn: str, statement: str, dataset_id: str | None) -> AsyncGenerator[asyncpg.Record, None]:
    last = ("", "")
    async with state.opened(dsn, ISOLATION) as reader:
        while page := await reader.fetch(statement, dataset_id, *last):
            for row in page:
                yield row
            last = (page[-1]["dataset_id"], page[-1]["id"])
