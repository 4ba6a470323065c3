"""A statement that holds a password, kept out of the server's log."""

import asyncpg

# A statement that fails is logged with its text; one that succeeds, where the server logs all or the slow ones.
_OFF = {"log_min_error_statement": "panic", "log_statement": "none", "log_min_duration_statement": "-1"}


async def unlogged(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Log no statement until the transaction ends, which has to be open.

    Only a superuser may say so, or who was granted SET on these parameters. Whoever may subscribe without can only be
    asked not to have a password in the log: see the guide.
    """
    try:
        async with connection.transaction():
            for name, value in _OFF.items():
                await connection.execute("SELECT set_config($1, $2, true)", name, value)
    except asyncpg.InsufficientPrivilegeError:
        return
