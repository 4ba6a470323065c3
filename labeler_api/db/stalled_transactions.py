"""Ends transactions of processes that stand still where PostgreSQL itself sets no limit.

A transaction in which nothing happens is ended after `connection.IDLE_SECONDS`, and a statement after
`STATEMENT_SECONDS`. Neither limit counts in two places: between two executions of one statement (`executemany`), and in
the middle of a message, such as a large geometry that was sent by half. A process that freezes there would keep a
project locked for as long as its machine acknowledges packets. So every other process looks for such transactions.
"""

from typing import Any

import structlog

from labeler_api.db.connection import APPLICATION

LOOK_SECONDS = 5.0
# The server waits for the rest of a message. On a slow network the largest one takes some seconds.
_STILL_SECONDS = 15

# `state_change` is when the server took up its last message. Only backends of the same role are shown with all that,
# and may be ended. Idle ones are the server's own affair, and those at work do not wait for their client.
_END = """
    SELECT pid, pg_terminate_backend(pid) AS done,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = $1 AND pid <> pg_backend_pid()
      AND state = 'active' AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - $2::int * interval '1 second' AND xact_start IS NOT NULL
    LIMIT 100
"""

log = structlog.get_logger("labeler_api.database")


async def end_frozen(connection: Any) -> None:
    """End what stands still. One statement; it finds nothing nearly always."""
    for row in await connection.fetch(_END, APPLICATION, _STILL_SECONDS):
        log.warning(
            "a transaction was ended: its process stood still in the middle of a statement",
            backend=row["pid"],
            still_seconds=round(row["seconds"], 1),
            ended=row["done"],
        )
