"""Bring a Labeler DB to the newest revision: an empty one, one in production's state, or one of ours."""

import asyncio
from collections.abc import Callable
from time import monotonic

import asyncpg
from alembic import command
from alembic.runtime.migration import MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from labeler_api.migrations import HEAD
from labeler_api.migrations.engine import LOCK_TIMEOUT, AnotherRunnerError, engine, take_turn
from labeler_api.migrations.steps import UnevenRows
from labeler_ops.database import adopt, state, zones
from labeler_ops.database.upgrade_report import UpgradeReport
from labeler_ops.errors import DatabaseError

Progress = Callable[[str], None]


# Of waiting for a table that somebody else has open: backups and exports of what people annotate take so long. A
# deployment waits for its upgrade for some minutes.
_PATIENCE_SECONDS = 180.0
_PAUSE_SECONDS = 3.0  # in which those who queued behind a try get their work done


def _silent(_: str) -> None:
    pass


async def upgrade(dsn: str, *, legacy_timezone: str = "UTC", progress: Progress = _silent) -> UpgradeReport:
    """Upgrade a database to the newest revision and report what became of its rows.

    `legacy_timezone` is the zone of the server that filled in times by default; `progress` hears each revision done. A
    database at the newest revision costs one query. Two runners do not meet: the second waits for the first. Raises
    DatabaseError with what to do; the database then stands at the last revision that was completed.
    """
    if await state.revision(dsn) == HEAD:
        return UpgradeReport(before=HEAD, after=HEAD)
    doubts = await _require_zone(dsn, legacy_timezone)
    database = engine(dsn)
    try:
        async with database.connect() as connection:
            report = await _upgrade_alone(connection, legacy_timezone, progress)
            report.notes.extend(doubts)
            return report
    except UnevenRows as error:
        raise DatabaseError(f"{error}. Nothing of this revision was kept.") from error
    except AnotherRunnerError as error:
        raise DatabaseError(f"{error}. Look at what it waits for, in pg_stat_activity.") from error
    except DBAPIError as error:
        raise DatabaseError(_explained(error)) from error
    except PendingRollbackError as error:  # where each statement is a transaction, Alembic goes on for a moment
        lost = error.__context__
        raise DatabaseError(_explained(lost) if isinstance(lost, DBAPIError) else str(error)) from error
    finally:
        await database.dispose()


async def last_report(dsn: str, before: str | None) -> UpgradeReport:
    """Read what the upgrade that ended last did, from its record in the database."""
    database = engine(dsn)
    try:
        async with database.connect() as connection:
            return await connection.run_sync(UpgradeReport.read, before, [])
    finally:
        await database.dispose()


async def _upgrade_alone(connection: AsyncConnection, legacy_timezone: str, progress: Progress) -> UpgradeReport:
    await take_turn(connection)
    before = await connection.run_sync(_revision)
    if before == HEAD:  # another runner was quicker
        return UpgradeReport(before=HEAD, after=HEAD)
    notes = await connection.run_sync(adopt.examine, before)
    await connection.rollback()  # Alembic makes a transaction per revision only where none is open
    await _migrate_patiently(connection, legacy_timezone, progress)
    report = await connection.run_sync(UpgradeReport.read, before, notes)
    # The statistics of rewritten tables are gone. Of empty ones PostgreSQL assumes more without any: plans that are
    # made for the first rows then hold for the next thousands.
    if report.steps and before is not None:
        await connection.execute(text("ANALYZE"))
        await connection.commit()
    return report


async def _migrate_patiently(connection: AsyncConnection, legacy_timezone: str, progress: Progress) -> None:
    """Go through the revisions; where a table is in use, let everybody pass and try that revision once more."""
    until = monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            await connection.run_sync(_migrate, legacy_timezone, progress)
        except DBAPIError as error:
            if not _is_in_use(error) or monotonic() > until:
                raise
            await connection.rollback()
            await _bound_waits(connection)  # building an index concurrently sets its own bound
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


def _is_in_use(error: DBAPIError) -> bool:
    return isinstance(getattr(error.orig, "__cause__", None), asyncpg.LockNotAvailableError)


async def _bound_waits(connection: AsyncConnection) -> None:
    await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    await connection.commit()


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT string_agg(version_num, ', ') FROM alembic_version"))
    return found


async def _require_zone(dsn: str, name: str) -> list[str]:
    """Refuse a zone that cannot be the server's; return what speaks against it otherwise."""
    async with state.opened(dsn) as connection:
        reading = await zones.read(connection, name)
    if reading.refuted:
        raise DatabaseError(zones.refusal(reading))
    return [f"times of the server were read as {name}: {doubt}" for doubt in reading.doubts]


def _migrate(connection: Connection, legacy_timezone: str, progress: Progress) -> None:
    def applied(step: MigrationInfo) -> None:
        progress(step.up_revision.doc if isinstance(step.up_revision, Script) else str(step.up_revision_id))

    config = adopt.alembic()
    config.attributes.update(connection=connection, legacy_timezone=legacy_timezone, on_version_apply=applied)
    command.upgrade(config, "head")


def _explained(error: DBAPIError) -> str:
    cause = getattr(error.orig, "__cause__", None)
    if _is_in_use(error):
        return (
            f"somebody else uses the tables: for {_PATIENCE_SECONDS:g} s no try to lock one came through within "
            f"{LOCK_TIMEOUT}. Stop the API and backups and run the upgrade again; it goes on from the last revision "
            "that was completed."
        )
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"the role may not change the schema: {cause}. Run the upgrade as the owner of the database."
    return f"PostgreSQL refused a step, nothing of that revision was kept: {cause or error.orig}"
