"""Servers that end without a word in the middle of saves: what was acknowledged is there, and the rest goes on."""

import asyncio
from functools import partial

import pytest

from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.annotating import box, check_counters, create_annotation
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.timing import check_within
from tests.fixtures.versions import CLASSES, annotate_many
from tests.fixtures.waiting import until, until_true
from tests.races.saving import Ledger, history_of, patiently, problems, save
from tests.races.tabs import Tab, Trouble, opened, total

TABS, SAVES = 10, 10
ENDS = Trouble(cut=0.0, stall=0.0, servers_end=True)
_RECOVERY_SECONDS = 5.0  # of the API, once its database takes connections
_REFUSAL_SECONDS = 2.0


async def begin(cluster: Cluster) -> tuple[Dataset, list[int], Ledger]:
    """A project with five annotations to save."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    owner = cluster.client("owner")
    ids = [(await create_annotation(owner, box(dataset)))["id"] for _ in range(5)]
    return dataset, ids, Ledger(newest=dict.fromkeys(ids, 1))


async def work(cluster: Cluster, tab: Tab, ids: list[int], ledger: Ledger) -> None:
    for number in range(SAVES):
        annotation_id, marker = tab.choose.choice(ids), f"{tab.name} save {number}"
        versions = ledger.newest.copy()
        version = await save(cluster, tab, annotation_id, marker, versions, patience=True)
        assert version is not None
        ledger.saved[marker] = (annotation_id, version)
        ledger.newest[annotation_id] = max(versions[annotation_id], ledger.newest[annotation_id])


def _refused(tabs: list[Tab], number: int) -> bool:
    return total(tabs)["503"] >= number


async def check(cluster: Cluster, dataset: Dataset, ledger: Ledger) -> None:
    assert len(ledger.saved) == TABS * SAVES
    assert problems(await history_of(cluster, dataset), ledger) == []
    await check_counters(cluster.api, dataset)
    # More at once than a process has connections: none of them is a dead one.
    for number in range(len(cluster.processes)):
        client = cluster.client("owner", number)
        answers = await asyncio.gather(*(client.get(f"/api/v1/projects/{dataset.project_id}/stats") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.destructive
async def test_a_process_is_killed(cluster: Cluster) -> None:
    dataset, ids, ledger = await begin(cluster)
    victim = cluster.processes[0]
    async with opened(cluster, "owner", TABS, trouble=ENDS, seed=1) as tabs:
        saving = asyncio.gather(*(work(cluster, tab, ids, ledger) for tab in tabs))
        await until(partial(ledger.holds, 30))
        await victim.kill()
        await until(partial(ledger.holds, 50))
        victim.launch()
        await victim.ready()
        await saving
    assert total(tabs)["cuts"] > 0
    await check(cluster, dataset, ledger)


@pytest.mark.destructive
async def test_connections_are_ended_and_statements_cancelled(cluster: Cluster) -> None:
    """As an operator or a failing proxy does: 503 for whom it hits, and nobody else notices."""
    dataset, ids, ledger = await begin(cluster)
    mine = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with opened(cluster, "owner", TABS, trouble=ENDS, seed=2) as tabs:
        saving = asyncio.gather(*(work(cluster, tab, ids, ledger) for tab in tabs))
        for number in range(10, 80, 5):
            await until(partial(ledger.holds, number))
            end = "pg_terminate_backend" if number % 10 else "pg_cancel_backend"
            await patiently(partial(rows, cluster.api, f"SELECT {end}(pid) FROM ({mine}) victims"))
        await saving
    await check(cluster, dataset, ledger)


@pytest.mark.slow
@pytest.mark.destructive
async def test_the_database_server_crashes(mortal: Cluster, durable: PostgresServer) -> None:
    """Everything acknowledged is there; meanwhile 503 within two seconds, and a recovery without help."""
    dataset, ids, ledger = await begin(mortal)
    loop = asyncio.get_running_loop()
    async with opened(mortal, "owner", TABS, trouble=ENDS, seed=3) as tabs:
        saving = asyncio.gather(*(work(mortal, tab, ids, ledger) for tab in tabs))
        await until(partial(ledger.holds, 40))
        durable.kill()
        assert durable.process is not None
        assert await durable.process.ended(30)
        await until(partial(_refused, tabs, 2 * TABS))
        await durable.start()
        back = loop.time()
        await until(partial(ledger.holds, len(ledger.saved) + 1))
        check_within(loop.time() - back, _RECOVERY_SECONDS)
        await saving
    check_within(max(tab.slowest_refusal for tab in tabs), _REFUSAL_SECONDS)
    await check(mortal, dataset, ledger)


@pytest.mark.destructive
async def test_a_process_is_killed_while_it_publishes(cluster: Cluster) -> None:
    """Nobody ever sees half a version, and the next publishing goes its way."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=20, classes=CLASSES)
    await annotate_many(cluster.api, dataset, 2000)
    url = f"/api/v1/projects/{dataset.project_id}/versions"
    body = {"task_type": "detection", "export_format": "coco"}
    victim = cluster.processes[0]
    doomed = [asyncio.create_task(cluster.client("owner", 0).post(f"{url}/publish", json=body)) for _ in range(3)]
    await until_true(
        cluster.api, "SELECT count(*) > 1 FROM annotation_versions WHERE project_id = $1", dataset.project_id
    )
    await victim.kill()
    answers = await asyncio.gather(*doomed, return_exceptions=True)
    acknowledged = {answer.json()["version_number"] for answer in answers if not isinstance(answer, BaseException)}

    other = cluster.client("owner", 1)
    after = await other.post(f"{url}/publish", json=body)
    assert after.status_code == 200, after.text
    listed = (await other.get(url)).json()["versions"]
    assert acknowledged < {version["version_number"] for version in listed}
    for version in listed:
        file = await other.get(f"/media/{version['download_url'].partition('/media/')[2]}")
        assert file.status_code == 200
        assert len(file.json()["annotations"]) == version["annotation_count"] == 2000
    victim.launch()
    await victim.ready()
