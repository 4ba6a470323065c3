"""Everything that is looked at before a move by logical replication; nothing is changed."""

from pathlib import Path

import msgspec

from labeler_ops.maintenance import fence
from labeler_ops.move.replication import preconditions
from labeler_ops.move.replication.channel import slot_name
from labeler_ops.move.replication.sides import BACK, FORTH, Sides
from labeler_ops.move.rows.preflight import Finding, preflight

_LEFT = """
    SELECT 'the slot ' || slot_name || ', which keeps '
           || coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint || ' bytes of log'
    FROM pg_replication_slots WHERE slot_name = ANY($1)
    UNION ALL SELECT 'the publication ' || pubname FROM pg_publication WHERE pubname = ANY($2)
    UNION ALL SELECT 'the subscription ' || subname FROM pg_subscription
              WHERE subname = ANY($2) AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def look(sides: Sides, directory: Path, *, reverse: bool) -> list[Finding]:
    """Look at what every move needs, at what can be replicated, and at each direction; never raises for findings."""
    findings = await preflight(sides.urls.source, sides.urls.target, directory)
    findings += await _left_over(sides)
    findings += await _maintenance(sides)
    findings += await preconditions.look_at_schema(sides.source, sides.target)
    forth, back = sides.ways
    findings += await preconditions.look(forth)
    if reverse:
        findings += [_of_the_way_back(finding) for finding in await preconditions.look(back)]
    return findings


def _of_the_way_back(finding: Finding) -> Finding:
    if finding.verdict != "refused":
        return finding
    return msgspec.structs.replace(finding, text=f"{finding.text}; for the way back, --no-reverse does without it")


async def _left_over(sides: Sides) -> list[Finding]:
    """Look for what a move left that no run here knows of: its slot would fill a disk, and ours could not be made."""
    findings = []
    for called, connection in (("source", sides.source), ("target", sides.target)):
        slots = [await slot_name(connection, name) for name in (FORTH, BACK)]
        if left := [row[0] for row in await connection.fetch(_LEFT, slots, [FORTH, BACK])]:
            text = (
                f"the {called} has {', '.join(left)}, of a move that was not ended: `labeler move rollback --leftovers`"
            )
            findings.append(Finding("left over", "refused", text))
    return findings


async def _maintenance(sides: Sides) -> list[Finding]:
    if not (await fence.status(sides.urls.source)).fenced:
        return []
    text = (
        "the source is in maintenance mode: `labeler maintenance off`; this mode stops writing by itself, for seconds"
    )
    return [Finding("maintenance", "refused", text)]
