"""A whole system under attack, and what another person sees of it meanwhile."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.datasets import Dataset
from tests.fixtures.timing import TooSlow

CALL_SECONDS = 0.5
"""What 99 of 100 calls of a bystander need at most while somebody attacks."""

HEALTH_SECONDS = 0.2
"""The same for `/health`, which a platform's probe judges the process by."""

GROWTH_BYTES = 256 * 2**20
"""What an attack may add to the process' memory at its peak."""

# What the machine itself adds counts as often as a call changes hands: client, API, PostgreSQL, and back.
_MACHINE_SHARE = 3
_END_SECONDS = 60.0


@dataclass
class Watched:
    """What the bystander saw; filled when the block has ended."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    growth_bytes: int = 0

    def slowest_of_100(self, name: str) -> float:
        """The 99th percentile of a call, in seconds."""
        return quantiles([*self.seconds[name], 0.0], n=100, method="inclusive")[98]

    def check(self) -> None:
        """Assert that nobody noticed the attack."""
        assert {name: found[:3] for name, found in self.failures.items() if found} == {}
        machine = _MACHINE_SHARE * self.slowest_of_100("bare")
        slow = {
            name: f"{self.slowest_of_100(name):.3f} s"
            for name in self.seconds
            if self.slowest_of_100(name) > machine + (HEALTH_SECONDS if name == "health" else CALL_SECONDS)
        }
        if slow:
            raise TooSlow(f"{slow}; a bare server needed {self.slowest_of_100('bare'):.3f} s")
        assert self.growth_bytes < GROWTH_BYTES, f"grew by {self.growth_bytes >> 20} MiB"


@dataclass
class Attacked:
    """One API process, with a gateway process, a database and buckets behind it. `api` has the builders."""

    api: Api
    process: ApiProcess
    bare_url: str
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self, account: str | None = None, **options: Any) -> httpx.AsyncClient:
        """A client over real sockets, with the account's token, or without one."""
        headers = {}
        if account is not None:
            headers["Authorization"] = f"Bearer {self.token(account)}"
        client = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=options.pop("timeout", 60),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=False,  # plain HTTP; else each client loads the certificates of the world
            **options,
        )
        self.clients.append(client)
        return client

    def token(self, account: str) -> str:
        return self.api.token(USER_IDS[account], f"{account}@example.com")

    @asynccontextmanager
    async def bystander(self, account: str = "reviewer", *, check: bool = True) -> AsyncIterator[Watched]:
        """Let another person work in a project of their own while the block lasts, then check what they saw."""
        watched = Watched()
        dataset = await self.api.dataset(owner=account, tasks=["detection"], images=20)
        plan = {
            "url": self.url,
            "bare": self.bare_url,
            "token": self.token(account),
            "calls": await self._calls(dataset, account),
        }
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.hostile.bystander",
            json.dumps(plan),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        forget_peak(self.pid)
        before = memory(self.pid, "VmRSS")
        try:
            assert program.stdout is not None
            assert await asyncio.wait_for(program.stdout.readline(), _END_SECONDS) == b"begun\n"
            yield watched
        finally:
            out, _ = await asyncio.wait_for(program.communicate(b""), _END_SECONDS)
        watched.growth_bytes = memory(self.pid, "VmHWM") - before
        for name, seen in json.loads(out).items():
            watched.seconds[name], watched.failures[name] = seen["seconds"], seen["failures"]
        if check:
            watched.check()

    async def _calls(self, dataset: Dataset, account: str) -> dict[str, tuple[str, str, object]]:
        """What the bystander does, one after the other; the first time here, so that nothing is cold."""
        project, image = dataset.project_id, dataset.image_ids[0]
        box = {"type": "bbox", "bbox": [10, 10, 50, 40], "image_width": 640, "image_height": 480}
        draw = {"project_id": project, "image_id": image, "annotation_type": "bbox", "geometry": box}
        client = self.client(account)
        drawn = await client.post("/api/v1/annotations", json=draw)
        assert drawn.status_code == 200, drawn.text
        calls: dict[str, tuple[str, str, object]] = {
            "health": ("GET", "/health", None),
            "datasets": ("GET", "/api/v1/datasets", None),
            "images": ("GET", f"/api/v1/projects/{project}/images?limit=50", None),
            "annotations": ("GET", f"/api/v1/annotations/project/{project}?limit=1000", None),
            "move a box": ("PUT", f"/api/v1/annotations/{drawn.json()['id']}", {"geometry": box}),
        }
        for method, path, body in calls.values():
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 200, answer.text
        return calls


def memory(pid: int, name: str) -> int:
    """Bytes of a process: VmRSS is what it has, VmHWM the most that it had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name}")


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
