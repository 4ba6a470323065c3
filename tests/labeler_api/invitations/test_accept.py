"""POST /invitations/accept."""

import asyncio

import httpx
import pytest

from tests.fixtures.accounts import OWNER, VIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.memberships import members_url, refusal
from tests.fixtures.rows import rows
from tests.fixtures.waiting import waiting
from tests.labeler_api.invitations.inviting import URL, invited, lapse, members, received, token_of


async def _accept(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(f"{URL}/accept", json={"token": token})


async def test_the_invitee_becomes_a_member_and_once_more_changes_nothing(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    await invited(owner, dataset, role="reviewer")
    token = await token_of(api)
    answer = await _accept(viewer, token)
    assert answer.status_code == 200
    accepted = answer.json()
    assert accepted.keys() == {"message", "project_id", "role", "permission_id"}
    assert accepted["project_id"] == dataset.id
    assert accepted["role"] == "reviewer"
    (stored,) = await rows(api, f"SELECT id, role, granted_by FROM project_permissions WHERE user_id = {VIEWER.id}")
    assert stored == {"id": accepted["permission_id"], "role": "reviewer", "granted_by": OWNER.id}
    assert [d["id"] for d in (await viewer.get("/api/v1/datasets")).json()] == [dataset.id]
    (seen,) = await received(api)
    assert seen["status"] == "accepted"
    assert seen["token"] is None
    assert seen["cancelled_at"] is None
    assert seen["accepted_at"] is not None
    for _ in range(2):
        again = await _accept(viewer, token)
        assert again.status_code == 200
        assert again.json() == accepted
    assert await received(api) == [seen]


async def test_fifty_at_once_make_one_member_and_all_get_one_answer(api: Api) -> None:
    dataset = await api.dataset()
    await invited(await api.login("owner"), dataset)
    token, viewer = await token_of(api), await api.login("viewer")
    answers = await asyncio.gather(*(_accept(viewer, token) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await members(api, dataset) == {VIEWER.id: "annotator"}


async def test_what_is_refused_and_why(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    invitation = await invited(owner, dataset)
    token = await token_of(api)
    for account in ("owner", "admin", "stranger"):
        assert refusal(await _accept(await api.login(account), token)) == (403, "not_the_invitee")
    assert refusal(await _accept(viewer, token[:-1])) == (404, "invitation_not_found")
    bodies: list[object] = [{}, {"token": None}, {"token": ""}, {"token": "x" * 256}, {"token": 1}, []]
    for bad in bodies:
        assert (await viewer.post(f"{URL}/accept", json=bad)).status_code == 422
    await lapse(api)
    expired = await _accept(viewer, token)
    assert refusal(expired) == (400, "invitation_not_pending")
    assert "expired" in expired.json()["detail"]
    await invited(owner, dataset)
    token = await token_of(api)
    await owner.post(f"{URL}/{(await received(api))[0]['id']}/cancel")
    cancelled = await _accept(viewer, token)
    assert refusal(cancelled) == (400, "invitation_not_pending")
    assert "cancelled" in cancelled.json()["detail"]
    assert await members(api, dataset) == {}
    assert invitation["token"] is None


async def test_a_removed_member_does_not_come_back_by_the_old_token(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    await invited(owner, dataset)
    token = await token_of(api)
    await _accept(viewer, token)
    await owner.delete(members_url(dataset, "viewer"))
    answer = await _accept(viewer, token)
    assert refusal(answer) == (400, "invitation_not_pending")
    assert "removed" in answer.json()["detail"]
    assert await members(api, dataset) == {}
    await invited(owner, dataset)
    assert (await _accept(viewer, await token_of(api))).status_code == 200


async def test_who_became_a_member_meanwhile_keeps_their_role(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    await invited(owner, dataset, role="admin")
    token = await token_of(api)
    await owner.post(members_url(dataset), json={"user_email": "viewer@example.com", "role": "viewer"})
    answer = await _accept(viewer, token)
    assert answer.status_code == 200
    assert answer.json()["role"] == "viewer"
    assert await members(api, dataset) == {VIEWER.id: "viewer"}
    assert (await received(api))[0]["status"] == "accepted"
    assert (await _accept(viewer, token)).json() == answer.json()


async def test_an_old_invitation_as_owner_makes_no_second_owner(api: Api) -> None:
    dataset = await api.dataset()
    await invited(await api.login("owner"), dataset)
    token = await token_of(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE invitations SET role = 'owner'")
    assert refusal(await _accept(await api.login("viewer"), token)) == (400, "owner_not_grantable")
    assert await members(api, dataset) == {}


async def test_a_dataset_whose_project_is_gone(api: Api) -> None:
    dataset = await api.dataset()
    await invited(await api.login("owner"), dataset)
    token = await token_of(api)
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM annotation_projects")
    assert refusal(await _accept(await api.login("viewer"), token)) == (404, "project_not_found")
    assert (await received(api))[0]["project_name"] == "Dataset 1"


@pytest.mark.parametrize("first", ["accept", "cancel"])
async def test_accepting_and_cancelling_at_once(api: Api, first: str) -> None:
    """Whoever comes first decides; nobody is a member by a cancelled invitation, or is not by an accepted one."""
    dataset: Dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    invitation = await invited(owner, dataset)
    token = await token_of(api)
    calls = {"accept": _accept(viewer, token), "cancel": owner.post(f"{URL}/{invitation['id']}/cancel")}
    async with api.db.begin() as tx:
        await tx.execute("SELECT FROM invitations FOR UPDATE")
        tasks = {first: asyncio.create_task(calls.pop(first))}
        await waiting(api, 1)
        ((second, call),) = calls.items()
        tasks[second] = asyncio.create_task(call)
        await waiting(api, 2)
    statuses = {name: (await task).status_code for name, task in tasks.items()}
    assert statuses == {first: 200, second: 400}
    assert await members(api, dataset) == ({VIEWER.id: "annotator"} if first == "accept" else {})
    assert (await received(api))[0]["status"] == ("accepted" if first == "accept" else "cancelled")


async def test_two_statements(api: Api) -> None:
    """What it is, the roles of the two, the invitation once it is locked, and the membership."""
    dataset = await api.dataset()
    await invited(await api.login("owner"), dataset)
    token, viewer = await token_of(api), await api.login("viewer")
    with api.count() as counted:
        await _accept(viewer, token)
    assert counted.value == 2
