"""The zone that production's server filled times in with: what a database says for and against one.

The upgrade reads those times in a zone that the operator names, and a wrong one shifts every time by hours, for ever.
So it is looked at before: a time that would lie in the future, and a lock whose server's time and application's time,
which were written together, would lie far apart.
"""

from importlib import import_module

import msgspec

from labeler_ops.connecting import Connection
from labeler_ops.errors import DatabaseError

OPTION = "--legacy-timezone"
VARIABLE = "LABELER_LEGACY_TIMEZONE"

_REVISION = "labeler_api.migrations.versions.2026_11_22_1010_times_with_zone"
_AHEAD = "interval '5 minutes'"  # clocks of two machines differ by less, zones by more
# A heartbeat gave a lock a few minutes more. Zones differ by half an hour at least.
_APART = "interval '29 minutes'"
_LOCKS = f"""
    SELECT count(*), count(*) FILTER (WHERE (heartbeat_at AT TIME ZONE $1)
        NOT BETWEEN (expires_at AT TIME ZONE 'UTC') - {_APART} AND (expires_at AT TIME ZONE 'UTC') + {_APART})
    FROM public.image_locks"""  # noqa: S608 - constants of ours


class ServerTimes(msgspec.Struct, frozen=True):
    """A column that the server filled in, read in a zone: how many times, the latest, and how many in the future."""

    column: str
    times: int
    latest: str
    ahead: int

    def __str__(self) -> str:
        return f"{self.column} up to {self.latest}"


class Reading(msgspec.Struct, frozen=True):
    """What an upgrade would make of the times of a database, read in a zone; no columns where it has none to read."""

    zone: str
    columns: list[ServerTimes]
    locks: int
    locks_apart: int

    @property
    def refuted(self) -> list[str]:
        """What cannot be with the right zone."""
        return [f"{one.ahead} times of {one} would lie in the future" for one in self.columns if one.ahead]

    @property
    def doubts(self) -> list[str]:
        """What speaks against the zone."""
        if self.locks_apart * 2 <= self.locks:  # a few odd rows say nothing
            return self.refuted
        text = f"{self.locks_apart} of {self.locks} locks would have been kept alive at another hour than they were"
        return [*self.refuted, text]


def refusal(reading: Reading) -> str:
    """Say why a zone is refused, and what to do."""
    return (
        f"read as {reading.zone}, {'; '.join(reading.doubts)}: name the zone that the old server's clock had, "
        f"{OPTION} or {VARIABLE}"
    )


async def require(connection: Connection, zone: str) -> None:
    """Raise DatabaseError for a zone that PostgreSQL does not know."""
    if not await connection.fetchval("SELECT count(*) FROM pg_timezone_names WHERE name = $1", zone):
        raise DatabaseError(f"{OPTION}: {zone!r} is no time zone; expected a name such as UTC or Asia/Seoul")


async def read(connection: Connection, zone: str) -> Reading:
    """Look what the upgrade would make of the server's times. Raises DatabaseError for an unknown zone."""
    await require(connection, zone)
    columns = [await _column(connection, zone, *name) for name in await _unzoned(connection)]
    locks = apart = 0
    if any(column.column == "image_locks.heartbeat_at" for column in columns):
        locks, apart = await connection.fetchrow(_LOCKS, zone) or (0, 0)
    return Reading(zone, [column for column in columns if column.times], locks, apart)


async def _unzoned(connection: Connection) -> list[tuple[str, str]]:
    """The columns that the upgrade reads in the zone, and that this database has not read yet."""
    found = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'timestamp without time zone' ORDER BY 1, 2"
    )
    if not found:
        return []
    wanted = import_module(_REVISION).FROM_SERVER  # loads Alembic, which takes most of a second
    return [(table, column) for table, column in found if column in wanted.get(table, ())]


async def _column(connection: Connection, zone: str, table: str, column: str) -> ServerTimes:
    row = await connection.fetchrow(
        f"SELECT count({column}) AS times,"  # noqa: S608 - names of ours
        f" count(*) FILTER (WHERE {column} AT TIME ZONE $1 > now() + {_AHEAD}) AS ahead,"
        f" to_char(max({column} AT TIME ZONE $1) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS latest"
        f" FROM public.{table}",
        zone,
    )
    assert row is not None  # noqa: S101 - an aggregate has one row
    return ServerTimes(f"{table}.{column}", row["times"], row["latest"] or "", row["ahead"])
