"""Run by Alembic. With a connection in `config.attributes` it uses that one, else it opens the one that the environment names."""

import asyncio
import logging.config
import os
from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, insert

from labeler_api.db.tables import metadata, migration_report
from labeler_api.migrations import HEAD
from labeler_api.migrations.engine import engine, take_turn
from labeler_api.settings import database_url


def _applied(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001 - Alembic gives it by name
    run_args: Mapping[str, Any],  # noqa: ARG001 - likewise
) -> None:
    """Run in the revision's transaction: tell the caller, and end this upgrade's part of the record at the newest one."""
    if step.up_revision_id == HEAD and ctx.connection is not None:
        ctx.connection.execute(
            insert(migration_report).values(
                revision=HEAD, table_name="", action="finished", rule="the newest revision was reached", row_count=0
            )
        )
    if (told := context.config.attributes.get("on_version_apply")) is not None:
        told(step)


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,  # a crash leaves the database at the revision before
        on_version_apply=_applied,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect_and_migrate() -> None:
    async with engine(database_url(os.environ, "LABELER_DB", fall_back_to_railway=True)).connect() as connection:
        await take_turn(connection)
        await connection.run_sync(_migrate)


if context.is_offline_mode():
    raise SystemExit("The migrations look at the rows they mend: run them against a database, without --sql.")

if (given := context.config.attributes.get("connection")) is not None:
    _migrate(given)
else:
    if context.config.config_file_name:
        logging.config.fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    asyncio.run(_connect_and_migrate())
