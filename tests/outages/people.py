"""Twelve people at work over the outage, what each was told is saved, and how long each had to wait."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.fixtures.acknowledged import Acknowledged
from tests.fixtures.annotating import box
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture

PEOPLE = 12
_PAUSE_SECONDS = 0.3  # between two saves of a person, as quick as anybody draws
_AGAIN_SECONDS = 0.2  # after a failure; sooner than Retry-After asks, so that the end of the outage is seen
_UPLOADERS = 2


@dataclass
class Person:
    """One of them: a client of one API process, and the times at which something of theirs was acknowledged."""

    number: int
    client: httpx.AsyncClient
    acknowledged: Acknowledged
    times: list[float] = field(default_factory=list)

    async def draw(self, dataset: Dataset) -> None:
        """Draw a box and move it a few times, for ever; each save carries a marker of its own."""
        for turn in itertools.count():
            marker = f"person {self.number} drew {turn}"
            body = box(dataset, self.number % len(dataset.image_ids), notes=marker)
            answer = await self._save(
                marker,
                "POST",
                "/api/v1/annotations",
                body,
                {"Idempotency-Key": f"{dataset.project_id}-{marker}".replace(" ", "-")},
            )
            for move in range(3):
                marker = f"person {self.number} moved {turn}.{move}"
                await self._save(marker, "PUT", f"/api/v1/annotations/{answer['id']}", {"notes": marker})

    async def upload(self, dataset: Dataset) -> None:
        """Replace one of three pictures by another one, for ever."""
        for turn in itertools.count():
            path = f"person{self.number}/{turn % 3}.png"
            content = picture(16 + turn % 400, 16 + self.number, "PNG", colour=(turn % 256, self.number, 7))
            doubts = self.acknowledged.pictures_in_doubt.setdefault(path, [])
            while True:
                doubts.append(content)
                answer = await self._send(
                    "POST",
                    f"/api/v1/datasets/{dataset.id}/images",
                    files=[("files", (path, content, "image/png"))],
                )
                if answer is not None and answer.json()["failed"] == []:
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
            doubts.clear()
            self.acknowledged.pictures[path] = content
            self.times.append(time.monotonic())
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _save(
        self, marker: str, method: str, path: str, body: object, headers: dict[str, str] | None = None
    ) -> dict[str, int]:
        """Save until it is acknowledged. Sent again it may be written twice, unless it carries a key."""
        while True:
            tried = marker if headers else f"{marker} try {time.monotonic()}"
            sent = body if headers else {"notes": tried}
            self.acknowledged.in_doubt.add(tried)
            answer = await self._send(method, path, json=sent, headers=headers)
            if answer is not None:
                self.acknowledged.in_doubt.discard(tried)
                self.acknowledged.saves.add(tried)
                self.times.append(time.monotonic())
                await asyncio.sleep(_PAUSE_SECONDS)
                saved: dict[str, int] = answer.json()
                return saved
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _send(self, method: str, path: str, **options: object) -> httpx.Response | None:
        """Send once; None when it failed in a way that an outage may cause. Everything else is a defect."""
        try:
            answer = await self.client.request(method, path, **options)  # type: ignore[arg-type]  # httpx's own names
        except httpx.TransportError as error:
            self.acknowledged.statuses[type(error).__name__] += 1
            return None
        self.acknowledged.statuses[str(answer.status_code)] += 1
        if answer.status_code in {429, 503}:
            assert int(answer.headers["Retry-After"]) >= 1, answer.headers
            assert isinstance(answer.json()["detail"], str), answer.text
            return None
        assert answer.status_code in {200, 201}, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer


@dataclass
class Crew:
    """All of them."""

    people: list[Person]
    acknowledged: Acknowledged
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def longest_gap(self, numbers: Sequence[int] | None = None) -> float:
        """The longest time, in seconds, that any of these people had nothing acknowledged."""
        now = time.monotonic()
        chosen = [person for person in self.people if numbers is None or person.number in numbers]
        return max(
            later - earlier
            for person in chosen
            for earlier, later in itertools.pairwise([self.began, *person.times, now])
        )

    def recovered_after(self, moment: float) -> float:
        """How long after a moment everybody had something acknowledged again, in seconds."""
        return max(
            min((at for at in person.times if at > moment), default=float("inf")) - moment for person in self.people
        )

    async def everybody(self, moment: float, seconds: float) -> None:
        """Wait until everybody had something acknowledged after a moment."""
        async with asyncio.timeout(seconds):
            while self.recovered_after(moment) == float("inf"):
                await asyncio.sleep(0.05)
                for task in self.tasks:
                    if task.done():
                        task.result()  # what a person met is a defect, and says so


@asynccontextmanager
async def at_work(clients: Sequence[httpx.AsyncClient], dataset: Dataset) -> AsyncIterator[Crew]:
    """Let twelve people work until the block ends, spread over the clients; two of them upload, the rest draw."""
    acknowledged = Acknowledged()
    people = [Person(number, clients[number % len(clients)], acknowledged) for number in range(PEOPLE)]
    crew = Crew(people, acknowledged)
    for person in people:
        work = person.upload(dataset) if person.number < _UPLOADERS else person.draw(dataset)
        crew.tasks.append(asyncio.create_task(work))
    try:
        yield crew
    finally:
        for task in crew.tasks:
            task.cancel()
        outcomes = await asyncio.gather(*crew.tasks, return_exceptions=True)
    wrong = [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
    assert wrong == []
