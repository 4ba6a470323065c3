"""What saving costs: beside a bare handler that updates a row and commits, and with other people in the project.

`python -m benchmarks.writes` starts the embedded stack in a temporary home, and an API process and the bare server
beside it. The load comes from `wrk` where that is installed. With two cores or more, the API and the bare server run on
the first one and the load on the last one; PostgreSQL runs anywhere. All is measured in turns, so that a noisy machine
is unfair to all alike: the ratios last, and not the rates.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.api import bare, make_tables, stack
from benchmarks.beside import beside_long_work
from benchmarks.figures import Figures, add_write, show
from benchmarks.load import Request
from benchmarks.people import IMAGES, Person, Project, people, project
from benchmarks.processes import Cores, Server, api_process, environment_of
from benchmarks.turns import Bench, Summary

_BOX = {"type": "bbox", "bbox": [10.5, 20.5, 99.0, 51.0], "image_width": 640, "image_height": 480}


@dataclass(frozen=True)
class Writes:
    """What is sent over and over, by the names of the calls."""

    url: str

    def of(self, name: str, number: int, where: Project, person: Person) -> list[Request]:
        """One call on the image of this number, by a person: what is done, and for a confirmation what undoes it."""
        image = f"train%2F{number % IMAGES + 1}"
        annotation = f"/api/v1/annotations/{where.annotation_ids[number % len(where.annotation_ids)]}"
        box = _bytes({"geometry": _BOX})
        if name == "create":
            body = {"project_id": where.id, "image_id": f"train/{number % IMAGES + 1}", "annotation_type": "bbox"}
            asked = [("POST", "/api/v1/annotations", _bytes({**body, "geometry": _BOX, "class_id": "c1"}))]
        elif name == "update":
            asked = [("PUT", annotation, box)]
        elif name == "acquire":
            asked = [("POST", f"/api/v1/image-locks/{where.id}/{image}/acquire", b"{}")]
        else:
            asked = [("POST", f"{annotation}/{name}", b"{}")]
        return [Request(self.url + path, method, body, person.headers) for method, path, body in asked]

    def each(self, name: str, places: Sequence[tuple[Project, Person]], *, first: int = 0) -> list[Request]:
        """Go through all images, and through these projects and people on the way."""
        names = ["confirm", "unconfirm"] if name == "confirm" else [name]
        return [
            request
            for one in names
            for number in range(first, IMAGES)
            for request in self.of(one, number, *places[number % len(places)])
        ]


def _bytes(body: Mapping[str, Any]) -> bytes:
    return httpx.Request("POST", "http://x", json=body).content


NAMES = ("create", "update", "acquire", "confirm")
SECTIONS = ("bare", "shared", "beside")


async def keep_bodies(dsn: str, writes: Writes, where: Project, person: Person) -> None:
    """Store what the API answers to each call, for the bare server to return."""
    database = await asyncpg.connect(dsn)
    await make_tables(database, IMAGES)
    async with httpx.AsyncClient() as client:
        for number, name in enumerate(NAMES):
            (request,) = writes.of(name, 0, where, person)
            headers = {**(request.headers or {}), "Content-Type": "application/json"}
            answer = await client.request(request.method, request.url, content=request.body, headers=headers)
            answer.raise_for_status()
            await database.execute("INSERT INTO benchmark_bodies VALUES ($1, $2)", number, answer.content)
    await database.close()


COLUMNS = (
    *("call", "conn", "a second", "p50 ms", "p95 ms", "max ms", "API CPU", "PG CPU", "bare/s", "bare p95"),
    *("bare CPU", "PG CPU", "ratio", "by CPU", "of first", "bare of first", "p95 ratio", "failed"),
)


@dataclass(frozen=True)
class Measured:
    """A call and the bare handler; and both over the first number of connections, which they are compared with."""

    name: str
    connections: int
    ours: Summary
    floor: Summary
    first: tuple[Summary, Summary]

    @property
    def by_cpu(self) -> float:
        """The CPU time of the bare call, PostgreSQL's with it, in parts of ours."""
        return (self.floor.server_ms + self.floor.postgres_ms) / (self.ours.server_ms + self.ours.postgres_ms)

    def cells(self) -> list[str]:
        """A row of a table with COLUMNS."""
        found, least = self.ours, self.floor
        first, first_least = self.first
        return [
            *(self.name, str(self.connections), f"{found.rate:,.0f}", f"{found.p50:.1f}", f"{found.p95:.1f}"),
            *(f"{found.slowest:.0f}", f"{found.server_ms:.2f}", f"{found.postgres_ms:.2f}"),
            *(f"{least.rate:,.0f}", f"{least.p95:.1f}", f"{least.server_ms:.2f}", f"{least.postgres_ms:.2f}"),
            *(f"{found.rate / least.rate:.2f}", f"{self.by_cpu:.2f}"),
            *(f"{found.rate / first.rate:.2f}", f"{least.rate / first_least.rate:.2f}"),
            *(f"{found.p95 / least.p95:.1f}", str(found.failures + least.failures)),
        ]


async def beside_bare(
    ready: Mapping[str, Any], bench: Bench, connections: Sequence[int], names: Sequence[str] = NAMES
) -> list[Measured]:
    """Measure calls beside the bare handler, beside a running stack."""
    dsn, environment = ready["databases"]["labeler"], environment_of(ready["pids"]["api"])
    async with AsyncExitStack() as exits:
        api = await exits.enter_async_context(api_process(environment, cores=bench.cores.servers))
        person, *_ = await people(ready, environment["JWT_SECRET_KEY"])
        writes = Writes(api.url)
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
            # Of one person, who may not write to what eight hold in theirs.
            alone = await project(dsn, client, person)
        await keep_bodies(dsn, writes, alone, person)
        floor = await exits.enter_async_context(bare(dsn, bench.cores.servers))
        found: list[Measured] = []
        for number, name in enumerate(NAMES):
            if name not in names:
                continue
            ours = writes.each(name, [(alone, person)])
            bares = [Request(f"{floor.url}/{number}/{row}", "POST", b"{}") for row in range(1, IMAGES + 1)]
            sides = (api.pid, ours), (floor.pid, bares)
            timed = await bench.in_turns([(*side, count) for count in connections for side in sides])
            both = list(zip(timed[::2], timed[1::2], strict=True))
            found += [Measured(name, count, *pair, both[0]) for count, pair in zip(connections, both, strict=True)]
    return found


def ratios(found: Sequence[Measured]) -> dict[str, float]:
    """What is drawn and what a later run is held to: CPU time, which neighbours on the machine hardly change."""
    return {f"{one.name}, {one.connections}": one.by_cpu for one in found}


async def shared(bench: Bench, api: Server, one: Project, eight: Sequence[Project], persons: Sequence[Person]) -> Table:
    """Measure eight people in one project beside the same eight people in a project each."""
    table = _table("call", "conn", "one/s", "one p95 ms", "eight/s", "eight p95 ms", "ratio", "p95 ratio", "failed")
    writes = Writes(api.url)
    for name in NAMES:
        together = writes.each(name, [(one, person) for person in persons])
        apart = writes.each(name, list(zip(eight, persons, strict=True)))
        found, others = await bench.in_turns([(api.pid, together, len(persons)), (api.pid, apart, len(persons))])
        table.add_row(
            *(name, str(len(persons)), f"{found.rate:,.0f}", f"{found.p95:.1f}", f"{others.rate:,.0f}"),
            *(f"{others.p95:.1f}", f"{found.rate / others.rate:.2f}", f"{found.p95 / others.p95:.2f}"),
            str(found.failures + others.failures),
        )
    table.title = f"Eight people in one project, and in eight; {bench.how}"
    return table


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, justify="left" if column == "call" else "right", no_wrap=True)
    return table


async def main(given: Any) -> None:
    """Run the benchmark, print its tables, and write the first one where that is wanted."""
    cores = Cores.present()
    async with AsyncExitStack() as exits:
        home = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        ready = await exits.enter_async_context(stack(home))
        bench = Bench(ready["pids"]["postgres"], cores, given.seconds, given.rounds)
        if "bare" in given.sections:
            found = await beside_bare(ready, bench, given.connections, given.calls)
            rows, title = [one.cells() for one in found], "Saves beside a bare handler that updates a row and commits"
            show(Figures("writes", title, COLUMNS, rows, [bench.how], ratios(found)), write=given.write)
        dsn, environment = ready["databases"]["labeler"], environment_of(ready["pids"]["api"])
        server = await exits.enter_async_context(api_process(environment, cores=cores.servers))
        api = await exits.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60))
        persons = await people(ready, environment["JWT_SECRET_KEY"])
        console = Console(width=180)
        if "shared" in given.sections:
            one = await project(dsn, api, persons[0], members=persons)
            eight = [await project(dsn, api, person) for person in persons]
            console.print(await shared(bench, server, one, eight, persons))
        if "beside" in given.sections:
            console.print(*await beside_long_work(dsn, api, persons, given.boxes), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 32])
    parser.add_argument(
        "--calls", nargs="+", default=list(NAMES), choices=NAMES, help="of the section beside the bare handler"
    )
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--boxes", type=int, default=100_000, help="of the import that others save beside")
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    add_write(parser)
    asyncio.run(main(parser.parse_args()))
