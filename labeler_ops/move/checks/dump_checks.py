"""Whether a database can be moved to another; nothing is changed."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import asyncpg

from labeler_ops.backup import clients, db_settings, dumps
from labeler_ops.connecting import Connection, connected_directly
from labeler_ops.database import state, zones
from labeler_ops.database.own_objects import OWN_RELATIONS
from labeler_ops.database.roles import ROLES, Database
from labeler_ops.errors import DatabaseError
from labeler_ops.move.checks.check_findings import CheckFinding
from labeler_ops.move.rows import grants, ownership
from labeler_ops.runs import endpoint_name

# A dump needs about a third of the database's size, its restore test all of it again.
_LOCAL_SHARE = 0.5
_TARGET_SHARE = 2.5
_LONG_SECONDS = 300
_NAMES = f"SELECT string_agg(c.oid::regclass::text, ', ') {OWN_RELATIONS} AND c.relkind IN ('r', 'p')"
NOT_OWNED = f"{_NAMES} AND NOT pg_has_role(c.relowner, 'USAGE')"
MAY_CREATE = """
    SELECT has_database_privilege(current_database(), 'CREATE') AND has_schema_privilege('public', 'CREATE')
"""
_TABLES = f"""
    SELECT c.oid::regclass::text, c.relkind::text {OWN_RELATIONS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1
"""
_NAMED = 5
# What an upgrade itself writes, the identity that the API gives a database at its first start, and the switch.
# A look at a deployment (`labeler smoke`) leaves its requests' keys, which count for a day, and what the sweep saw.
_OF_ITSELF = frozenset(
    {
        "alembic_version",
        "migration_report",
        "labeler_identity",
        "maintenance",
        "idempotency_keys",
        "orphaned_objects",
    }
)
_OF_THE_QUEUE = "pgqueuer"  # the API's daily work, which it schedules at its first start


@dataclass(frozen=True)
class CheckedPair:
    """Both databases, connected, and where the run writes."""

    source: Connection
    target: Connection
    source_url: str
    target_url: str
    directory: Path
    database: Database = "labeler"
    legacy_timezone: str = "UTC"
    returns: bool = False


async def check_databases(
    source_url: str,
    target_url: str,
    directory: Path,
    *,
    database: Database = "labeler",
    legacy_timezone: str = "UTC",
    returns: bool = False,
) -> list[CheckFinding]:
    """Look at everything; never raises for what it finds. Raises DatabaseError when a side cannot be reached.

    `returns`: the way back would be a dump, too.
    """
    if endpoint_name(source_url) == endpoint_name(target_url):
        raise DatabaseError("the source and the target are one and the same database")
    async with (
        connected_directly("source", source_url) as source,
        connected_directly("target", target_url) as target,
    ):
        sides = CheckedPair(source, target, source_url, target_url, directory, database, legacy_timezone, returns)
        return [finding for check in _CHECKS for finding in await check(sides)]


async def _kind(sides: CheckedPair) -> list[CheckFinding]:
    try:
        await state.require_kind(sides.source, sides.database, f"the source {endpoint_name(sides.source_url)}")
    except DatabaseError as error:
        return [CheckFinding("database", "refused", str(error))]
    return []


async def _versions(sides: CheckedPair) -> list[CheckFinding]:
    source, target = sides.source.get_server_version(), sides.target.get_server_version()
    spelled = [await side.fetchval("SHOW server_version") for side in (sides.source, sides.target)]
    text = f"source {spelled[0]}, target {spelled[1]}"
    if target.major < source.major:
        text += f": a dump cannot be restored into an older major version; give a server of {source.major} or newer"
        return [CheckFinding("versions", "refused", text)]
    if target.major > source.major and sides.returns:
        text += (
            ". Once users write there, the source's server cannot take a dump back: ROLLBACK_DATABASE_URL has to lead "
            f"to a server of {target.major} or newer"
        )
    findings = [CheckFinding("versions", "ok" if source.major == target.major else "note", text)]
    try:
        found = clients.find(target.major)
        findings.append(CheckFinding("client programs", "ok", f"{found.major} in {found.bin_dir}"))
    except DatabaseError as error:
        findings.append(CheckFinding("client programs", "refused", str(error)))
    return findings


async def _locales(sides: CheckedPair) -> list[CheckFinding]:
    query = (
        "SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype FROM pg_database"
        " WHERE datname = current_database()"
    )
    source, target = [await side.fetchrow(query) for side in (sides.source, sides.target)]
    assert source is not None  # noqa: S101 - the database that we are connected to
    assert target is not None  # noqa: S101
    if source["encoding"] != target["encoding"]:
        text = (
            f"{source['encoding']} on the source, {target['encoding']} on the target: make the target with the source's"
        )
        return [CheckFinding("encoding", "refused", text)]
    same = tuple(source) == tuple(target)
    text = f"{source['datcollate']} on the source, {target['datcollate']} on the target"
    # A restore builds the indexes again, so another collation moves no row. It may only sort lists differently.
    return [CheckFinding("collation", "ok" if same else "note", text)]


async def _extensions(sides: CheckedPair) -> list[CheckFinding]:
    wanted = await sides.source.fetch("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
    offered = {row[0] for row in await sides.target.fetch("SELECT name FROM pg_available_extensions")}
    missing = [row[0] for row in wanted if row[0] not in offered]
    if missing:
        return [CheckFinding("extensions", "refused", f"the target's server does not offer {', '.join(missing)}")]
    return [CheckFinding("extensions", "ok", ", ".join(row[0] for row in wanted) or "none")]


async def _target_is_empty(sides: CheckedPair) -> list[CheckFinding]:
    tables = [row[0] for row in await sides.target.fetch(_TABLES)]
    if not tables:
        return [CheckFinding("target", "ok", "empty")]
    filled = await _filled(sides.target) if sides.database == "labeler" else None
    if filled == []:
        text = "a Labeler DB that was upgraded and has no rows yet; its tables are made anew by the copy"
        return [CheckFinding("target", "ok", text)]
    held = f"there are rows in {', '.join(filled)}" if filled else f"{', '.join(tables[:_NAMED])} …"
    text = f"is not empty ({held}): make an empty database; nothing is overwritten"
    return [CheckFinding("target", "refused", text)]


async def is_bare(target: Connection) -> bool:
    """Whether a database is what an upgrade of an empty one made, and nobody has written anything into it."""
    return await _filled(target) == []


async def _filled(target: Connection) -> list[str] | None:
    """The tables of a Labeler DB that somebody has written to; None for another database."""
    from labeler_api.db.tables import metadata  # a third of a second to load, which other commands need not wait for

    if await target.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    names = [row[0] for row in await target.fetch(_TABLES) if row[1] != "S"]
    theirs = [name for name in names if not name.startswith(_OF_THE_QUEUE) and name not in _OF_ITSELF]
    if any(name not in metadata.tables for name in theirs):
        return None
    return [name for name in theirs if await target.fetchval(f"SELECT EXISTS (SELECT FROM {name})")]  # noqa: S608 - our tables


async def _rights(sides: CheckedPair) -> list[CheckFinding]:
    unread = await sides.source.fetchval(f"{_NAMES} AND NOT has_table_privilege(c.oid, 'SELECT')")
    may_create = await sides.target.fetchval(MAY_CREATE)
    foreign = await sides.source.fetchval(NOT_OWNED)
    findings = []
    if unread:
        findings.append(CheckFinding("rights", "refused", f"the source's role may not read {unread}: use the owner"))
    elif foreign:
        text = f"the source's role does not own {foreign}: maintenance mode builds a trigger there, use the owner"
        findings.append(CheckFinding("rights", "refused", text))
    if missing := await grants.missing(sides.source, sides.target, sides.database):
        text = (
            f"the target's server lacks {', '.join(missing)}, which own or may use something on the source: make them "
            "there (`pg_dumpall --roles-only` of the source has them, among others: take only these lines), or take "
            "them away from the source"
        )
        findings.append(CheckFinding("roles", "refused", text))
    if sides.database != "labeler" and not await ownership.may_make_roles(sides.target):
        text = f"the target's role makes {ROLES[sides.database]}, which the services read by: use a superuser"
        findings.append(CheckFinding("rights", "refused", text))
    if not may_create:
        findings.append(
            CheckFinding("rights", "refused", "the target's role may not create tables: use the database's owner")
        )
    if (
        await dumps.restore_test_place(
            sides.source_url, sides.target_url, major=sides.target.get_server_version().major
        )
        is None
    ):
        text = "neither role may create a scratch database for the restore test: ALTER ROLE … CREATEDB on one side"
        findings.append(CheckFinding("rights", "refused", text))
    return findings or [CheckFinding("rights", "ok", "the source can be read, the target written, a restore tried")]


async def _disk(sides: CheckedPair) -> list[CheckFinding]:
    size: int = await sides.source.fetchval("SELECT pg_database_size(current_database())")
    free = shutil.disk_usage(_existing(sides.directory)).free
    needed = int(size * _LOCAL_SHARE)
    text = f"the database has {_megabytes(size)}; {_megabytes(free)} free for the backup in {sides.directory}"
    if free < needed:
        return [CheckFinding("disk", "refused", f"{text}: about {_megabytes(needed)} are needed")]
    wanted = _megabytes(int(size * _TARGET_SHARE))
    return [CheckFinding("disk", "ok", f"{text}; the target's volume should have {wanted} free (ask its provider)")]


async def _at_work(sides: CheckedPair) -> list[CheckFinding]:
    long = await sides.source.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND xact_start < now() - $1 * interval '1 second'",
        _LONG_SECONDS,
    )
    prepared = await sides.source.fetchval("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()")
    slots = await sides.source.fetchval("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
    findings = []
    if prepared:
        text = f"{prepared} prepared transactions on the source hold locks for ever: COMMIT or ROLLBACK PREPARED first"
        findings.append(CheckFinding("transactions", "refused", text))
    if long:
        text = f"{long} transactions on the source are older than {_LONG_SECONDS} s: maintenance mode waits for writers"
        findings.append(CheckFinding("transactions", "note", text))
    if slots:
        findings.append(CheckFinding("replication slots", "note", f"{slots} on the source; they are not moved"))
    return findings or [CheckFinding("transactions", "ok", "none that is long or prepared")]


async def _unusual(sides: CheckedPair) -> list[CheckFinding]:
    counts = await sides.source.fetchrow(
        "SELECT (SELECT count(*) FROM pg_class WHERE relkind = 'f') AS foreign_tables,"
        " (SELECT count(*) FROM pg_event_trigger) AS event_triggers,"
        " (SELECT count(*) FROM pg_class WHERE relpersistence = 'u') AS unlogged_tables,"
        " (SELECT count(*) FROM pg_publication) AS publications,"
        " (SELECT count(*) FROM pg_subscription) AS subscriptions,"
        " (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects"
    )
    assert counts is not None  # noqa: S101 - an aggregate has one row
    names = {name.replace("_", " "): count for name, count in counts.items() if count}
    stops = [name for name in ("foreign tables", "event triggers", "unlogged tables") if name in names]
    if stops:
        return [CheckFinding("unusual things", "refused", f"the source has {', '.join(stops)}, which are not moved")]
    said = ", ".join(f"{count} {name}" for name, count in names.items())
    return [CheckFinding("unusual things", "note" if said else "ok", said or "none")]


async def _settings(sides: CheckedPair) -> list[CheckFinding]:
    """What `ALTER DATABASE … SET` gave the source; that the target can have it is tried, and taken back."""
    ours, theirs = [await db_settings.read(side) for side in (sides.source, sides.target)]
    if only := sorted(theirs.keys() - ours.keys()):
        text = f"the target alone has {', '.join(only)}: ALTER DATABASE … RESET each, or SET them on the source"
        return [CheckFinding("settings", "refused", text)]
    trial = sides.target.transaction()
    await trial.start()
    try:
        await db_settings.put(sides.target, ours)
    except (asyncpg.PostgresError, DatabaseError) as error:
        return [CheckFinding("settings", "refused", f"the target's role may not set what the source has: {error}")]
    finally:
        await trial.rollback()
    said = [f"{name} = {value}" for name, value in ours.items()]
    findings = [CheckFinding("settings", "ok", ", ".join(said) or "none")]
    if sides.database == "labeler" and (roles := await db_settings.of_roles(sides.source)):
        findings.append(CheckFinding("settings", "note", f"those of {roles} in this database are not moved"))
    return findings


async def _zone(sides: CheckedPair) -> list[CheckFinding]:
    """The zone that the upgrade of an old Labeler DB reads the server's times in."""
    if sides.database != "labeler":
        return []
    try:
        reading = await zones.read(sides.source, sides.legacy_timezone)
    except DatabaseError as error:
        return [CheckFinding("times of the server", "refused", str(error))]
    if reading.doubts:
        return [CheckFinding("times of the server", "refused", zones.refusal(reading))]
    said = ", ".join(str(column) for column in reading.columns)
    return [CheckFinding("times of the server", "note", f"read as {reading.zone}: {said}")] if said else []


async def _route(sides: CheckedPair) -> list[CheckFinding]:
    encrypted = await sides.target.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    started = perf_counter()
    for _ in range(5):
        await sides.target.fetchval("SELECT 1")
    milliseconds = (perf_counter() - started) * 200
    text = f"{'TLS' if encrypted else 'no TLS'}, {milliseconds:.1f} ms for a round trip"
    local = sides.target_url.partition("@")[2].startswith(("127.0.0.1", "localhost", "[::1]"))
    return [CheckFinding("route to the target", "ok" if encrypted or local else "note", text)]


_CHECKS: list[Callable[[CheckedPair], Awaitable[list[CheckFinding]]]] = [
    _kind,
    _versions,
    _locales,
    _extensions,
    _target_is_empty,
    _rights,
    _disk,
    _at_work,
    _unusual,
    _settings,
    _zone,
    _route,
]


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.absolute().parents) if path.exists())


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
