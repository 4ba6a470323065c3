"""How a replication stands, from the two databases alone."""

import msgspec

from labeler_ops.move.replication.channel import Flow
from labeler_ops.move.replication.sides import Sides, Urls, opened

# Log that a slot keeps beyond this is worth a word: disks of small plans are 5 GB.
_KEPT_BYTES = 2**30

_SLOTS = """
    SELECT slot_name, active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS kept
    FROM pg_replication_slots WHERE database = current_database() ORDER BY 1
"""


class Status(msgspec.Struct, frozen=True):
    """Both directions, and what somebody should look at."""

    forth: Flow
    back: Flow
    lines: list[str]
    warnings: list[str]


async def status(sides: Sides) -> Status:
    """Look at both servers."""
    forth, back = await sides.forth.flow(), await sides.back.flow()
    lines = [sides.forth.said(forth), sides.back.said(back)]
    warnings = []
    for called, connection in (("source", sides.source), ("target", sides.target)):
        for row in await connection.fetch(_SLOTS):
            if not row["active"]:
                text = (
                    f"nobody reads the slot {row['slot_name']} on the {called}: it keeps {row['kept']:,} bytes of log"
                )
                warnings.append(f"{text}, and more with every write, until `labeler move finalize` or `rollback`")
            elif row["kept"] > _KEPT_BYTES:
                warnings.append(f"the slot {row['slot_name']} on the {called} keeps {row['kept']:,} bytes of log")
    return Status(forth, back, lines, warnings)


async def looked_at(urls: Urls) -> Status:
    """Connect, and look. Raises SideAway."""
    async with opened(urls) as both:
        return await status(both)
