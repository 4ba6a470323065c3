"""Who holds an image: a hundred at once over two processes, leases that end, and holders that stood still meanwhile."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api import Api
from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.waiting import waiting

MEMBERS = {"annotator": "annotator", "reviewer": "reviewer"}

# Each change of a lock, at the database's clock; the sequence is the order of the row's versions.
_AUDIT = """
    CREATE TABLE IF NOT EXISTS lock_audit (
        id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), image_id text,
        old_user int, old_expires timestamptz, new_user int);
    CREATE OR REPLACE FUNCTION audit_lock() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO lock_audit (image_id, old_user, old_expires, new_user)
        VALUES (coalesce(NEW.image_id, OLD.image_id), OLD.user_id, OLD.expires_at, NEW.user_id);
        RETURN NULL;
    END $$;
    CREATE OR REPLACE TRIGGER audit_lock AFTER INSERT OR UPDATE OR DELETE ON image_locks
    FOR EACH ROW EXECUTE FUNCTION audit_lock();
"""


@dataclass(frozen=True)
class Held:
    """A user was told that the image is theirs at `since`, and gave it up not before `until`: the test's own clock."""

    image_id: str
    user_id: int
    since: float
    until: float


def lock_url(dataset: Dataset, image_id: str, action: str = "") -> str:
    return f"/api/v1/image-locks/{dataset.project_id}/{image_id}{action}"


async def acquired(client: httpx.AsyncClient, dataset: Dataset, image_id: str) -> bool:
    answer = await client.post(lock_url(dataset, image_id, "/acquire"))
    assert answer.status_code == 200, answer.text
    return answer.json()["status"] in {"acquired", "refreshed"}


async def expire(api: Api, dataset: Dataset, image_id: str, user_id: int | None = None) -> None:
    """Let the lease of an image end, as if its minutes had passed."""
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_locks SET expires_at = clock_timestamp() - interval '1 millisecond'"
            " WHERE project_id = $1 AND image_id = $2 AND user_id = coalesce($3, user_id)",
            dataset.project_id,
            image_id,
            user_id,
        )


@asynccontextmanager
async def audited(api: Api) -> AsyncIterator[None]:
    """Note every change of a lock in the table `lock_audit`."""
    async with api.db.begin() as tx:
        await tx.execute(_AUDIT)
    try:
        yield
    finally:
        async with api.db.begin() as tx:
            await tx.execute("DROP TRIGGER audit_lock ON image_locks; DROP TABLE lock_audit")


async def test_a_hundred_claim_one_image(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    await cluster.admit(dataset)
    (image_id,) = dataset.image_ids
    crowd = cluster.crowd()
    for _ in range(3):
        url = lock_url(dataset, image_id, "/acquire")
        answers = await asyncio.gather(*(client.post(url) for client in crowd.values()))
        words = Counter(answer.json()["status"] for answer in answers)
        assert words == {"acquired": 1, "already_locked": len(crowd) - 1}
        told = {(answer.json()["lock"] or answer.json()["locked_by"])["user_id"] for answer in answers}
        stored = await rows(cluster.api, "SELECT user_id FROM image_locks WHERE project_id = $1", dataset.project_id)
        assert [row["user_id"] for row in stored] == list(told)
        await expire(cluster.api, dataset, image_id)


async def test_never_two_holders(cluster: Cluster) -> None:
    """A hundred users on twenty images take, use, release and lose them; intervals of holding never overlap."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=20)
    await cluster.admit(dataset)
    held: list[Held] = []
    met = Counter[str]()

    async def live(user_id: int, client: httpx.AsyncClient) -> None:
        choose = seeded(1, user_id)
        for _ in range(3):
            await _hold_once(cluster, client, dataset, user_id, choose, held, met)

    async with audited(cluster.api):
        await asyncio.gather(*(live(user_id, client) for user_id, client in cluster.crowd().items()))
        stolen = await rows(
            cluster.api,
            "SELECT * FROM lock_audit WHERE old_user <> new_user AND old_expires > at",
        )
    assert stolen == []
    assert _overlaps(held) == []
    assert met["200"] > 20
    assert met["423"] > 0
    assert not met.keys() - {"200", "423"}


async def _hold_once(
    cluster: Cluster,
    client: httpx.AsyncClient,
    dataset: Dataset,
    user_id: int,
    choose: random.Random,
    held: list[Held],
    met: Counter[str],
) -> None:
    image = choose.randrange(len(dataset.image_ids))
    image_id = dataset.image_ids[image]
    mine = await acquired(client, dataset, image_id)
    since = time.monotonic()
    answer = await client.post("/api/v1/annotations", json=box(dataset, image))
    met[str(answer.status_code)] += 1
    if not mine:
        # Refused while somebody holds it; if they have left it meanwhile, the write has taken a lock of its own.
        if answer.status_code == 200:
            await client.delete(lock_url(dataset, image_id))
        return
    assert answer.status_code == 200, "a holder was refused"
    held.append(Held(image_id, user_id, since, time.monotonic()))
    if choose.random() < 0.5:
        await client.delete(lock_url(dataset, image_id))
    else:
        await expire(cluster.api, dataset, image_id, user_id)


def _overlaps(held: list[Held]) -> list[tuple[Held, Held]]:
    ordered = sorted(held, key=lambda one: (one.image_id, one.since))
    return [
        (one, other)
        for one, other in itertools.pairwise(ordered)
        if one.image_id == other.image_id and other.since < one.until and one.user_id != other.user_id
    ]


async def test_a_holder_whose_process_stood_still_past_expiry(cluster: Cluster) -> None:
    """The process freezes with a save under way; when it goes on, another has the image, and the save is refused."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    (image_id,) = dataset.image_ids
    sleeper, other = cluster.client("annotator", 0), cluster.client("reviewer", 1)
    body = await create_annotation(sleeper, box(dataset))
    assert await acquired(sleeper, dataset, image_id)
    async with cluster.api.db.begin() as tx:
        await tx.execute("SELECT FROM image_metadata WHERE dataset_id = $1 FOR NO KEY UPDATE", dataset.id)
        late = asyncio.create_task(
            sleeper.put(f"/api/v1/annotations/{body['id']}", json={"notes": "late", "version": body["version"]})
        )
        await waiting(cluster.api)
        cluster.processes[0].pause()
        try:
            await expire(cluster.api, dataset, image_id)
            assert await acquired(other, dataset, image_id)
        finally:
            cluster.processes[0].resume()
    assert (await late).status_code == 423
    beat = await sleeper.post(lock_url(dataset, image_id, "/heartbeat"))
    assert beat.json()["status"] == "not_owner"
    stored = (await other.get(f"/api/v1/annotations/{body['id']}")).json()
    assert stored["version"] == 1
    assert stored["notes"] is None


async def test_a_holder_who_slept_past_expiry(cluster: Cluster) -> None:
    """A heartbeat revives nothing; a save of one's own takes the image only while nobody else has it."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    (image_id,) = dataset.image_ids
    sleeper, other = cluster.client("annotator", 0), cluster.client("reviewer", 1)
    body = await create_annotation(sleeper, box(dataset))
    assert await acquired(sleeper, dataset, image_id)
    await expire(cluster.api, dataset, image_id)
    assert (await sleeper.post(lock_url(dataset, image_id, "/heartbeat"))).json()["status"] == "not_locked"
    assert await acquired(other, dataset, image_id)
    refused = [
        await sleeper.put(f"/api/v1/annotations/{body['id']}", json={"notes": "late"}),
        await sleeper.post("/api/v1/annotations", json=box(dataset)),
        await sleeper.delete(f"/api/v1/annotations/{body['id']}"),
    ]
    assert [answer.status_code for answer in refused] == [423] * 3
    assert {answer.json()["lock"]["user_name"] for answer in refused} == {"Reviewer Example"}
    assert not await acquired(sleeper, dataset, image_id)
    await expire(cluster.api, dataset, image_id)
    assert (await sleeper.put(f"/api/v1/annotations/{body['id']}", json={"notes": "back"})).status_code == 200


@pytest.mark.parametrize("rounds", [12])
async def test_heartbeats_beside_claims_at_the_moment_of_expiry(cluster: Cluster, rounds: int) -> None:
    """Either the heartbeat came in time and the claim is refused, or it did not, and the claim has the image."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=rounds, members=MEMBERS)
    holder, other = cluster.client("annotator", 0), cluster.client("reviewer", 1)
    outcomes = Counter[str]()
    for image_id in dataset.image_ids:
        assert await acquired(holder, dataset, image_id)
        async with cluster.api.db.begin() as tx:
            await tx.execute(
                "UPDATE image_locks SET expires_at = clock_timestamp() + interval '15 milliseconds'"
                " WHERE project_id = $1 AND image_id = $2",
                dataset.project_id,
                image_id,
            )
        calls = [holder.post(lock_url(dataset, image_id, "/heartbeat")) for _ in range(3)]
        claims = [other.post(lock_url(dataset, image_id, "/acquire")) for _ in range(3)]
        answers = await asyncio.gather(*(call for pair in zip(calls, claims, strict=True) for call in pair))
        beats = {answer.json()["status"] for answer in answers[::2]}
        got = any(answer.json()["status"] == "acquired" for answer in answers[1::2])
        (stored,) = await rows(
            cluster.api,
            "SELECT user_id, expires_at > clock_timestamp() AS live FROM image_locks WHERE image_id = $1"
            " AND project_id = $2",
            image_id,
            dataset.project_id,
        )
        assert stored["user_id"] == (3 if got else 4)
        if "updated" in beats and stored["user_id"] == ANNOTATOR.id:
            assert stored["live"]
        outcomes["taken" if got else "kept"] += 1
    assert sum(outcomes.values()) == rounds


async def test_a_lock_ends_with_the_membership(cluster: Cluster) -> None:
    """Whichever comes first, a claim or the removal: whoever is no member holds nothing afterwards."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=20)
    await cluster.admit(dataset)
    crowd = list(cluster.crowd().items())[:20]
    owner = cluster.clients("owner")

    async def claim_and_lose(number: int, user_id: int, client: httpx.AsyncClient) -> None:
        image_id = dataset.image_ids[number]
        claims = [client.post(lock_url(dataset, image_id, "/acquire")) for _ in range(3)]
        removal = owner[number % 2].delete(f"/api/v1/projects/{dataset.project_id}/permissions/{user_id}")
        *answers, removed = await asyncio.gather(*claims, removal)
        assert {answer.status_code for answer in answers} <= {200, 404}
        assert removed.status_code < 300, removed.text

    await asyncio.gather(*(claim_and_lose(n, user_id, client) for n, (user_id, client) in enumerate(crowd)))
    assert await rows(cluster.api, "SELECT user_id FROM image_locks WHERE project_id = $1", dataset.project_id) == []
