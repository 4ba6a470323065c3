"""Twenty people annotate over HTTP while the database is moved, and while it is moved back: nothing is lost."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from labeler_ops.maintenance import fence
from labeler_ops.move import move_report
from labeler_ops.runs import Run
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import BOX
from tests.fixtures.api import Api, storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.datasets import Dataset
from tests.fixtures.move_variables import variables
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.relay import Relay
from tests.fixtures.users import RunningGateway

LABELER = Path(sys.executable).with_name("labeler")
WRITERS = 20
ROWS = ("--only", "databases")
_PAUSE_SECONDS = 0.5  # between two of one person's: a quick one, and the machine has other work too
_DEADLINE_SECONDS = 90.0
_ANSWERED, _UNAVAILABLE = 200, 503
# What an operator's script does, but for the deployment itself, which is the test's.
_DEPLOY = 'cp "$LABELER_NEW_ENVIRONMENT" {0}.partial && mv {0}.partial {0} && echo deploying'


class Front(Relay):
    """What users reach: it leads to whichever process was deployed last."""

    def lead_to(self, port: int) -> None:
        self._target_port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Deployment:
    """One API process at a time behind the front, replaced as a deployment does: the new one first, then the old."""

    front: Front
    variables: dict[str, str]
    directory: Path
    processes: list[ApiProcess] = field(default_factory=list)

    async def deploy(self, dsn: str) -> None:
        number = len(self.processes)
        process = ApiProcess({**self.variables, "LABELER_DB_URL": dsn}, self.directory / f"api-{number}.log")
        self.processes.append(process)
        process.launch()
        await process.ready()
        self.front.lead_to(process.port)
        if number:
            await self.processes[number - 1].stop()

    async def deploy_when_asked(self, asked: Path) -> None:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while (dsn := _asked_for(asked)) is None:  # noqa: ASYNC110 - another process asks
                await asyncio.sleep(0.02)
        await self.deploy(dsn)


def _asked_for(path: Path) -> str | None:
    """The URL in the environment that the operator's command brought, once it did."""
    if not path.exists():
        return None
    return variables(path)["LABELER_DB_URL"]


@dataclass
class Ledger:
    """What the writers were told: markers that were acknowledged, how many refusals, and when the last writes were."""

    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    cut_off: int = 0
    last: float = 0.0
    longest_gap: float = 0.0
    going: bool = True
    wanted: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def took(self, marker: str) -> None:
        now = time.monotonic()
        if self.last:
            self.longest_gap = max(self.longest_gap, now - self.last)
        self.last = now
        self.acknowledged.add(marker)
        if len(self.acknowledged) >= self.wanted:
            self.enough.set()

    async def grown(self) -> None:
        """Wait until as many more are in as there are writers."""
        self.enough, self.wanted = asyncio.Event(), len(self.acknowledged) + WRITERS
        await asyncio.wait_for(self.enough.wait(), _DEADLINE_SECONDS)


async def write(number: int, front: Front, token: str, dataset: Dataset, ledger: Ledger) -> None:
    """Annotate; what was refused or cut off is sent again under its key, as the frontend does."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=front.url, headers=headers, timeout=60, trust_env=False) as client:
        for count in itertools.count():
            saved = False
            while not saved:
                if not ledger.going:
                    return
                saved = await _saved(client, dataset, f"{number}-{count}", number, ledger)
                await asyncio.sleep(_PAUSE_SECONDS)  # of a person; nothing waits for it


async def _saved(client: httpx.AsyncClient, dataset: Dataset, marker: str, number: int, ledger: Ledger) -> bool:
    body = {"project_id": dataset.project_id, "image_id": dataset.image_ids[number], "notes": marker, **_BOX}
    try:
        answer = await client.post("/api/v1/annotations", json=body, headers={"Idempotency-Key": f"writer-{marker}"})
    except httpx.TransportError:
        ledger.cut_off += 1
        return False
    if answer.status_code == _UNAVAILABLE:
        ledger.refused += 1
        assert "Retry-After" in answer.headers
        return False
    assert answer.is_success, answer.text
    ledger.took(marker)
    return True


_BOX = {"annotation_type": "bbox", "task_type": "detection", "geometry": BOX}


@asynccontextmanager
async def writing(api: Api, front: Front, dataset: Dataset) -> AsyncIterator[Ledger]:
    ledger, token = Ledger(), api.token(USER_IDS["owner"], "owner@example.com")
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(write(number, front, token, dataset, ledger))
        try:
            yield ledger
        finally:
            ledger.going = False


async def labeler(*arguments: str) -> str:
    """Run the command line; what it printed."""
    process = await asyncio.create_subprocess_exec(
        LABELER,
        *arguments,
        env={**os.environ, "LABELER_SMOKE_PASSWORD": "stranger123"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    return out.decode()


@pytest.fixture
async def deployment(gateway: RunningGateway, object_store: SeaweedServer, tmp_path: Path) -> AsyncIterator[Deployment]:
    variables = {
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        **storage_environment(object_store),
    }
    async with Front(0) as front:
        running = Deployment(front, variables | {"API_PUBLIC_URL": front.url}, tmp_path)
        try:
            yield running
        finally:
            for process in running.processes:
                await process.stop()


@pytest.mark.slow
async def test_twenty_writers_lose_nothing_on_the_way_there_and_back(
    api: Api,
    labeler_dsn: str,
    create_database: DatabaseFactory,
    deployment: Deployment,
    tmp_path: Path,
    record_property: Any,
) -> None:
    dataset = await api.dataset(tasks=["detection"], images=WRITERS)
    target, local = await create_database(), await create_database()
    runs, front = tmp_path / "runs", deployment.front
    sides = ("--source", labeler_dsn, "--target", target, "--runs", str(runs))
    watched = ("--smoke-url", front.url, "--smoke-email", "stranger@example.com", "--wait", "60")
    await deployment.deploy(labeler_dsn)
    async with writing(api, front, dataset) as ledger:
        await ledger.grown()
        there = tmp_path / "there.env"
        moved = asyncio.create_task(labeler("move", "run", *ROWS, *sides, *watched, "--deploy", _DEPLOY.format(there)))
        await deployment.deploy_when_asked(there)
        said = await moved
        there_gap, ledger.longest_gap, ledger.last = ledger.longest_gap, 0.0, 0.0
        await ledger.grown()
        on_target = len(ledger.acknowledged)
        run = next(runs.glob("*-move-*"))
        back = tmp_path / "back.env"
        way = ("--run", run.name, "--into", local, "--deploy", _DEPLOY.format(back))
        returned = asyncio.create_task(labeler("move", "rollback", *sides, *watched, *way))
        await deployment.deploy_when_asked(back)
        await returned
        await ledger.grown()
    stored = await _markers(local)
    assert ledger.acknowledged <= set(stored)
    assert len(stored) == len(set(stored)), "a save that was sent again is there twice"
    assert len(stored) - len(ledger.acknowledged) <= WRITERS
    assert set(await _markers(target)) < ledger.acknowledged
    assert on_target < len(ledger.acknowledged)
    assert ledger.refused > 0
    assert [(await fence.status(side)).stands for side in (labeler_dsn, target, local)] == [True, True, False]
    assert "\nsmoke, reading\n" in said
    assert "\nsmoke\n" in said
    stops = _seconds_without_writes(run)
    # What the tool says is what the writers saw, give or take a look at the switch and a pause of theirs.
    assert there_gap < stops[0] + 5
    print(  # noqa: T201
        f"\nwithout writes: {stops[0]:.1f} s there (writers: {there_gap:.1f} s), {stops[1]:.1f} s back (writers: "
        f"{ledger.longest_gap:.1f} s); {len(ledger.acknowledged)} acknowledged, {ledger.refused} refused with 503, "
        f"{ledger.cut_off} cut off"
    )
    record_property("seconds_without_writes", stops)


async def _markers(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT notes FROM annotations WHERE notes IS NOT NULL")]
    finally:
        await connection.close()


def _seconds_without_writes(run: Path) -> list[float]:
    """There and back."""
    text = (run / "report.txt").read_text()
    assert text.count("nobody could write for") == 2
    stops = [one.seconds for one in move_report.read(Run.read(run)).stops]
    assert None not in stops
    return [seconds for seconds in stops if seconds is not None]
