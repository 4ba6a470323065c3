"""What the gateway adds to the calls that show users: p50, p95 and p99 beside an API that asks the User DB itself.

`python -m benchmarks.gateway_latency` starts a PostgreSQL, the gateway and two copies of the API that differ in nothing
but the user directory (benchmarks/direct_directory.py), and asks both the same in turns: with the cache as it is in
production, and with one that forgets at once.
"""

import argparse
import asyncio
import json
import random
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.gateway import TOKEN, cluster, gateway_environment, make_users, started
from benchmarks.load import Connection, Request
from labeler_api.tokens import access_tokens
from labeler_ops.database.upgrade import upgrade
from labeler_ops.smoke.latency_comparison import LIMIT, Latency, judge
from labeler_ops.smoke.sampling import Call, one_round

_SECRET = "a secret of the benchmark that is long enough for HS256"
_WARM_UP_ROUNDS = 100
_DATASETS, _MEMBERS, _LOCKS, _VERSIONS, _INVITATIONS = 20, 50, 20, 20, 30
_CALLER = 1

# The caller is a member of the first datasets, and invited to the others; each row is another user's.
_FILL = f"""
    INSERT INTO datasets (id, name, owner_id, visibility, storage_path, num_images)
    SELECT 'ds_' || n, 'Dataset ' || n, n, 'private', 'datasets/ds_' || n || '/', 0
    FROM generate_series(1, {_DATASETS + _INVITATIONS}) n;
    INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes, total_images)
    SELECT 'proj_' || n, 'Dataset ' || n, 'ds_' || n, n, ARRAY['detection'], '{{}}', '{{"detection": {{}}}}', 0
    FROM generate_series(1, {_DATASETS + _INVITATIONS}) n;
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT 'proj_' || n, n, 'owner', n FROM generate_series(1, {_DATASETS + _INVITATIONS}) n;
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT 'proj_' || n, {_CALLER}, 'viewer', n FROM generate_series(2, {_DATASETS}) n;
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT 'proj_1', n, 'annotator', 1 FROM generate_series(2, {_MEMBERS}) n;
    INSERT INTO image_locks (project_id, image_id, user_id, expires_at)
    SELECT 'proj_1', 'train/' || n, n, now() + interval '1 day' FROM generate_series(1, {_LOCKS}) n;
    INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by, export_format,
        export_path) SELECT 'proj_1', 'detection', 'v' || n || '.0', 'published', n, 'dice',
        'exports/proj_1/detection/v' || n || '.0/annotations.json' FROM generate_series(1, {_VERSIONS}) n;
    INSERT INTO invitations (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status, expires_at)
    SELECT 'token-' || n, 'ds_' || n, n, {_CALLER}, 'user{_CALLER}@example.com', 'viewer', 'pending',
        now() + interval '7 days' FROM generate_series({_DATASETS + 1}, {_DATASETS + _INVITATIONS}) n;
    ANALYZE;
"""
_CALLS = {
    "2 me": "/api/v1/auth/me",
    f"6 datasets ({_DATASETS})": "/api/v1/datasets",
    f"34 members ({_MEMBERS})": "/api/v1/projects/proj_1/permissions",
    f"58 locks ({_LOCKS})": "/api/v1/image-locks/proj_1",
    f"63 versions ({_VERSIONS})": "/api/v1/projects/proj_1/versions",
    f"65 invitations ({_INVITATIONS})": "/api/v1/invitations?type=received&status=pending",
}


_LINK = re.compile(r'"download_url[a-z_]*": "[^"]*"')  # they name the second in which they end


@dataclass(frozen=True)
class Measured:
    """One cache time: the latencies, and the share of look-ups that the cache answered, direct and with the gateway."""

    cache_seconds: float
    latency: Latency
    hit_rates: tuple[float, float]


async def run(rounds: int, *, control: bool) -> list[Measured]:
    """Start everything, and measure with a warm cache and with none; for the control with a warm cache only."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(cluster(home))
        users = await make_users(server)
        await _fill(server.dsn("postgres"), labeler := server.dsn("labeler"))
        line = await stack.enter_async_context(started("user_gateway", environment=gateway_environment(users)))
        environment = _environment(labeler, users, line)
        kinds, times = (("direct", "direct"), (30.0,)) if control else (("direct", "gateway"), (30.0, 0.0))
        return [await _measured(environment, kinds, seconds, rounds) for seconds in times]


async def _fill(superuser: str, labeler: str) -> None:
    connection = await asyncpg.connect(superuser)
    await connection.execute("CREATE DATABASE labeler")
    await connection.close()
    await upgrade(labeler)
    connection = await asyncpg.connect(labeler)
    await connection.execute(_FILL)
    await connection.close()


async def _measured(
    environment: Mapping[str, str], kinds: Sequence[str], cache_seconds: float, rounds: int
) -> Measured:
    given = {**environment, "USER_CACHE_SECONDS": str(cache_seconds)}
    async with AsyncExitStack() as stack:
        copies = [
            (await stack.enter_async_context(started("benchmarks.direct_directory", kind, environment=given))).strip()
            for kind in kinds
        ]
        await _same_answers(copies)
        sides = [await stack.enter_async_context(_calls(copy)) for copy in copies]
        chance = random.Random()
        for _ in range(_WARM_UP_ROUNDS):
            await one_round(sides[0], sides[1], chance)
        before = [await _look_ups(copy) for copy in copies]
        done = [await one_round(sides[0], sides[1], chance) for _ in range(rounds)]
        after = [await _look_ups(copy) for copy in copies]
    shares = [
        (later[0] - earlier[0]) / (sum(later) - sum(earlier)) for earlier, later in zip(before, after, strict=True)
    ]
    return Measured(cache_seconds, judge(done), (shares[0], shares[1]))


async def _same_answers(copies: Sequence[str]) -> None:
    """Both copies must say the same of the same users; else the comparison is of different things."""
    async with httpx.AsyncClient(headers=_headers(), timeout=30) as client:
        for name, path in _CALLS.items():
            answers = [(await _patiently(client, copy + path)).json() for copy in copies]
            told = [_LINK.sub("", json.dumps(answer)) for answer in answers]
            if told[0] != told[1] or f"User {_CALLER}" not in told[0]:
                raise SystemExit(f"{name}: the copies answer differently:\n{told[0][:500]}\n{told[1][:500]}")


async def _patiently(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Ask a copy that may be starting still."""
    for _ in range(300):
        try:
            answer = await client.get(url)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer.raise_for_status()
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


@asynccontextmanager
async def _calls(copy: str) -> AsyncIterator[dict[str, Call]]:
    """One keep-alive connection, and the calls on it."""
    port = urlsplit(copy).port
    assert port is not None
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)

    def call(request: bytes) -> Call:
        async def ask() -> None:
            if (status := await connection.ask(request)) != httpx.codes.OK:
                raise SystemExit(f"an answer had the status {status}")

        return ask

    yield {name: call(Request(copy + path, headers=_headers()).encoded()) for name, path in _CALLS.items()}
    connection.close()


async def _look_ups(copy: str) -> tuple[float, float]:
    """(hits, misses) of the copy's cache so far."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{copy}/metrics")).raise_for_status().text
    counts = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    hits, misses = (float(counts[f'labeler_user_cache_lookups_total{{result="{name}"}}']) for name in ("hit", "miss"))
    return hits, misses


def _headers() -> dict[str, str]:
    token = access_tokens.issue(user_id=_CALLER, email=f"user{_CALLER}@example.com", secret=_SECRET, minutes=60)
    return {"Authorization": f"Bearer {token}"}


def _environment(labeler: str, users: str, ready: str) -> dict[str, str]:
    """What both copies are started with; there is no object store, which none of the calls asks."""
    return {
        "ENVIRONMENT": "test",
        "LABELER_DB_URL": labeler,
        "USER_DB_URL": users,
        "USER_GATEWAY_ADDRESS": f"127.0.0.1:{json.loads(ready)['port']}",
        "USER_GATEWAY_TOKEN": TOKEN,
        "JWT_SECRET_KEY": _SECRET,
        "API_PUBLIC_URL": "http://api.test",
        "JOBS": "off",
    }


def _table(measured: Measured) -> Table:
    latency, rates = measured.latency, [f"{rate:.1%}" for rate in measured.hit_rates]
    cache = f"a cache of {measured.cache_seconds:g} s" if measured.cache_seconds else "no cache"
    title = f"{cache}; hit rate {rates[0]} direct, {rates[1]} gateway; p50/p95/p99 in ms, {latency.rounds} rounds"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("call", no_wrap=True)
    for column in ("direct", "gateway", "added p95", "between, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in (*latency.calls, latency.overall):
        direct, gateway = (f"{side.p50:.2f}/{side.p95:.2f}/{side.p99:.2f}" for side in (one.before, one.after))
        between = f"{one.low * 100:+.1f} … {one.high * 100:+.1f}"
        table.add_row(one.name, direct, gateway, f"{one.change:+.1%}", between)
    return table


def main() -> None:
    """Measure and print. Exit code 1 when the warm p95 is surely worse by 10 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000, help="of all six calls, on either side")
    parser.add_argument("--control", action="store_true", help="two copies without the gateway: how much is noise")
    options = parser.parse_args()
    results = asyncio.run(run(options.rounds, control=options.control))
    console = Console(width=120, highlight=False)
    if options.control:
        console.print("control: both copies ask the User DB themselves")
    for measured in results:
        console.print(_table(measured))
    change = results[0].latency.overall
    sure = f"between {change.low:+.1%} and {change.high:+.1%}"
    console.print(f"warm, the second adds {change.change:+.1%} to the p95 ({sure}); the limit is {LIMIT:.0%}")
    console.print("all calls: each latency in multiples of its call's direct median")
    if change.verdict == "fail":
        raise SystemExit(1)


if __name__ == "__main__":
    main()
