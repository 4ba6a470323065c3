"""SQL of health."""

from labeler_api.db.pool import ReadConnection

_PING = "SELECT 1"


async def ping(connection: ReadConnection) -> None:
    """Ask the database for a sign of life."""
    await connection.fetchval(_PING)
