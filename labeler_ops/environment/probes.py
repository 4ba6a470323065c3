"""Ask every part that the environment leads to: is it there, is it what it should be, may we do what we need?"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from time import perf_counter

import asyncpg
import msgspec

from labeler_api.db.connection import OF_A_REQUEST, PATIENCE, at_the_start, begin
from labeler_api.db.failures import FAILURES
from labeler_api.db.read_only_role import prove
from labeler_api.migrations import HEAD
from labeler_ops.connecting import Connection
from labeler_ops.environment.connections import Allowance, server
from labeler_ops.environment.environment_check import Probe
from labeler_ops.environment.problems import Environment
from labeler_ops.environment.problems_stores import databases
from labeler_ops.storage.bucket_tie import access_of
from labeler_ops.storage.probe import probe as probe_store
from service_kit.postgres import KEEPALIVE
from service_kit.role_privileges import RoleCanWrite

_CONNECT_SECONDS = 10.0  # a managed database that sleeps takes a while to wake
_HEARD_SECONDS = 3.0  # a notification takes milliseconds
_ROUND_TRIPS = 9  # odd, so that the median is one of them
_SLOW_SECONDS = 0.02  # a request makes several round trips; over 20 ms each the p95 shows it
_OLDEST_MAJOR = 15

_FACTS = """
SELECT current_user AS role, current_setting('server_version') AS version, d.datcollate, d.datctype,
       pg_encoding_to_char(d.encoding) AS encoding, d.datcollversion,
       pg_database_collation_actual_version(d.oid) AS actual_version, d.datconnlimit, r.rolconnlimit,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS tls,
       pg_is_in_recovery() AS standby
FROM pg_database AS d, pg_roles AS r
WHERE d.datname = current_database() AND r.rolname = session_user
"""
# What each service needs of whatever stands between it and its database.
_REMEDY = {
    "Labeler DB": "set DB_STATEMENT_CACHE=false and LABELER_DB_UNPOOLED_URL, or give the unpooled address alone",
    "User DB": "USER_DB_URL has to be the unpooled address: the gateway's limits come when a connection begins",
    "Platform DB": "PLATFORM_DB_URL has to be the unpooled address: its limits come when a connection begins",
}
_UNREACHABLE = (*FAILURES, ssl.SSLError, ValueError)


class Probed(msgspec.Struct):
    """Everything that was seen, and what the servers allow."""

    seen: list[Probe] = []
    allowances: list[Allowance] = []


async def probe(given: Environment) -> Probed:
    """Ask every part at the same time; never raises for what it finds."""
    result = Probed()
    async with asyncio.TaskGroup() as group:
        for name, url in databases(given).items():
            group.create_task(_database(result, name, url, _manner(given, name)))
        if given.api is not None:
            group.create_task(_listening(result, given.api.jobs_db_url))
            group.create_task(_storage(result, given))
            group.create_task(_gateway(result, given))
    order = {name: number for number, name in enumerate(("Labeler DB", "Platform DB", "User DB", "object store"))}
    result.seen.sort(key=lambda one: order.get(one.part, len(order)))
    return result


class _Manner(msgspec.Struct, frozen=True):
    """How the service that uses a database connects to it; `pooled`: as through a pooler in transaction mode."""

    settings: Mapping[str, str]
    pooled: bool = False


def _manner(given: Environment, name: str) -> _Manner:
    if name == "Labeler DB" and given.api is not None:
        pooled = not given.api.db_statement_cache
        return _Manner(at_the_start(pooled=pooled), pooled)
    # The gateway and the API's reader of the Platform DB set their limits when a connection begins.
    return _Manner({"default_transaction_read_only": "on", "statement_timeout": "10s", **KEEPALIVE})


async def _database(result: Probed, name: str, url: str, manner: _Manner) -> None:
    def saw(what: str, level: str, text: str) -> None:
        result.seen.append(Probe(name, what, level, text))

    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_CONNECT_SECONDS,
            server_settings=dict(manner.settings),
            statement_cache_size=0 if manner.pooled else 100,
        )
    except asyncpg.ProtocolViolationError as error:
        saw("pooler", "wrong", f"{server(url)} is a pooler in transaction mode ({error}): {_REMEDY[name]}")
        return
    except _UNREACHABLE as error:
        saw("connection", "wrong", f"{server(url)} refuses: {error or type(error).__name__}")
        return
    try:
        if name == "Labeler DB":
            saw(*(sessions := await _sessions(connection, pooled=manner.pooled)))
            if sessions[1] == "wrong":  # prepared statements are somebody else's there, and all that follows fails
                return
        await _check_server(result, connection, saw, name, url)
        if name == "Labeler DB":
            await _revision(connection, saw)
        else:
            await _read_only(connection, saw)
    except _UNREACHABLE as error:
        saw("questions", "wrong", f"the server broke off: {error or type(error).__name__}")
    finally:
        await connection.close(timeout=5)


Saw = Callable[[str, str, str], None]


async def _check_server(result: Probed, connection: Connection, saw: Saw, name: str, url: str) -> None:
    facts = await connection.fetchrow(_FACTS)
    if facts is None:
        saw("role", "wrong", "the server knows neither this role nor this database; is a pooler in between?")
        return
    major = connection.get_server_version().major
    saw("version", "ok" if major >= _OLDEST_MAJOR else "wrong", f"PostgreSQL {facts['version']}, role {facts['role']}")
    if facts["standby"] and name == "Labeler DB":
        saw("standby", "wrong", "this is a read replica: the API needs the primary")
    local = server(url).rpartition(":")[0] in {"localhost", "127.0.0.1", "::1"}
    saw("TLS", "ok" if facts["tls"] or local else "note", "encrypted" if facts["tls"] else "not encrypted")
    saw(*_collation(facts))
    times = []
    for _ in range(_ROUND_TRIPS):
        begun = perf_counter()
        await connection.fetchval("SELECT 1")
        times.append(perf_counter() - begun)
    median = sorted(times)[_ROUND_TRIPS // 2]
    saw(
        "latency",
        "ok" if median <= _SLOW_SECONDS else "note",
        f"{median * 1000:.1f} ms a round trip (median of {_ROUND_TRIPS})",
    )
    result.allowances.append(_allowance(facts, server(url)))


def _collation(facts: asyncpg.Record) -> tuple[str, str, str]:
    text = f"{facts['encoding']}, {facts['datcollate']}"
    if facts["encoding"] != "UTF8":
        return "collation", "wrong", f"{text}: names in Korean need UTF8"
    if facts["datcollversion"] != facts["actual_version"]:
        return (
            "collation",
            "wrong",
            f"{text}: made with version {facts['datcollversion']}, the server has {facts['actual_version']}: "
            "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
        )
    return "collation", "ok", text


def _allowance(facts: asyncpg.Record, where: str) -> Allowance:
    allowed = facts["max_connections"] - facts["reserved"]
    explained = f"max_connections {facts['max_connections']} less {facts['reserved']} reserved"
    for name, limit in (("the database's limit", facts["datconnlimit"]), ("the role's limit", facts["rolconnlimit"])):
        if 0 <= limit < allowed:
            allowed, explained = limit, name
    return Allowance(where, allowed, explained)


async def _sessions(connection: Connection, *, pooled: bool) -> tuple[str, str, str]:
    """See whether a limit holds that is set as the API sets it: for the session, or in each transaction."""
    opening = begin(pooled=pooled)
    async with asyncio.timeout(_CONNECT_SECONDS):
        await connection.execute(opening)
        try:
            limit = await connection.fetchval("SELECT current_setting('statement_timeout')")
        finally:
            await connection.execute("ROLLBACK")
    if limit != OF_A_REQUEST["statement_timeout"]:
        return "pooler", "wrong", f"a statement's limit is {limit}, and not what the API sets: {_REMEDY['Labeler DB']}"
    how = "with each transaction (DB_STATEMENT_CACHE=false)" if pooled else "when a connection begins"
    return "pooler", "ok", f"connected as the API does: its limits come {how}"


async def _revision(connection: Connection, saw: Saw) -> None:
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        saw("schema", "note", "empty: run `labeler db upgrade`")
        return
    found = await connection.fetchval("SELECT string_agg(version_num, ', ') FROM public.alembic_version")
    text = (
        f"revision {found}" if found == HEAD else f"revision {found}, this program needs {HEAD}: `labeler db upgrade`"
    )
    saw("schema", "ok" if found == HEAD else "wrong", text)


async def _read_only(connection: Connection, saw: Saw) -> None:
    try:
        await prove(connection)
    except RoleCanWrite as error:
        saw("read-only", "wrong", f"the role could write: {error}; see `labeler db roles`")
    else:
        saw("read-only", "ok", "proven: the role has no privilege to write with")


async def _listening(result: Probed, url: str) -> None:
    """Listen as the job worker does, and notify from another connection: a transaction pooler does not pass it on.

    On one connection it would mostly be heard there, too: two queries in a row get the same session.
    """
    heard = asyncio.Event()
    settings = {"application_name": "labeler env check", "TimeZone": "UTC", **PATIENCE}
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await asyncpg.connect(url, statement_cache_size=0, server_settings=settings)
            other = await asyncpg.connect(url, statement_cache_size=0, server_settings=settings)
        try:
            await connection.add_listener("labeler_env_check", lambda *_: heard.set())
            await other.execute("NOTIFY labeler_env_check")
            await asyncio.wait_for(heard.wait(), _HEARD_SECONDS)
        finally:
            connection.terminate()
            other.terminate()
    except asyncpg.ProtocolViolationError as error:
        text = f"{server(url)} is a pooler ({error}): set LABELER_DB_UNPOOLED_URL to the address past it"
        result.seen.append(Probe("Labeler DB", "LISTEN", "wrong", text))
    except TimeoutError:
        result.seen.append(Probe("Labeler DB", "LISTEN", "wrong", "nothing is heard: is a pooler in between?"))
    except _UNREACHABLE as error:
        result.seen.append(Probe("Labeler DB", "LISTEN", "wrong", str(error) or type(error).__name__))
    else:
        result.seen.append(Probe("Labeler DB", "LISTEN", "ok", "notifications arrive"))


async def _storage(result: Probed, given: Environment) -> None:
    assert given.api is not None  # noqa: S101 - asked for by probe()
    for one in await probe_store(access_of(given.api), given.api.origins):
        result.seen.append(Probe("object store", one.what, one.level, one.text))


async def _gateway(result: Probed, given: Environment) -> None:
    from labeler_ops.environment.probe_gateway import ask  # gRPC takes a fifth of a second to load

    assert given.api is not None  # noqa: S101 - asked for by probe()
    for what, level, text in await ask(given.api):
        result.seen.append(Probe("user gateway", what, level, text))
