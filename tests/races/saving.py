"""Saves that are retried until they are in, and a ledger to find what is lost, doubled, torn or made up."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from labeler_api.errors import Unavailable
from tests.fixtures.annotating import BOX
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.races.tabs import Tab

T = TypeVar("T")

_BACK_OFF_SECONDS = 0.15  # else many tabs are in each other's way all the time, and a run takes three times as long
_AWAY_SECONDS = 30.0


@dataclass
class Ledger:
    """What the tabs know of their saves: marker → (annotation, version); and the newest versions that any has seen."""

    saved: dict[str, tuple[int, int]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    newest: dict[int, int] = field(default_factory=dict)

    def holds(self, number: int) -> bool:
        """Whether so many saves are in."""
        return len(self.saved) >= number


def change(marker: str) -> dict[str, Any]:
    """A save that writes its marker into three columns: a revision is whole when they agree."""
    geometry = BOX | {"bbox": [len(marker), 1, 2, 3]}
    return {"notes": marker, "class_name": marker, "geometry": geometry, "attributes": {"by": marker}}


def whole(state: dict[str, Any]) -> bool:
    marker = state["notes"]
    return bool(
        state["class_name"] == marker
        and state["attributes"] == {"by": marker}
        and state["geometry"]["bbox"][0] == len(marker)
    )


async def history_of(cluster: Cluster, dataset: Dataset) -> dict[int, list[dict[str, Any]]]:
    """Revisions of every annotation of the project, in the order in which they were written, states decoded."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in await rows(
        cluster.api,
        "SELECT annotation_id, action, revision, new_state FROM annotation_history WHERE project_id = $1 ORDER BY id",
        dataset.project_id,
    ):
        state = msgspec.json.decode(row["new_state"])
        found.setdefault(row["annotation_id"], []).append({**row, "new_state": state})
    return found


async def landed(cluster: Cluster, annotation_id: int, marker: str) -> int | None:
    """The version of a save that was cut off, if it arrived.

    Asked only after a 409: the version that the save was for is gone then, so it cannot arrive any more.
    """
    sql = "SELECT revision FROM annotation_history WHERE annotation_id = $1 AND new_state ->> 'notes' = $2"
    found = await patiently(lambda: rows(cluster.api, sql, annotation_id, marker))
    assert len(found) <= 1, f"{marker} is there {len(found)} times"
    return found[0]["revision"] if found else None


async def save(
    cluster: Cluster, tab: Tab, annotation_id: int, marker: str, versions: dict[int, int], *, patience: bool = False
) -> int | None:
    """Save with the version that the tab has seen, until it is in; return the version that it made.

    None when the tab was closed over a broken wire, which one with patience never is.
    """
    in_doubt = False
    for attempt in itertools.count(1):
        body = {**change(marker), "version": versions[annotation_id]}
        answer = await tab.send("PUT", f"/api/v1/annotations/{annotation_id}", json=body)
        if answer is None:
            if not patience and tab.choose.random() < 0.1:
                return None
            in_doubt = True
        elif answer.status_code == 200:
            versions[annotation_id] = answer.json()["version"]
            return versions[annotation_id]
        else:
            assert answer.status_code == 409, answer.text
            if in_doubt and (version := await landed(cluster, annotation_id, marker)) is not None:
                return version
            versions[annotation_id] = answer.json()["conflict"]["current_version"]
            await asyncio.sleep(tab.choose.uniform(0, _BACK_OFF_SECONDS * min(attempt, 4)))
    return None


def problems(history: dict[int, list[dict[str, Any]]], ledger: Ledger) -> list[str]:
    """What is lost, doubled, torn or made up."""
    found, written = [], Counter[str]()
    for annotation_id, revisions in history.items():
        if [row["revision"] for row in revisions] != list(range(1, len(revisions) + 1)):
            found.append(f"the revisions of {annotation_id} have gaps")
        for row in revisions[1:]:
            marker = row["new_state"]["notes"]
            written[marker] += 1
            if not whole(row["new_state"]):
                found.append(f"torn: {row}")
            if marker not in ledger.given_up and ledger.saved.get(marker) != (annotation_id, row["revision"]):
                found.append(f"phantom: {marker}, revision {row['revision']} of {annotation_id}")
    found += [f"lost: {marker}" for marker in ledger.saved if not written[marker]]
    found += [f"{marker} is there {times} times" for marker, times in written.items() if times > 1]
    return found


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the database until it is there."""
    async with asyncio.timeout(_AWAY_SECONDS):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.05)
