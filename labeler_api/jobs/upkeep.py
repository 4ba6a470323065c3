"""What the job queue needs besides its work: that it is seen, that it does not grow, and that no clock holds a job up.

Run by every worker, on its own connection, when it begins and once a minute.
"""

from collections.abc import Collection
from datetime import timedelta

import structlog
from pgqueuer.ports.driver import Driver

from labeler_api.telemetry.metrics import Metrics

EVERY_SECONDS = 60.0  # a job that nobody takes is seen a minute later
_LOG_KEPT = timedelta(days=30)  # somebody who looks for what happened to a job comes within days
_LOG_AT_ONCE = 1000  # rows; a worker adds fewer in a minute, so the log shrinks to its month
_UNKNOWN = "unknown"  # one value for every kind that we do not know: the names come from a table

# The lease of a job ends when its heartbeat is old. One from the future, after the server's clock was set back, would
# hold a dead process' job for as long as the clock jumped. So it is set to now: a living process
# renews it within a lease.
_HEARTBEATS = "UPDATE pgqueuer SET heartbeat = now() WHERE status = 'picked' AND heartbeat > now()"

_PRUNE = """
    DELETE FROM pgqueuer_log
    WHERE id IN (SELECT id FROM pgqueuer_log ORDER BY id LIMIT $1) AND created < now() - $2::interval
"""

_DUE = """
    SELECT entrypoint AS kind, count(*) AS number,
           extract(epoch FROM now() - min(greatest(created, execute_after)))::float8 AS seconds
    FROM pgqueuer WHERE status = 'queued' AND execute_after <= now() GROUP BY entrypoint
"""

# Those of a move in logical mode (labeler_ops/move/replication), and of nobody else. A standby has no position to ask.
_LAGS = """
    SELECT slot_name AS slot,
           CASE WHEN NOT pg_is_in_recovery()
                THEN pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint END AS lag
    FROM pg_replication_slots
    WHERE database = current_database() AND slot_type = 'logical' AND confirmed_flush_lsn IS NOT NULL
    ORDER BY slot_name LIMIT 20
"""

log = structlog.get_logger("labeler_api.jobs.worker")


async def look_after(driver: Driver, kinds: Collection[str], metrics: Metrics) -> None:
    """Do all of it once: four statements."""
    await driver.execute(_HEARTBEATS)
    await driver.execute(_PRUNE, _LOG_AT_ONCE, _LOG_KEPT)
    due = {str(row["kind"]): row for row in await driver.fetch(_DUE)}
    metrics.jobs_due({kind: _figures(due.get(kind)) for kind in kinds} | {_UNKNOWN: _sum(due, kinds)})
    metrics.replication_lags({str(row["slot"]): int(str(row["lag"] or 0)) for row in await driver.fetch(_LAGS)})
    for kind in due.keys() - set(kinds):
        log.warning(
            "jobs wait of a kind that this process does not know; a newer version may, or an older one left them",
            job=kind[:100],
            number=due[kind]["number"],
        )


def _figures(row: "dict[str, object] | None") -> tuple[int, float]:
    return (int(str(row["number"])), float(str(row["seconds"]))) if row else (0, 0.0)


def _sum(due: "dict[str, dict[str, object]]", kinds: Collection[str]) -> tuple[int, float]:
    unknown = [_figures(row) for kind, row in due.items() if kind not in kinds]
    return sum(number for number, _ in unknown), max((seconds for _, seconds in unknown), default=0.0)
