"""Members who come, go and change while others work: ownership, removal, and what a removed member still gets in."""

import asyncio
from typing import Any

import httpx

from labeler_api.members.authorization.access import Actor
from labeler_api.members.membership import store as membership_store
from tests.fixtures.accounts import OWNER, STRANGER, USER_IDS
from tests.fixtures.annotating import box, check_counters, create_annotation
from tests.fixtures.api_processes import CROWD, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.waiting import waiting

MEMBERS = {"admin": "admin", "reviewer": "reviewer", "annotator": "annotator"}


def permission(dataset: Dataset, user_id: int) -> str:
    return f"/api/v1/projects/{dataset.project_id}/permissions/{user_id}"


async def owners(cluster: Cluster, dataset: Dataset) -> dict[str, Any]:
    """Who the owner is, in each of the three places."""
    (row,) = await rows(
        cluster.api,
        "SELECT p.owner_id AS project, d.owner_id AS dataset,"
        " ARRAY(SELECT user_id FROM project_permissions WHERE project_id = p.id AND role = 'owner') AS members"
        " FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id WHERE p.id = $1",
        dataset.project_id,
    )
    return row


async def test_a_save_that_passed_its_check_before_the_removal(cluster: Cluster) -> None:
    """It waits for the removal of its author: it is refused, whatever it was allowed before."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    annotator, elsewhere = cluster.clients("annotator")  # of one person two changes wait for a lock in each process
    body = await create_annotation(annotator, box(dataset))
    async with cluster.api.db.begin() as tx:
        owner = Actor(dataset.project_id, USER_IDS["owner"], ["owner"], bypass_role_check=False)
        removed = await membership_store.set_role(tx, owner, USER_IDS["annotator"], None, ["annotator"], [])
        assert removed is not None
        assert removed["outcome"] == "done"
        saves = [
            asyncio.create_task(annotator.post("/api/v1/annotations", json=box(dataset))),
            asyncio.create_task(annotator.put(f"/api/v1/annotations/{body['id']}", json={"notes": "late"})),
            asyncio.create_task(elsewhere.post(f"/api/v1/annotations/{body['id']}/confirm", json={})),
            asyncio.create_task(elsewhere.delete(f"/api/v1/annotations/{body['id']}")),
        ]
        await waiting(cluster.api, len(saves))
    assert [answer.status_code for answer in await asyncio.gather(*saves)] == [404] * 4
    assert (
        len(await rows(cluster.api, "SELECT * FROM annotation_history WHERE project_id = $1", dataset.project_id)) == 1
    )
    assert await rows(cluster.api, "SELECT * FROM image_locks WHERE project_id = $1", dataset.project_id) == []


async def test_a_save_that_passed_its_check_before_the_role_was_lowered(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    reviewer = cluster.client("reviewer", 0)
    body = await create_annotation(cluster.client("annotator"), box(dataset))
    await cluster.client("annotator").delete(f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}")
    async with cluster.api.db.begin() as tx:
        owner = Actor(dataset.project_id, USER_IDS["owner"], ["owner"], bypass_role_check=False)
        lowered = await membership_store.set_role(tx, owner, USER_IDS["reviewer"], "annotator", ["reviewer"], [])
        assert lowered is not None
        assert lowered["outcome"] == "done"
        save = asyncio.create_task(reviewer.put(f"/api/v1/annotations/{body['id']}", json={"notes": "late"}))
        await waiting(cluster.api)
    assert (await save).status_code == 403


async def test_removals_beside_saves(cluster: Cluster) -> None:
    """No save is acknowledged that began after the removal was; none is written after it."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=12)
    await cluster.admit(dataset)
    owner = cluster.clients("owner")
    crowd = list(cluster.crowd().items())[: len(dataset.image_ids)]

    async def draw(image: int, client: httpx.AsyncClient) -> list[int]:
        answers: list[int] = []
        while not answers or answers[-1] == 200:
            answers.append((await client.post("/api/v1/annotations", json=box(dataset, image))).status_code)
        return answers

    async def remove(number: int, user_id: int, client: httpx.AsyncClient) -> int:
        await asyncio.sleep(0.02 * number)
        assert (await owner[number % 2].delete(permission(dataset, user_id))).status_code == 204
        after = await client.post("/api/v1/annotations", json=box(dataset, number))
        assert after.status_code == 404
        return await _count(cluster, user_id)

    drawing = [asyncio.create_task(draw(number, client)) for number, (_, client) in enumerate(crowd)]
    counts = await asyncio.gather(*(remove(n, user_id, client) for n, (user_id, client) in enumerate(crowd)))
    answers = await asyncio.gather(*drawing)
    assert {codes[-1] for codes in answers} == {404}
    accepted = [codes.count(200) for codes in answers]
    assert accepted == counts == [await _count(cluster, user_id) for user_id, _ in crowd]
    assert await rows(cluster.api, "SELECT * FROM image_locks WHERE project_id = $1", dataset.project_id) == []
    await check_counters(cluster.api, dataset)


async def _count(cluster: Cluster, user_id: int) -> int:
    sql = (
        "SELECT count(*)::int AS n FROM annotations a JOIN annotation_projects p ON p.id = a.project_id"
        " WHERE a.created_by = $1 AND p.id = (SELECT max(id) FROM annotation_projects)"
    )
    (row,) = await rows(cluster.api, sql, user_id)
    number: int = row["n"]
    return number


async def test_ownership_is_passed_around(cluster: Cluster) -> None:
    """Everybody tries to pass it on, again and again: there is always one owner, the same in each place."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=MEMBERS)
    people = ["owner", "admin", "reviewer", "annotator"]
    moved = 0
    for round_number in range(6):
        current = (await owners(cluster, dataset))["project"]
        answers = await asyncio.gather(
            *(
                cluster.client(sender, (round_number + number) % 2).post(
                    f"/api/v1/projects/{dataset.project_id}/transfer-ownership",
                    json={"new_owner_user_id": USER_IDS[receiver]},
                )
                for number, (sender, receiver) in enumerate(
                    (sender, receiver) for sender in people for receiver in people if sender != receiver
                )
            )
        )
        codes = [answer.status_code for answer in answers]
        assert set(codes) <= {200, 400, 403}, [answer.text for answer in answers]
        assert codes.count(200) >= 1
        moved += codes.count(200)
        after = await owners(cluster, dataset)
        assert after["project"] == after["dataset"] == after["members"][0]
        assert len(after["members"]) == 1
        assert after["project"] != current or codes.count(200) > 1
    assert moved >= 6
    stored = await rows(
        cluster.api, "SELECT user_id FROM project_permissions WHERE project_id = $1", dataset.project_id
    )
    assert sorted(row["user_id"] for row in stored) == [1, 2, 3, 4]


async def test_a_new_owner_who_is_removed_meanwhile(cluster: Cluster) -> None:
    """Either they own it, and the removal is refused, or they are gone, and the owner stays."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members={"admin": "admin"})
    await cluster.admit(dataset)
    for number, user_id in enumerate(list(CROWD)[:8]):
        owner, admin = cluster.client("owner", number % 2), cluster.client("admin", 1 - number % 2)
        transferred, removed = await asyncio.gather(
            owner.post(
                f"/api/v1/projects/{dataset.project_id}/transfer-ownership", json={"new_owner_user_id": user_id}
            ),
            admin.delete(permission(dataset, user_id)),
        )
        now = await owners(cluster, dataset)
        assert now["project"] == now["dataset"] == now["members"][0]
        if transferred.status_code == 200:
            assert removed.status_code == 400
            assert now["project"] == user_id
            back = cluster.client_of(user_id, f"user{user_id}@example.com")
            url = f"/api/v1/projects/{dataset.project_id}/transfer-ownership"
            assert (await back.post(url, json={"new_owner_user_id": OWNER.id})).status_code == 200
        else:
            assert transferred.status_code == 400
            assert removed.status_code == 204
            assert now["project"] == 2


async def test_fifty_accept_one_invitation(cluster: Cluster) -> None:
    """The same click fifty times: one membership, and the same answer to all."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    invited = await cluster.client("owner").post(
        "/api/v1/invitations",
        json={"project_id": dataset.id, "role": "annotator", "invitee_email": "stranger@example.com"},
    )
    assert invited.status_code == 200, invited.text
    clients = cluster.clients("stranger")
    received = (await clients[0].get("/api/v1/invitations", params={"project_id": dataset.id})).json()
    body = {"token": received["invitations"][0]["token"]}
    answers = await asyncio.gather(*(clients[n % 2].post("/api/v1/invitations/accept", json=body) for n in range(50)))
    assert {answer.status_code for answer in answers} == {200}, {answer.text for answer in answers}
    assert len({answer.json()["permission_id"] for answer in answers}) == 1
    others = cluster.clients("viewer")
    stolen = await asyncio.gather(*(client.post("/api/v1/invitations/accept", json=body) for client in others))
    assert {answer.status_code for answer in stolen} == {403}
    stored = await rows(
        cluster.api,
        f"SELECT role FROM project_permissions WHERE project_id = $1 AND user_id = {STRANGER.id}",
        dataset.project_id,
    )
    assert stored == [{"role": "annotator"}]


async def test_an_invitation_accepted_and_cancelled_at_once(cluster: Cluster) -> None:
    """One of the two wins, and the membership says which."""
    for number in range(6):
        dataset = await cluster.api.dataset(tasks=["detection"], images=1)
        user_id = CROWD[number]
        owner, invitee = cluster.client("owner"), cluster.client_of(user_id, f"user{user_id}@example.com", 1)
        body = {"project_id": dataset.project_id, "role": "viewer", "invitee_user_id": user_id}
        invitation = (await owner.post("/api/v1/invitations", json=body)).json()
        received = (await invitee.get("/api/v1/invitations", params={"project_id": dataset.id})).json()
        accepted, cancelled = await asyncio.gather(
            invitee.post("/api/v1/invitations/accept", json={"token": received["invitations"][0]["token"]}),
            owner.post(f"/api/v1/invitations/{invitation['id']}/cancel"),
        )
        assert sorted((accepted.status_code, cancelled.status_code)) == [200, 400]
        seen = await invitee.get(f"/api/v1/projects/{dataset.project_id}")
        assert seen.status_code == (200 if accepted.status_code == 200 else 404)


async def test_one_user_invited_by_many(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    await cluster.admit(dataset, "admin")
    inviters = list(cluster.crowd().values())[:8]
    body = {"project_id": dataset.id, "role": "viewer", "invitee_user_id": STRANGER.id}
    answers = await asyncio.gather(*(inviter.post("/api/v1/invitations", json=body) for inviter in inviters))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    stored = await rows(cluster.api, "SELECT status FROM invitations WHERE dataset_id = $1", dataset.id)
    assert stored == [{"status": "pending"}]


async def test_a_member_is_added_twice_at_once(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    clients = cluster.clients("owner")
    body = {"user_email": "stranger@example.com", "role": "viewer"}
    url = f"/api/v1/projects/{dataset.project_id}/permissions"
    answers = await asyncio.gather(*(clients[n % 2].post(url, json=body) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9


async def test_role_changes_beside_removals(cluster: Cluster) -> None:
    """An admin who is demoted at the same moment changes nobody's role afterwards; nobody is there twice."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members={"admin": "admin"})
    await cluster.admit(dataset, "viewer")
    clients = cluster.clients("owner")
    users = list(CROWD)[:20]
    answers = await asyncio.gather(
        *(
            call
            for number, user_id in enumerate(users)
            for call in (
                clients[number % 2].patch(permission(dataset, user_id), json={"role": "annotator"}),
                clients[1 - number % 2].delete(permission(dataset, user_id)),
                clients[number % 2].patch(permission(dataset, user_id), json={"role": "reviewer"}),
            )
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 204, 404}
    left = await rows(
        cluster.api,
        "SELECT user_id FROM project_permissions WHERE project_id = $1 AND user_id = ANY($2::int[])",
        dataset.project_id,
        users,
    )
    assert left == []
