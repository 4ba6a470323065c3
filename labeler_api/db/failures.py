"""What asyncpg raises when a database refuses, is away, or goes away."""

import asyncpg

FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # The driver's word between the server's farewell and the end of the connection: "cannot switch to state …".
    asyncpg.InternalClientError,
)
"""For whoever tries again, or says in a sentence what is wrong."""
