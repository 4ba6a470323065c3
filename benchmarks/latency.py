"""Round trips to PostgreSQL of every call of the frontend, and milliseconds with a database that is near and far.

`python -m benchmarks.latency` starts the embedded stack in a temporary home, and beside its API another one whose way
to PostgreSQL goes through a proxy. That adds 0, 2 and 10 ms, half of them each way, in turns. Connections are warm and
statements prepared, as they are in a process that has run for a minute. Round trips are counted twice: by the proxy,
which sees what is sent until something is answered; and by time, (t10 - t0) of the fastest calls in units of what 10 ms
add to `SELECT 1`.
The two differ where a call asks two things side by side, or waits for something else.

`--json` keeps what was found, `--before` shows it beside another run, `--picture` draws both.
"""

import argparse
import asyncio
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import httpx
import msgspec
from rich.console import Console
from rich.table import Table

import labeler_api
from benchmarks.api import fill, stack, token
from benchmarks.bars import Bar, chart
from benchmarks.far import Far
from benchmarks.frontend_calls import Colleague, Frontend, Step
from benchmarks.processes import api_process, environment_of

ADDED_MS = (0, 2, 10)
_WARM = 7  # times: PostgreSQL settles on a plan after five


class Measured(msgspec.Struct):
    """One call: round trips that the proxy saw, those that the time tells, and milliseconds by what was added."""

    name: str
    writes: bool
    round_trips: float
    by_time: float
    ms: dict[int, float]


class Run(msgspec.Struct):
    """One run, and what it was a run of."""

    commit: str
    day: str
    load: float
    rounds: int
    select_ms: dict[int, float]
    calls: list[Measured]


async def select_ms(far: Far, rounds: int) -> dict[int, float]:
    """Measure what one round trip takes by the proxy."""
    connection = await asyncpg.connect(far.dsn)
    found: dict[int, list[float]] = {added: [] for added in ADDED_MS}
    for _ in range(rounds + 1):
        for added in ADDED_MS:
            far.one_way_seconds = added / 2000
            started = perf_counter()
            await connection.fetchval("SELECT 1")
            found[added].append((perf_counter() - started) * 1000)
    await connection.close()
    return {added: min(waits[1:]) for added, waits in found.items()}


async def measure(step: Step, frontend: Frontend, far: Far, rounds: int, unit: float) -> Measured:
    """Call over and over, with each distance in turns; `unit` are the milliseconds that 10 ms add to a round trip."""
    waits: dict[int, list[float]] = {added: [] for added in ADDED_MS}
    counted = []
    for turn in range(_WARM + rounds):
        for added in ADDED_MS if turn >= _WARM else (0,):
            far.one_way_seconds = 0.0
            made = await step.prepare() if step.prepare else None
            far.one_way_seconds = added / 2000
            before, started = far.round_trips, perf_counter()
            await frontend.take(step, made)
            wait = (perf_counter() - started) * 1000
            if turn >= _WARM:
                waits[added].append(wait)
                counted.append(far.round_trips - before)
    ms = {added: round(median(found), 2) for added, found in waits.items()}
    # Of the fastest, which nobody else's work was in the way of.
    by_time = round((min(waits[10]) - min(waits[0])) / unit, 1)
    return Measured(step.name, step.writes, median(counted), by_time, ms)


async def run(rounds: int, only: str, name: str) -> Run:
    """Start everything and measure each call."""
    async with AsyncExitStack() as exits:
        home = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        ready = await exits.enter_async_context(stack(home))
        dsn = ready["databases"]["labeler"]
        far = await exits.enter_async_context(Far(dsn))
        environment = environment_of(ready["pids"]["api"])
        server = await exits.enter_async_context(api_process(environment, LABELER_DB_URL=far.dsn))
        api = await exits.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60))
        api.headers["Authorization"] = f"Bearer {await token(ready, api)}"
        dataset, project, _ = await fill(dsn, api)
        units = await select_ms(far, rounds)
        frontend = Frontend(api, dataset, project, await colleague(ready, api))
        steps = [*frontend.reads(), *frontend.writes(), *frontend.people()]
        steps = [step for step in steps if only in step.name]
        calls = [await measure(step, frontend, far, rounds, units[10] - units[0]) for step in steps]
        load = os.getloadavg()[1]
    units = {added: round(value, 2) for added, value in units.items()}
    return Run(name or commit(), f"{datetime.now(UTC):%Y-%m-%d}", round(load, 1), rounds, units, calls)


async def colleague(ready: Mapping[str, Any], api: httpx.AsyncClient) -> Colleague:
    """Find an account of the demo to be made a member. It makes no calls of its own here."""
    account = next(account for account in ready["accounts"] if account["role"] == "annotator")
    login = {"email": account["email"], "password": account["password"]}
    token = (await api.post("/api/v1/auth/login", json=login)).raise_for_status().json()["access_token"]
    me = await api.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
    return Colleague(me.raise_for_status().json()["id"], account["email"], api)


def commit() -> str:
    """Name what was measured: the commit of the API, as far as git knows it."""
    where = Path(labeler_api.__file__).parent
    named = subprocess.run(
        ["git", "-C", str(where), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return named.stdout.strip() or "unknown"


def table(now: Run, before: Run | None) -> Table:
    """Lay the calls out, beside those of another run."""
    title = f"Round trips to PostgreSQL and ms a call; {now.commit}, {now.rounds} rounds, medians, load {now.load}"
    found = Table(title=f"{title}; before: {before.commit}" if before else title)
    found.add_column("call", no_wrap=True)
    for column in ("round trips", "by time", *(f"+{added} ms" for added in ADDED_MS)):
        found.add_column(column, justify="right", no_wrap=True)
    if before:
        for column in ("before", "by time", "+0 ms", "+10 ms"):
            found.add_column(column, justify="right", no_wrap=True)
    of_before = {call.name: call for call in before.calls} if before else {}
    for call in now.calls:
        row = [call.name, f"{call.round_trips:g}", f"{call.by_time:.1f}", *(f"{call.ms[at]:.1f}" for at in ADDED_MS)]
        if (old := of_before.get(call.name)) is not None:
            row += [f"{old.round_trips:g}", f"{old.by_time:.1f}", f"{old.ms[0]:.1f}", f"{old.ms[10]:.1f}"]
        found.add_row(*row)
    return found


def picture(now: Run, before: Run | None) -> str:
    """Draw the round trips of each call, those of another run above them."""
    of_before = {call.name: call.round_trips for call in before.calls} if before else {}
    bars = [Bar(call.name, call.round_trips, of_before.get(call.name)) for call in now.calls]
    return chart("Round trips to PostgreSQL", bars, now=now.commit, before=before.commit if before else None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or show what was kept of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--name", default="", help="of what is measured, instead of its commit")
    parser.add_argument("--shown", type=Path, help="measure nothing, and show what --json kept here")
    parser.add_argument("--before", type=Path, help="what --json kept of a run to compare with")
    parser.add_argument("--json", type=Path, help="keep what was found here")
    parser.add_argument("--picture", type=Path, help="draw it here, as SVG")
    given = parser.parse_args(arguments)
    kept = msgspec.json.Decoder(Run)
    before = kept.decode(given.before.read_bytes()) if given.before else None
    now = (
        kept.decode(given.shown.read_bytes()) if given.shown else asyncio.run(run(given.rounds, given.only, given.name))
    )
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(now), indent=1) + b"\n")
    if given.picture:
        given.picture.write_text(picture(now, before))
    Console(width=140).print(table(now, before))


if __name__ == "__main__":
    main()
