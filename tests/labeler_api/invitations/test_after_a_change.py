"""Invitations that wait while the role of their inviter or invitee changes: none outlives what it was given by."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.memberships import dataset_url, members_url, refusal
from tests.fixtures.own_users import Own
from tests.fixtures.rows import rows
from tests.labeler_api.invitations.inviting import URL, invited, members, received, token_of

Change = Callable[[Any, Dataset, str], Awaitable[Any]]

REMOVALS: dict[str, Change] = {
    "from the project": lambda client, dataset, who: client.delete(members_url(dataset, who)),
    "from the dataset": lambda client, dataset, who: client.delete(dataset_url(dataset, who)),
}
DEMOTIONS: dict[str, Change] = {
    "on the project": lambda client, dataset, who: client.patch(members_url(dataset, who), json={"role": "annotator"}),
    "on the dataset": lambda client, dataset, who: client.put(dataset_url(dataset, who), json={"role": "member"}),
}


async def _accept(api: Api, token: str, account: str = "viewer") -> tuple[int, str]:
    return refusal(await (await api.login(account)).post(f"{URL}/accept", json={"token": token}))


async def _statuses(api: Api) -> list[str]:
    return [row["status"] for row in await rows(api, "SELECT status FROM invitations ORDER BY id")]


@pytest.mark.parametrize("how", REMOVALS)
async def test_who_was_invited_as_admin_and_removed_as_viewer_is_out(api: Api, how: str) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await invited(owner, dataset, role="admin")
    token = await token_of(api)
    await owner.post(members_url(dataset), json={"user_email": "viewer@example.com", "role": "viewer"})
    assert (await REMOVALS[how](owner, dataset, "viewer")).status_code == 204
    (seen,) = await received(api)
    assert seen["status"] == "cancelled"
    assert seen["token"] is None
    assert seen["cancelled_at"] is not None
    assert await _accept(api, token) == (400, "invitation_not_pending")
    assert await members(api, dataset) == {}
    await invited(owner, dataset)  # nothing stands in the way of a new one


@pytest.mark.parametrize("how", REMOVALS)
async def test_what_a_removed_admin_sent_lets_nobody_in(api: Api, how: str) -> None:
    dataset = await api.dataset(members={"reviewer": "admin"})
    other = await api.dataset(members={"reviewer": "admin"})
    owner, reviewer = await api.login("owner"), await api.login("reviewer")
    await invited(reviewer, dataset, "viewer", "viewer")
    token = await token_of(api)
    await invited(reviewer, other, "viewer", "viewer")
    await invited(owner, dataset, "annotator", "admin")
    assert (await REMOVALS[how](owner, dataset, "reviewer")).status_code == 204
    assert await _statuses(api) == ["cancelled", "pending", "pending"]
    assert await _accept(api, token) == (400, "invitation_not_pending")
    assert await members(api, dataset) == {}


@pytest.mark.parametrize("how", DEMOTIONS)
async def test_what_a_demoted_admin_sent_lets_nobody_in(api: Api, how: str) -> None:
    dataset = await api.dataset(members={"reviewer": "admin"})
    owner, reviewer = await api.login("owner"), await api.login("reviewer")
    await invited(reviewer, dataset)
    token = await token_of(api)
    assert (await DEMOTIONS[how](owner, dataset, "reviewer")).status_code == 200
    assert await _statuses(api) == ["cancelled"]
    assert await _accept(api, token) == (400, "invitation_not_pending")
    assert await members(api, dataset) == {USER_IDS["reviewer"]: "annotator"}


async def test_a_demotion_ends_what_waits_for_the_member(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await invited(owner, dataset, role="admin")
    await owner.post(members_url(dataset), json={"user_email": "viewer@example.com", "role": "reviewer"})
    await owner.patch(members_url(dataset, "viewer"), json={"role": "viewer"})
    assert await _statuses(api) == ["cancelled"]


async def test_a_promotion_leaves_what_the_member_sent(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "admin", "annotator": "viewer"})
    await invited(await api.login("reviewer"), dataset)
    await (await api.login("owner")).patch(members_url(dataset, "annotator"), json={"role": "reviewer"})
    assert await _statuses(api) == ["pending"]


@pytest.mark.parametrize("call", ["project", "dataset"])
async def test_a_former_owners_invitations_hold_as_far_as_the_new_role_reaches(api: Api, call: str) -> None:
    """A project's former owner is an admin and may not make admins; a dataset's is an annotator and invites nobody."""
    dataset = await api.dataset(members={"reviewer": "reviewer"})
    owner = await api.login("owner")
    await invited(owner, dataset, "viewer", "admin")
    await invited(owner, dataset, "annotator", "reviewer")
    token = await token_of(api)
    body = {"new_owner_user_id": USER_IDS["reviewer"]}
    url = f"/api/v1/projects/{dataset.project_id}/transfer-ownership"
    answer = await owner.post(url if call == "project" else f"{dataset_url(dataset)}/transfer-owner", json=body)
    assert answer.status_code == 200, answer.text
    assert await _statuses(api) == ["cancelled", "pending" if call == "project" else "cancelled"]
    assert await _accept(api, token) == (400, "invitation_not_pending")


async def test_an_inviter_whose_role_was_changed_in_the_database_may_not_invite_either(api: Api) -> None:
    """Whatever way the role went: accepting looks at it, and cancels the invitation."""
    dataset = await api.dataset(members={"reviewer": "admin"})
    await invited(await api.login("reviewer"), dataset)
    token = await token_of(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE project_permissions SET role = 'reviewer' WHERE user_id = $1", USER_IDS["reviewer"])
    viewer = await api.login("viewer")
    answer = await viewer.post(f"{URL}/accept", json={"token": token})
    assert refusal(answer) == (400, "invitation_not_pending")
    assert "whoever sent it may not invite" in answer.json()["detail"]
    assert await _statuses(api) == ["cancelled"]
    assert await members(api, dataset) == {USER_IDS["reviewer"]: "reviewer"}


async def test_a_system_admin_invites_without_being_a_member(api: Api) -> None:
    dataset = await api.dataset()
    await invited(await api.login("admin"), dataset)
    viewer = await api.login("viewer")
    answer = await viewer.post(f"{URL}/accept", json={"token": await token_of(api)})
    assert answer.status_code == 200
    assert await members(api, dataset) == {USER_IDS["viewer"]: "annotator"}


@pytest.mark.parametrize("change", ["system_role = 'manager'", "is_active = false"])
async def test_an_inviter_who_is_no_system_admin_or_not_active_any_more(own: Own, change: str) -> None:
    dataset = await own.api.dataset()
    await invited(await own.api.login("admin"), dataset)
    token = await token_of(own.api)
    await own.users.execute(f"UPDATE users SET {change} WHERE id = 1")
    assert await _accept(own.api, token) == (400, "invitation_not_pending")
    assert await _statuses(own.api) == ["cancelled"]
    assert await members(own.api, dataset) == {}


async def test_a_project_made_anew_knows_no_invitation_of_before(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await invited(owner, dataset)
    token = await token_of(api)
    assert (await owner.delete(f"/api/v1/projects/{dataset.project_id}")).status_code == 204
    assert (await owner.get(f"/api/v1/projects/dataset/{dataset.id}")).status_code in {200, 404}
    assert (await _accept(api, token))[0] in {400, 404}
    assert await _statuses(api) == ["cancelled"]
