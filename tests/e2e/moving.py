"""A running labeler that is moved: people at work, a road that a deployment turns, and the operator's commands."""

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg
import httpx

from tests.fixtures.annotating import BOX
from tests.fixtures.pictures import picture

_LABELER = Path(sys.executable).with_name("labeler")
DIGEST = re.compile(r"Digest ([0-9a-f]+)")
_PAUSE_SECONDS = 0.2  # between two saves of a person; without it they take the processors from what moves them
COMMAND_SECONDS = 500  # some take five on a quiet machine; three at once share two cores with the services


@dataclass
class Operator:
    """The person with the terminal; `environment` is what they have exported."""

    directory: Path
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)

    async def run(self, *arguments: str, fails: bool = False) -> str:
        """Run `labeler …`; what it printed. The exit code is not 0 when it is expected to fail, and 0 otherwise."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *(str(_LABELER), *arguments),
            cwd=self.directory,
            env={**kept, **self.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        text = output.decode()
        self.said.append(f"$ labeler {' '.join(arguments)}\n{text}")
        assert (process.returncode != 0) is fails, self.said[-1]
        return text


@dataclass
class Work:
    """People who annotate and upload through the front all the time, and what they were told was saved."""

    url: str
    dataset_id: str
    project_id: str
    headers: Mapping[str, str]
    image_ids: list[str]
    annotations: set[int] = field(default_factory=set)
    images: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0
    broken: int = 0
    longest_wait: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    @contextlib.asynccontextmanager
    async def going_on(self, people: int) -> AsyncIterator[Self]:
        """Work until the block ends."""
        async with httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as client:
            tasks = [asyncio.create_task(self._person(client, number)) for number in range(people)]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}, outcomes

    async def progress(self, saves: int = 30) -> None:
        """Wait until so many more were acknowledged, with an image among them."""
        annotations, images = len(self.annotations) + saves, len(self.images) + 1
        async with asyncio.timeout(60):
            while True:
                if len(self.annotations) >= annotations and len(self.images) >= images:
                    return
                await asyncio.sleep(0.01)

    def measure(self) -> float:
        """The longest time without an acknowledged save since the last call, in seconds."""
        longest, self.longest_wait = self.longest_wait, 0.0
        return longest

    async def _person(self, client: httpx.AsyncClient, number: int) -> None:
        for turn in range(1_000_000):
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                if number == 0:
                    await self._upload(client, turn)
                else:
                    await self._draw(client, number)
            except httpx.TransportError:  # a deployment breaks what is under way; nobody was told that it is saved
                self.broken += 1
                await asyncio.sleep(0.05)

    async def _draw(self, client: httpx.AsyncClient, number: int) -> None:
        body = {
            "project_id": self.project_id,
            "image_id": self.image_ids[number % len(self.image_ids)],
            "annotation_type": "bbox",
            "geometry": BOX,
        }
        answer = await client.post("/api/v1/annotations", json=body)
        if await self._is_saved(answer):
            self.annotations.add(answer.json()["id"])

    async def _upload(self, client: httpx.AsyncClient, turn: int) -> None:
        name, content = f"moved/{turn}", picture(8 + turn % 50, 8 + turn % 30, colour=(turn % 256, 0, 0))
        answer = await client.post(
            f"/api/v1/datasets/{self.dataset_id}/images", files=[("files", (f"{name}.jpg", content, "image/jpeg"))]
        )
        if await self._is_saved(answer):
            assert answer.json()["failed"] == [], answer.text
            self.images[name] = content

    async def _is_saved(self, answer: httpx.Response) -> bool:
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
            self.refused += 1
            await asyncio.sleep(0.05)
            return False
        assert answer.status_code in {200, 201}, answer.text
        now = time.monotonic()
        self.longest_wait, self._last = max(self.longest_wait, now - self._last), now
        return True


async def everything_there(api: str, labeler_db: str, work: Work) -> None:
    """Every annotation and image that was acknowledged until now is on this deployment, the images byte by byte."""
    annotations, uploaded = work.annotations.copy(), work.images.copy()
    connection = await asyncpg.connect(labeler_db)
    try:
        rows = await connection.fetch("SELECT id FROM annotations WHERE project_id = $1", work.project_id)
    finally:
        await connection.close()
    assert annotations <= {row["id"] for row in rows}
    async with httpx.AsyncClient(base_url=api, headers=work.headers, timeout=60, trust_env=False) as client:
        images = await _links(client, work.project_id)
        assert uploaded.keys() <= images.keys()
        for name, content in uploaded.items():
            answer = await client.get(images[name])
            assert answer.status_code == 200, name
            assert answer.content == content, name


async def _links(client: httpx.AsyncClient, project_id: str) -> dict[str, str]:
    """The way to the bytes of each image of a project, by image id."""
    found: dict[str, str] = {}
    while True:
        params = {"limit": 50, "offset": len(found)}
        page = (await client.get(f"/api/v1/projects/{project_id}/images", params=params)).raise_for_status().json()
        links = {image["id"]: urlsplit(image["url"]) for image in page["images"]}
        found |= {image_id: f"{link.path}?{link.query}" for image_id, link in links.items()}
        if not links:
            return found
