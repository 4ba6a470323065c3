"""What the frontend sends, all the time and to one address: reads, saves, uploads, images; and how each call ended."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fixtures.acknowledged import Acknowledged
from tests.fixtures.annotating import box
from tests.fixtures.api import PUBLIC_URL, Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture

# A person who clicks ten times a second: a hundred requests a second in all, so that some are under way at any moment.
# Without a pause ten people take the processors from the servers, and a restart takes twice as long.
_PAUSE_SECONDS = 0.1
_ANSWERS = 100  # a second of it
_SAVERS, _READERS, _VIEWERS, _UPLOADERS = 4, 3, 2, 1
_OK = (200, 201)
SEEN = "seen"


@dataclass(frozen=True)
class Failure:
    """A call that got no good answer: when it was sent, and what came instead."""

    call: str
    sent_at: float
    ended_at: float
    what: str


@dataclass
class Load:
    """The people, what they were told is saved, how many calls were answered, and those that failed."""

    client: httpx.AsyncClient
    dataset: Dataset
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send once and note how it ended; None when it failed."""
        sent_at = time.monotonic()
        try:
            answer = await self.client.request(method, path, **options)
            what = "" if answer.status_code in _OK else f"{answer.status_code} {answer.text[:200]}"
        except httpx.HTTPError as error:
            answer, what = None, repr(error)
        ended_at = time.monotonic()
        self.slowest = max(self.slowest, ended_at - sent_at)
        if what:
            self.failures.append(Failure(f"{method} {path}", sent_at, ended_at, what))
            return None
        self.answered += 1
        await asyncio.sleep(_PAUSE_SECONDS)
        return answer

    async def save(self, number: int) -> None:
        """Draw a box and move it, for ever. What failed is sent again with its key, until it is acknowledged."""
        for turn in itertools.count():
            marker = f"person {number} drew {turn}"
            body = box(self.dataset, number, notes=marker)
            created = await self._saved("POST", "/api/v1/annotations", marker, body)
            for move in range(3):
                marker = f"person {number} moved {turn}.{move}"
                await self._saved("PUT", f"/api/v1/annotations/{created['id']}", marker, {"notes": marker})

    async def _saved(self, method: str, path: str, marker: str, body: dict[str, Any]) -> dict[str, Any]:
        tries = itertools.count()
        while True:
            # A change has no key: each try says which one it is.
            tried = marker if method == "POST" else f"{marker}, try {next(tries)}"
            self.acknowledged.in_doubt.add(tried)
            headers = {"Idempotency-Key": f"{self.dataset.project_id}-{marker}".replace(" ", "-")}
            answer = await self.call(method, path, json={**body, "notes": tried}, headers=headers)
            if answer is not None:
                self.acknowledged.in_doubt.discard(tried)
                self.acknowledged.saves.add(tried)
                saved: dict[str, Any] = answer.json()
                return saved
            await asyncio.sleep(_PAUSE_SECONDS)

    async def read(self) -> None:
        """Open the pages of the frontend one after the other, for ever."""
        dataset, project, image = self.dataset.id, self.dataset.project_id, self.dataset.image_ids[0]
        for path in itertools.cycle(
            (
                "/api/v1/auth/me",
                "/api/v1/datasets",
                f"/api/v1/datasets/{dataset}/permissions",
                f"/api/v1/projects/{project}/images?limit=50",
                f"/api/v1/projects/{project}/images/status",
                f"/api/v1/annotations/project/{project}?image_id={image}",
                f"/api/v1/annotations/history/project/{project}",
                f"/api/v1/image-locks/{project}",
                f"/api/v1/projects/{project}/stats",
            )
        ):
            await self.call("GET", path)

    async def view(self) -> None:
        """Load pictures and thumbnails, for ever."""
        while True:
            page = await self.call("GET", f"/api/v1/projects/{self.dataset.project_id}/images?limit=50")
            for one in page.json()["images"] if page is not None else []:
                for link in (one["url"], one["thumbnail_url"]):
                    if link and f"/{SEEN}/" in link:
                        await self.call("GET", link.removeprefix(PUBLIC_URL))

    async def upload_seen(self) -> None:
        """Upload the pictures that everybody looks at."""
        files = [("files", (f"{SEEN}/{number}.png", picture(640, 480, "PNG"), "image/png")) for number in range(4)]
        answer = await self.call("POST", f"/api/v1/datasets/{self.dataset.id}/images", files=files)
        assert answer is not None
        assert answer.json()["failed"] == []

    async def upload(self, number: int) -> None:
        """Replace one of three pictures by another one, for ever."""
        for turn in itertools.count():
            path = f"person{number}/{turn % 3}.png"
            content = picture(16 + turn % 400, 16 + number, "PNG", colour=(turn % 256, number, 7))
            doubts = self.acknowledged.pictures_in_doubt.setdefault(path, [])
            form = {"files": [("files", (path, content, "image/png"))]}
            answer = None
            while answer is None:
                doubts.append(content)
                answer = await self.call("POST", f"/api/v1/datasets/{self.dataset.id}/images", **form)
            assert answer.json()["failed"] == []
            doubts.clear()
            self.acknowledged.pictures[path] = content

    async def goes_on(self, answers: int = _ANSWERS) -> None:
        """Wait until so many calls more were answered."""
        goal = self.answered + answers
        async with asyncio.timeout(60):
            while self.answered < goal:  # noqa: ASYNC110 - counted by the tasks
                await asyncio.sleep(0.02)


@asynccontextmanager
async def at_work(api: Api, dataset: Dataset, url: str) -> AsyncIterator[Load]:
    """Let ten people work until the block ends."""
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=60, limits=limits, trust_env=False, verify=False
    ) as client:
        load = Load(client, dataset)
        await load.upload_seen()
        work: list[Callable[[], Awaitable[None]]] = [
            *(lambda number=number: load.save(number) for number in range(_SAVERS)),
            *(load.read for _ in range(_READERS)),
            *(load.view for _ in range(_VIEWERS)),
            *(lambda number=number: load.upload(number) for number in range(_UPLOADERS)),
        ]
        tasks = [asyncio.ensure_future(each()) for each in work]
        try:
            await load.goes_on()
            yield load
            await load.goes_on()
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
    assert wrong == []
