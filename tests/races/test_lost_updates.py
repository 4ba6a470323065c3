"""No save is lost and none is made up: one account in many tabs, over two processes and wires that break.

One account, so that no lock decides: what keeps the saves apart is the version alone.
"""

import asyncio
import os
import time
from collections import Counter

import pytest

from tests.fixtures.annotating import at, box, check_counters, create_annotation
from tests.fixtures.api_processes import Cluster
from tests.races.saving import Ledger, change, history_of, problems, save
from tests.races.tabs import Tab, Trouble, opened, total

TABS, SAVES, ANNOTATIONS = 50, 40, 10
SEEDS = range(1, 1 + int(os.environ.get("RACES_SEEDS", "2")))  # RACES_SEEDS=20 for the long run by hand


async def work(cluster: Cluster, tab: Tab, annotation_ids: list[int], ledger: Ledger) -> None:
    versions = dict.fromkeys(annotation_ids, 1)
    for number in range(SAVES):
        if tab.choose.random() < 0.7:  # as if it had just read the list again, as the screen does after each change
            versions = ledger.newest.copy()
        annotation_id, marker = tab.choose.choice(annotation_ids), f"{tab.name} save {number}"
        version = await save(cluster, tab, annotation_id, marker, versions)
        ledger.newest[annotation_id] = max(versions[annotation_id], ledger.newest[annotation_id])
        if version is None:
            ledger.given_up.add(marker)
        else:
            ledger.saved[marker] = (annotation_id, version)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_versioned_saves_of_fifty_tabs(cluster: Cluster, seed: int) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    owner = cluster.client("owner")
    ids = [(await create_annotation(owner, box(dataset)))["id"] for _ in range(ANNOTATIONS)]
    ledger, started = Ledger(newest=dict.fromkeys(ids, 1)), time.monotonic()
    async with opened(cluster, "owner", TABS, trouble=Trouble(), seed=seed) as tabs:
        await asyncio.gather(*(work(cluster, tab, ids, ledger) for tab in tabs))
        seen = total(tabs)
    _report(seed, time.monotonic() - started, ledger, seen)

    history = await history_of(cluster, dataset)
    assert len(ledger.saved) + len(ledger.given_up) == TABS * SAVES
    assert problems(history, ledger) == []
    for annotation_id in ids:
        stored = (await owner.get(f"/api/v1/annotations/{annotation_id}")).json()
        last = history[annotation_id][-1]
        assert stored["version"] == last["revision"]
        assert stored["notes"] == last["new_state"]["notes"]
        acknowledged = [version for found, version in ledger.saved.values() if found == annotation_id]
        assert stored["version"] >= max(acknowledged)
        assert stored["version"] == max(acknowledged) or stored["notes"] in ledger.given_up
    await check_counters(cluster.api, dataset)


def _report(seed: int, seconds: float, ledger: Ledger, seen: Counter[str]) -> None:
    print(  # noqa: T201 - shown for a failure, and with -s
        f"seed {seed}: {seconds:.1f} s, {len(ledger.saved)} saves acknowledged, {len(ledger.given_up)} given up,"
        f" {seen['requests']} requests, {seen['409']} conflicts, {seen['cuts']} cuts"
    )


async def test_saves_without_a_version(cluster: Cluster) -> None:
    """The last write wins, and each that was accepted is a whole revision."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    owner = cluster.client("owner")
    ids = [(await create_annotation(owner, box(dataset)))["id"] for _ in range(3)]
    ledger = Ledger()

    async def scribble(tab: Tab) -> None:
        for number in range(10):
            annotation_id, marker = tab.choose.choice(ids), f"{tab.name} save {number}"
            answer = await tab.send("PUT", f"/api/v1/annotations/{annotation_id}", json=change(marker))
            if answer is None:  # sent again it could be there twice: that is what versions are for
                ledger.given_up.add(marker)
            else:
                assert answer.status_code == 200, answer.text
                assert answer.json()["notes"] == marker
                ledger.saved[marker] = (annotation_id, answer.json()["version"])

    async with opened(cluster, "owner", 20, trouble=Trouble(stall_seconds=0.1), seed=3) as tabs:
        await asyncio.gather(*(scribble(tab) for tab in tabs))
    history = await history_of(cluster, dataset)
    assert problems(history, ledger) == []
    for annotation_id in ids:
        stored = (await owner.get(at({"id": annotation_id}))).json()
        assert stored["notes"] == history[annotation_id][-1]["new_state"]["notes"]
        assert stored["version"] == len(history[annotation_id])
