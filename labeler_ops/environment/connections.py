"""How many connections the system may open at each PostgreSQL server, and how many the server allows."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from labeler_ops.environment.problems import Environment, Problem
from labeler_ops.environment.problems_stores import databases

_PLATFORM_POOL = 3  # labeler_api.db.platform's; a test compares
_OPERATORS = 3  # a migration, a backup and a person with psql
_TIGHT = 0.9


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What one service opens at one database, at most, and what one server allows where it was asked."""

    database: str
    server: str
    formula: str
    connections: int


class Allowance(msgspec.Struct, frozen=True):
    """What a server allows: `allowed` connections of ordinary roles."""

    server: str
    allowed: int
    explained: str


def server(url: str) -> str:
    """Name a server by host and port: databases of one server share its connections."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"


def sums(given: Environment, *, replicas: int, overlap: bool) -> list[Sum]:
    """Add up what every process may hold at once. `overlap`: the old deployment still runs while the new one starts."""
    times = replicas * (2 if overlap else 1)
    shown = f" × {replicas} replicas" + (" × 2 while deployments overlap" if overlap else "")
    return [_sum(given, database, url, times, shown) for database, url in databases(given).items()]


def _sum(given: Environment, database: str, url: str, times: int, shown: str) -> Sum:
    extra, formula, processes = 0, "", 1
    if database == "User DB" and given.gateway is not None:
        each = given.gateway.variables.user_db_pool_size + 1
        processes = given.gateway.variables.user_gateway_workers
        formula = f"({each - 1} pool + 1 watcher)" + (f" × {processes} workers" if processes > 1 else "")
    elif database == "Platform DB" and given.api is not None:
        each, processes = _PLATFORM_POOL, given.api.api_workers
        formula = f"({_PLATFORM_POOL} pool) × {processes} workers"
    else:
        assert given.api is not None  # noqa: S101 - databases() found it there
        jobs = 1 if given.api.jobs == "on" else 0
        processes, extra = given.api.api_workers, _OPERATORS
        each = given.api.db_pool_size + given.api.db_max_overflow + jobs + 1
        formula = (
            f"({given.api.db_pool_size} pool + {given.api.db_max_overflow} overflow + {jobs} jobs + 1 maintenance)"
            f" × {processes} workers"
        )
    tail = f" + {extra} for operators" if extra else ""
    return Sum(
        database=database,
        server=server(url),
        formula=f"{formula}{shown}{tail}",
        connections=each * processes * times + extra,
    )


def compare(wanted: Sequence[Sum], allowances: Sequence[Allowance]) -> list[Problem]:
    """Compare what is wanted of each server with what it allows."""
    problems = []
    for one in {allowance.server: allowance for allowance in allowances}.values():
        total = sum(each.connections for each in wanted if each.server == one.server)
        text = (
            f"{one.server}: the services may open {total} connections, "
            f"the server allows {one.allowed} ({one.explained})"
        )
        if total > one.allowed:
            problems.append(
                Problem("wrong", f"{text}: lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise max_connections")
            )
        elif total > _TIGHT * one.allowed:
            problems.append(Problem("note", text))
    return problems
