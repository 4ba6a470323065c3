"""Compare the models with the catalog of a Labeler DB, both ways."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from labeler_api.db import functions
from labeler_api.db.tables import metadata
from labeler_api.migrations import HEAD
from labeler_api.migrations.engine import engine
from labeler_ops.database import catalog, state
from labeler_ops.errors import DatabaseError


async def check(dsn: str) -> list[str]:
    """List every difference between the models and the database, one line each; empty when they are the same.

    Raises DatabaseError when the database cannot be asked.
    """
    revision = await state.revision(dsn)
    database = engine(dsn)
    try:
        async with database.connect() as connection:
            differences = await connection.run_sync(_differences)
    except DBAPIError as error:
        raise DatabaseError(f"the catalog cannot be read: {error.orig}") from error
    finally:
        await database.dispose()
    lines = [str(difference) for difference in differences]
    if revision != HEAD:
        lines.insert(0, f"revision: expected {HEAD}; found {revision or 'none'}: run `labeler db upgrade`")
    return lines


def _differences(connection: Connection) -> list[catalog.SchemaDifference]:
    with catalog.expected(connection, _build) as wanted:
        return catalog.compare(wanted, catalog.read(connection))


def _build(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    for name in functions.NAMES:
        connection.exec_driver_sql(functions.source(name))
    for trigger in functions.TRIGGERS:
        connection.exec_driver_sql(trigger)
