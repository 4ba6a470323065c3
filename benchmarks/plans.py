"""What a write costs PostgreSQL with plans that are kept and with plans that are made anew: the same API, in turns.

`python -m benchmarks.plans` starts the embedded stack in a temporary home and, beside its own, four API processes: with
connections of their own to the database and as behind a transaction pooler, and each with and without
`db.connection.PLANNED_ONCE`. Everything else is alike. Beside the rates stands the CPU time of PostgreSQL a call, which
is the same on a busy machine (Linux).
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.api import fill, stack, token
from benchmarks.calls import VARIANTS, Ask, asks
from benchmarks.load import Request, measure
from benchmarks.processes import Server, api_process, cpu_seconds, environment_of

ROUNDS = 9
_ANEW = "from labeler_api.db import connection\nconnection.PLANNED_ONCE.clear()\n"
# Behind a pooler, too, where the API does not ask for it.
_KEPT = """
from labeler_api.db import connection, pool
made = pool.Openings.__init__
def init(self, *, pooled):
    made(self, pooled=pooled)
    self.planned_once = connection.begin(pooled=pooled, **connection.PLANNED_ONCE)
pool.Openings.__init__ = init
"""
_RUN = "import runpy\nrunpy.run_module('labeler_api', run_name='__main__', alter_sys=True)"


def process(environment: Mapping[str, str], *, anew: bool, pooled: bool) -> AbstractAsyncContextManager[Server]:
    """Start an API process with the stack's settings; its address."""
    code = (_ANEW if anew else _KEPT) + _RUN
    return api_process(environment, "-c", code, DB_STATEMENT_CACHE="off" if pooled else "on")


async def compare(
    ask: Ask, processes: list[str], headers: Mapping[str, str], connections: int, seconds: float, server: int
) -> list[tuple[float, float]]:
    """Measure all in turns; return of each the median rate, and PostgreSQL's CPU milliseconds a call."""
    found: list[list[tuple[float, float]]] = [[] for _ in processes]
    for turn in range(ROUNDS):
        order = list(enumerate(processes))
        for number, address in order if turn % 2 else order[::-1]:
            asked = [
                Request(address + path, ask.method, ask.content(variant), {**headers, **ask.headers}, ask.status)
                for variant, path in enumerate(ask.paths)
            ]
            before, started = cpu_seconds(server), perf_counter()
            result = await measure(asked, connections=connections, seconds=seconds)
            calls = result.requests_per_second * (perf_counter() - started)
            if result.failures:
                raise SystemExit(f"{ask.name}: {result.failures} calls failed")
            found[number].append((result.requests_per_second, 1000 * (cpu_seconds(server) - before) / calls))
    return [(median(rate for rate, _ in one), median(cpu for _, cpu in one)) for one in found]


async def main(connections: list[int], seconds: float, only: str) -> None:
    """Run the benchmark and print its table."""
    table = Table(title=f"Plans made anew and kept; {ROUNDS} rounds in turns, medians; CPU of PostgreSQL in ms a call")
    for column in ("call", "conn", "way", "anew/s", "kept/s", "ratio", "anew ms", "kept ms", "ratio"):
        table.add_column(column, justify="left" if column in {"call", "way"} else "right", no_wrap=True)
    async with AsyncExitStack() as exits:
        ready = await exits.enter_async_context(stack(Path(exits.enter_context(tempfile.TemporaryDirectory()))))
        environment = environment_of(ready["pids"]["api"])
        async with httpx.AsyncClient(base_url=ready["api"], timeout=30) as api:
            headers = {"Authorization": f"Bearer {await token(ready, api)}"}
            api.headers.update(headers)
            dataset, project, ids = await fill(ready["databases"]["labeler"], api)
            calls = [ask for ask in await asks(api, dataset, project, ids) if ask.writes]
        calls.append(Ask("confirm", "POST", [f"/api/v1/annotations/{one}/confirm" for one in ids], {}))
        processes = [
            (await exits.enter_async_context(process(environment, anew=anew, pooled=pooled))).url
            for pooled in (False, True)
            for anew in (True, False)
        ]
        server = ready["pids"]["postgres"]
        for ask in calls:
            for count in connections if only in ask.name else ():
                found = await compare(ask, processes, headers, min(count, VARIANTS), seconds, server)
                for way, (anew, kept) in (("direct", found[:2]), ("pooled", found[2:])):
                    rates = [f"{anew[0]:,.0f}", f"{kept[0]:,.0f}", f"{kept[0] / anew[0]:.2f}"]
                    cpu = [f"{anew[1]:.2f}", f"{kept[1]:.2f}", f"{kept[1] / anew[1]:.2f}"]
                    table.add_row(ask.name, str(count), way, *rates, *cpu)
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[8])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    given = parser.parse_args()
    asyncio.run(main(given.connections, given.seconds, given.only))
