"""Whether a database can be moved by logical replication: every setting and right by its name; nothing is changed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import msgspec

from labeler_api.migrations import HEAD
from labeler_ops.connecting import Connection
from labeler_ops.database.own_objects import OWN_RELATIONS, literal
from labeler_ops.maintenance import fence
from labeler_ops.move.checks.check_findings import CheckFinding
from labeler_ops.move.checks.dump_checks import MAY_CREATE, NOT_OWNED, check_databases
from labeler_ops.move.replication.channel import WITHOUT_IDENTITY, Channel, slot_name, unlogged
from labeler_ops.move.replication.database_pair import BACK, FORTH, DatabasePair

OLDEST = 15  # production's major; older servers do not say how often applying failed
_SUBSCRIBERS = 16  # the major since which a role may be allowed to subscribe without being a superuser
_PROBE = "labeler_probe"

_FREE = """
    SELECT current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)::int AS slots,
           current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication)::int AS senders,
           current_setting('max_logical_replication_workers')::int
           - (SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL)::int AS workers,
           coalesce(current_setting('max_active_replication_origins', true),  -- of its own since PostgreSQL 18
                    current_setting('max_replication_slots'))::int
           - (SELECT count(*) FROM pg_replication_origin)::int AS origins,
           current_setting('max_sync_workers_per_subscription')::int AS copies
"""
_UNUSUAL = f"""
    SELECT (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects,
           (SELECT count(*) FROM pg_event_trigger) AS event_triggers,
           (SELECT count(*) FROM pg_class WHERE relkind = 'f') AS foreign_tables,
           (SELECT count(*) {OWN_RELATIONS} AND c.relkind IN ('r', 'S') AND c.relpersistence = 'u') AS unlogged_tables,
           (SELECT count(*) {OWN_RELATIONS} AND c.relkind = 'm') AS materialized_views,
           (SELECT count(*) FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')
             AND g.tgname <> '{fence.NAME}') AS triggers_that_fire_on_replicas
"""  # noqa: S608 - constants
_SEQUENCES = f"SELECT count(*) {OWN_RELATIONS} AND c.relkind = 'S'"
_WHOLE_ROWS = f"""
    SELECT c.oid::regclass::text AS name {OWN_RELATIONS} AND c.relkind = 'r' AND c.relreplident = 'f'
"""
# Types that have no equality of their own.
_INCOMPARABLE = """
    SELECT a.attrelid::regclass::text AS name, a.attname, t.typname AS type
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY($1::text[]::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
      AND t.typname IN ('json', 'xml', 'jsonpath', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle')
    ORDER BY 1, a.attnum
"""
_LEFT = """
    SELECT 'the slot ' || slot_name || ', which keeps '
           || coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint || ' bytes of log'
    FROM pg_replication_slots WHERE slot_name = ANY($1)
    UNION ALL SELECT 'the publication ' || pubname FROM pg_publication WHERE pubname = ANY($2)
    UNION ALL SELECT 'the subscription ' || subname FROM pg_subscription
              WHERE subname = ANY($2) AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def check_replication(sides: DatabasePair, directory: Path, *, reverse: bool) -> list[CheckFinding]:
    """Look at what every move needs, at what can be replicated, and at each direction; never raises for findings."""
    findings = await check_databases(sides.urls.source, sides.urls.target, directory)
    findings += await _left_over(sides)
    findings += await _maintenance(sides)
    findings += await _schemas(sides.source, sides.target)
    findings += await _direction(sides.forward)
    if reverse:
        findings += [_of_the_way_back(finding) for finding in await _direction(sides.backward)]
    return findings


async def _direction(way: Channel) -> list[CheckFinding]:
    return [finding for one in _OF_A_DIRECTION for finding in await one(way)]


def _of_the_way_back(finding: CheckFinding) -> CheckFinding:
    if finding.verdict != "refused":
        return finding
    return msgspec.structs.replace(finding, text=f"{finding.text}; for the way back, --no-reverse does without it")


async def _left_over(sides: DatabasePair) -> list[CheckFinding]:
    """Look for what a move left that no run here knows of: its slot would fill a disk, and ours could not be made."""
    findings = []
    for called, connection in (("source", sides.source), ("target", sides.target)):
        slots = [await slot_name(connection, name) for name in (FORTH, BACK)]
        if left := [row[0] for row in await connection.fetch(_LEFT, slots, [FORTH, BACK])]:
            text = (
                f"the {called} has {', '.join(left)}, of a move that was not ended: `labeler move rollback --leftovers`"
            )
            findings.append(CheckFinding("left over", "refused", text))
    return findings


async def _maintenance(sides: DatabasePair) -> list[CheckFinding]:
    if not (await fence.status(sides.urls.source)).fenced:
        return []
    text = (
        "the source is in maintenance mode: `labeler maintenance off`; this mode stops writing by itself, for seconds"
    )
    return [CheckFinding("maintenance", "refused", text)]


async def _schemas(source: Connection, target: Connection) -> list[CheckFinding]:
    """Look at what can be moved in this way at all."""
    findings = await _schema(source)
    row = await source.fetchrow(_UNUSUAL)
    assert row is not None  # noqa: S101 - an aggregate has one row
    unusual = [f"{count} {name.replace('_', ' ')}" for name, count in row.items() if count]
    if unusual:
        text = f"the source has {', '.join(unusual)}, which are not replicated: use --mode dump"
        findings.append(CheckFinding("unusual things", "refused", text))
    findings += await _identities(source)
    sequences = await source.fetchval(_SEQUENCES)
    findings.append(CheckFinding("sequences", "ok", f"{sequences}, which are not replicated: the switch sets them"))
    return findings + _majors(source, target)


async def _schema(source: Connection) -> list[CheckFinding]:
    """Both sides have the same tables all the time, so nothing is upgraded on the way as a dump is."""
    table = await source.fetchval("SELECT to_regclass('public.alembic_version')")
    revision = await source.fetchval("SELECT max(version_num) FROM public.alembic_version") if table else None
    if revision == HEAD:
        return [CheckFinding("schema", "ok", f"{revision}, the newest")]
    text = (
        f"the source stands at {revision or 'no revision of the labeler'}, not at {HEAD}, and replication needs the "
        "same tables on both sides: `labeler db upgrade` the source first, with the API of this version, or move it "
        "with --mode dump, which upgrades the copy"
    )
    return [CheckFinding("schema", "refused", text)]


async def _identities(source: Connection) -> list[CheckFinding]:
    """Rows of a table without a key are found by all of their columns, which have to be comparable."""
    keyless = [row["name"] for row in await source.fetch(WITHOUT_IDENTITY)]
    whole = [row["name"] for row in await source.fetch(_WHOLE_ROWS)]
    names = sorted({*keyless, *whole})
    if bad := await source.fetch(_INCOMPARABLE, names):
        said = ", ".join(f"{row['name']}.{row['attname']} ({row['type']})" for row in bad)
        text = (
            f"rows without a primary key cannot be told apart by {said}: give the table a primary key, or --mode dump"
        )
        return [CheckFinding("replica identity", "refused", text)]
    if keyless:
        text = (
            f"{', '.join(keyless)} without a primary key: REPLICA IDENTITY FULL for the time, and its own back after it"
        )
        return [CheckFinding("replica identity", "note", text)]
    return [CheckFinding("replica identity", "ok", "every table has a primary key")]


def _majors(source: Connection, target: Connection) -> list[CheckFinding]:
    ours, theirs = (side.get_server_version().major for side in (source, target))
    if ours == theirs:
        return []
    text = (
        f"from {ours} to {theirs}: the subscription back to {ours} works; a dump of {theirs} (`rollback --into`) "
        f"needs a server of {theirs} or newer"
    )
    return [CheckFinding("major versions", "note", text)]


async def _versions(way: Channel) -> list[CheckFinding]:
    majors = [side.get_server_version().major for side in (way.publisher, way.subscriber)]
    text = f"{way.called[0]} {majors[0]}, {way.called[1]} {majors[1]}"
    return [CheckFinding("versions", "refused" if min(majors) < OLDEST else "ok", f"{text}; {OLDEST} is the oldest")]


async def _wal_level(way: Channel) -> list[CheckFinding]:
    level = await way.publisher.fetchval("SHOW wal_level")
    if level == "logical":
        return [CheckFinding("wal_level", "ok", f"logical on the {way.called[0]}")]
    text = (
        f"is {level} on the {way.called[0]}: ALTER SYSTEM SET wal_level = 'logical', and restart the server "
        "(on Railway: in the service's data tab, then Restart)"
    )
    return [CheckFinding("wal_level", "refused", text)]


async def _free(way: Channel) -> list[CheckFinding]:
    """A subscription takes a slot, a sender and a worker, and for each table that it copies at a time another one."""
    here, there = await way.publisher.fetchrow(_FREE), await way.subscriber.fetchrow(_FREE)
    assert here is not None  # noqa: S101 - settings always are one row
    assert there is not None  # noqa: S101
    wanted = 1 + there["copies"]
    asked = [
        ("max_replication_slots", way.called[0], here["slots"], wanted),
        ("max_wal_senders", way.called[0], here["senders"], wanted),
        ("max_replication_slots", way.called[1], there["origins"], wanted),
        ("max_logical_replication_workers", way.called[1], there["workers"], 2),
    ]
    short = [
        CheckFinding(name, "refused", f"{free} are free on the {side}, {need} are needed: raise it there, and restart")
        for name, side, free, need in asked
        if free < need
    ]
    tables = len(await fence.tables_of(way.publisher))
    if not short and there["origins"] <= tables:
        # A table that is copied keeps its place until the worker for all has come as far as its copy.
        text = (
            f"{there['origins']} are free on the {way.called[1]}: while many write, {tables} tables wait in turn,"
            f" and its log tells of failures that mend themselves; {tables + 5} spare that"
        )
        return [CheckFinding("max_replication_slots", "note", text)]
    return short or [
        CheckFinding("slots and workers", "ok", f"{here['slots']} slots, {here['senders']} senders are free")
    ]


async def _rights(way: Channel) -> list[CheckFinding]:
    found = []
    may = "SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user"
    if not await way.publisher.fetchval(may):
        found.append(f"the {way.called[0]}'s role lacks REPLICATION (ALTER ROLE … REPLICATION, as a superuser)")
    if foreign := await way.publisher.fetchval(NOT_OWNED):
        found.append(f"the {way.called[0]}'s role does not own {foreign}: only an owner may publish a table")
    if not await way.publisher.fetchval(MAY_CREATE):
        found.append(
            f"the {way.called[0]}'s role lacks CREATE on its database or on the schema public, for the publication "
            "and the fence: GRANT CREATE ON DATABASE … TO …; GRANT CREATE ON SCHEMA public TO …"
        )
    return [CheckFinding("rights", "refused", text) for text in found] or [
        CheckFinding("rights", "ok", f"{way.called[0]}: enough")
    ]


async def _route(way: Channel) -> list[CheckFinding]:
    """Let the subscriber's server itself connect, as it will, and take the trial back."""
    transaction = way.subscriber.transaction()
    await transaction.start()
    try:
        await unlogged(way.subscriber)
        await way.subscriber.execute(
            f"CREATE SUBSCRIPTION {_PROBE} CONNECTION {literal(way.route)} PUBLICATION {_PROBE}"
            " WITH (create_slot = false, slot_name = NONE, enabled = false, copy_data = false)"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        also = (
            ""
            if way.subscriber.get_server_version().major < _SUBSCRIBERS
            else (", or GRANT pg_create_subscription and CREATE on the database to it")
        )
        text = f"the {way.called[1]}'s role may not subscribe ({error}): use a superuser{also}"
        return [CheckFinding("subscription", "refused", text)]
    except asyncpg.PostgresError as error:
        text = (
            f"the {way.called[1]}'s server cannot reach the {way.called[0]} ({error}): give the URL that it can use "
            f"with --{way.called[0]}-as-seen-by-{way.called[1]}"
        )
        return [CheckFinding("route", "refused", text)]
    finally:
        await transaction.rollback()
    return [CheckFinding("route", "ok", f"the {way.called[1]}'s server reaches the {way.called[0]}")]


async def _disk(way: Channel) -> list[CheckFinding]:
    limit = await way.publisher.fetchval("SHOW max_slot_wal_keep_size")
    if limit == "-1":
        text = f"a slot that is left behind fills the {way.called[0]}'s disk: max_slot_wal_keep_size sets a limit"
        return [CheckFinding("max_slot_wal_keep_size", "note", text)]
    return [
        CheckFinding("max_slot_wal_keep_size", "note", f"the slot is lost, and all begins anew, beyond {limit} of log")
    ]


_OF_A_DIRECTION: list[Callable[[Channel], Awaitable[list[CheckFinding]]]] = [
    _versions,
    _wal_level,
    _free,
    _rights,
    _route,
    _disk,
]
