"""Invitations beside the removal and the demotion of whom they concern: nobody comes in by what was taken away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api_processes import CROWD, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.waiting import waiting

INVITEE = USER_IDS["viewer"]
LOCK_INVITATIONS = "SELECT FROM invitations WHERE dataset_id = $1 FOR UPDATE"


def permission(dataset: Dataset, user_id: int) -> str:
    return f"/api/v1/projects/{dataset.project_id}/permissions/{user_id}"


async def invite(client: httpx.AsyncClient, dataset: Dataset, user_id: int, role: str) -> httpx.Response:
    body = {"project_id": dataset.id, "invitee_user_id": user_id, "role": role}
    return await client.post("/api/v1/invitations", json=body)


async def accept(cluster: Cluster, dataset: Dataset, client: httpx.AsyncClient) -> httpx.Response:
    sql = "SELECT token FROM invitations WHERE dataset_id = $1 ORDER BY id DESC LIMIT 1"
    ((token,),) = [row.values() for row in await rows(cluster.api, sql, dataset.id)]
    return await client.post("/api/v1/invitations/accept", json={"token": token})


async def role_of(cluster: Cluster, dataset: Dataset, user_id: int) -> str | None:
    sql = "SELECT role FROM project_permissions WHERE project_id = $1 AND user_id = $2"
    return next((row["role"] for row in await rows(cluster.api, sql, dataset.project_id, user_id)), None)


async def statuses(cluster: Cluster, dataset: Dataset) -> list[str]:
    sql = "SELECT status FROM invitations WHERE dataset_id = $1 ORDER BY id"
    return [row["status"] for row in await rows(cluster.api, sql, dataset.id)]


@pytest.mark.parametrize("how", ["removed", "demoted"])
async def test_the_inviter_loses_the_role_while_the_acceptance_is_on_its_way(cluster: Cluster, how: str) -> None:
    """The acceptance has read the role, and waits for the change: what holds after it decides."""
    dataset = await cluster.api.dataset(tasks=["detection"], members={"reviewer": "admin"})
    assert (await invite(cluster.client("reviewer"), dataset, INVITEE, "annotator")).status_code == 200
    change = (
        "DELETE FROM project_permissions WHERE project_id = $1 AND user_id = $2"
        if how == "removed"
        else "UPDATE project_permissions SET role = 'reviewer' WHERE project_id = $1 AND user_id = $2"
    )
    async with cluster.api.db.begin() as tx:
        await tx.execute(change, dataset.project_id, USER_IDS["reviewer"])
        late = asyncio.create_task(accept(cluster, dataset, cluster.client("viewer")))
        await waiting(cluster.api)
    answer = await late
    assert answer.status_code == 400
    assert answer.json()["code"] == "invitation_not_pending"
    assert await role_of(cluster, dataset, INVITEE) is None
    assert await statuses(cluster, dataset) == ["cancelled"]


@pytest.mark.parametrize("first", ["accept", "change"])
@pytest.mark.parametrize("whom", ["inviter", "invitee"])
async def test_a_removal_and_an_acceptance_in_both_orders(cluster: Cluster, whom: str, first: str) -> None:
    """Both stop before the invitation, the second behind the first; the first one in line decides."""
    dataset = await cluster.api.dataset(tasks=["detection"], members={"reviewer": "admin"})
    owner, removed = cluster.client("owner", 0), INVITEE if whom == "invitee" else USER_IDS["reviewer"]
    assert (await invite(cluster.client("reviewer"), dataset, INVITEE, "reviewer")).status_code == 200
    if whom == "invitee":
        body = {"user_email": "viewer@example.com", "role": "viewer"}
        url = f"/api/v1/projects/{dataset.project_id}/permissions"
        assert (await owner.post(url, json=body)).status_code == 201
    async with cluster.api.db.begin() as tx:
        await tx.execute(LOCK_INVITATIONS, dataset.id)
        calls: dict[str, Callable[[], Coroutine[Any, Any, httpx.Response]]] = {
            "accept": lambda: accept(cluster, dataset, cluster.client("viewer", 1)),
            "change": lambda: owner.delete(permission(dataset, removed)),
        }
        tasks = {first: asyncio.create_task(calls.pop(first)())}
        await waiting(cluster.api, 1)
        ((second, call),) = calls.items()
        tasks[second] = asyncio.create_task(call())
        await waiting(cluster.api, 2)
    accepted, changed = await tasks["accept"], await tasks["change"]
    assert changed.status_code == 204, changed.text
    assert accepted.status_code == (200 if first == "accept" else 400), accepted.text
    joined = first == "accept" and whom == "inviter"
    assert await role_of(cluster, dataset, INVITEE) == ("reviewer" if joined else None)
    assert await statuses(cluster, dataset) == ["accepted" if first == "accept" else "cancelled"]


async def test_an_admin_who_is_removed_while_inviting_leaves_nothing_behind(cluster: Cluster) -> None:
    """Whichever comes first: no invitation of theirs is pending afterwards."""
    dataset = await cluster.api.dataset(tasks=["detection"])
    await cluster.admit(dataset, "admin")
    owner = cluster.client("owner", 0)
    for user_id in list(CROWD)[:8]:
        inviter = cluster.client_of(user_id, f"user{user_id}@example.com", 1)
        sent, removed = await asyncio.gather(
            invite(inviter, dataset, INVITEE, "annotator"), owner.delete(permission(dataset, user_id))
        )
        assert removed.status_code == 204
        assert sent.status_code in {200, 404}, sent.text
        assert set(await statuses(cluster, dataset)) <= {"cancelled"}
        assert await role_of(cluster, dataset, INVITEE) is None


async def test_removals_beside_acceptances(cluster: Cluster) -> None:
    """Invited as admin, there as viewer, removed and accepting at once: out, every time."""
    for number, user_id in enumerate(list(CROWD)[:12]):
        dataset = await cluster.api.dataset(tasks=["detection"])
        owner, invitee = (
            cluster.client("owner", number % 2),
            cluster.client_of(user_id, f"user{user_id}@example.com", 1),
        )
        assert (await invite(owner, dataset, user_id, "admin")).status_code == 200
        body = {"user_email": f"user{user_id}@example.com", "role": "viewer"}
        await owner.post(f"/api/v1/projects/{dataset.project_id}/permissions", json=body)
        accepted, removed = await asyncio.gather(
            accept(cluster, dataset, invitee), owner.delete(permission(dataset, user_id))
        )
        assert removed.status_code == 204
        assert accepted.status_code in {200, 400}, accepted.text
        assert await role_of(cluster, dataset, user_id) is None
        assert await statuses(cluster, dataset) == ["accepted" if accepted.status_code == 200 else "cancelled"]


async def test_a_transfer_beside_an_acceptance_by_the_next_owner(cluster: Cluster) -> None:
    """Who is invited by the owner and made owner at once: both locks are taken in one order, and there is one owner."""
    for number, user_id in enumerate(list(CROWD)[:8]):
        dataset = await cluster.api.dataset(tasks=["detection"])
        owner, invitee = (
            cluster.client("owner", number % 2),
            cluster.client_of(user_id, f"user{user_id}@example.com", 1),
        )
        assert (await invite(owner, dataset, user_id, "admin")).status_code == 200
        body = {"user_email": f"user{user_id}@example.com", "role": "viewer"}
        await owner.post(f"/api/v1/projects/{dataset.project_id}/permissions", json=body)
        accepted, moved = await asyncio.gather(
            accept(cluster, dataset, invitee),
            owner.post(
                f"/api/v1/projects/{dataset.project_id}/transfer-ownership", json={"new_owner_user_id": user_id}
            ),
        )
        assert moved.status_code == 200, moved.text
        assert accepted.status_code in {200, 400}, accepted.text
        assert await role_of(cluster, dataset, user_id) == "owner"
        assert await role_of(cluster, dataset, USER_IDS["owner"]) == "admin"
