"""POST /invitations/{id}/cancel."""

import asyncio

import pytest

from tests.fixtures.api import Api
from tests.fixtures.memberships import members_url, refusal
from tests.labeler_api.invitations.inviting import KEYS, URL, invited, lapse, received, token_of


# The inviter is the project's admin "reviewer", the invitee "viewer".
@pytest.mark.parametrize(
    ("account", "status"),
    [("reviewer", 200), ("viewer", 200), ("owner", 200), ("admin", 200), ("annotator", 403), ("stranger", 404)],
)
async def test_who_may(api: Api, account: str, status: int) -> None:
    dataset = await api.dataset(members={"reviewer": "admin", "annotator": "reviewer"})
    invitation = await invited(await api.login("reviewer"), dataset)
    answer = await (await api.login(account)).post(f"{URL}/{invitation['id']}/cancel")
    assert answer.status_code == status
    (seen,) = await received(api)
    if status != 200:
        assert seen["status"] == "pending"
        return
    assert answer.json().keys() == KEYS
    assert answer.json() == seen == invitation | {"status": "cancelled", "cancelled_at": seen["cancelled_at"]}
    assert seen["cancelled_at"] is not None


async def test_what_a_removed_admin_sent_is_cancelled_already(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "admin"})
    reviewer = await api.login("reviewer")
    invitation = await invited(reviewer, dataset)
    await (await api.login("owner")).delete(members_url(dataset, "reviewer"))
    answer = await reviewer.post(f"{URL}/{invitation['id']}/cancel")
    assert refusal(answer) == (400, "invitation_not_pending")


async def test_what_is_refused_and_why(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    invitation = await invited(owner, dataset)
    cancel = f"{URL}/{invitation['id']}/cancel"
    await lapse(api)
    expired = await owner.post(cancel)
    assert refusal(expired) == (400, "invitation_not_pending")
    assert "expired" in expired.json()["detail"]
    assert refusal(await owner.post(f"{URL}/{invitation['id'] + 1}/cancel")) == (404, "invitation_not_found")
    for bad in ("0", "x", str(2**31)):
        assert (await owner.post(f"{URL}/{bad}/cancel")).status_code == 422
    second = await invited(owner, dataset)
    await viewer.post(f"{URL}/accept", json={"token": await token_of(api)})
    accepted = await owner.post(f"{URL}/{second['id']}/cancel")
    assert refusal(accepted) == (400, "invitation_not_pending")
    assert "accepted" in accepted.json()["detail"]


async def test_of_ten_at_once_one_cancels(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    invitation = await invited(owner, dataset)
    clients = [owner, await api.login("viewer")]
    answers = await asyncio.gather(
        *(clients[n % 2].post(f"{URL}/{invitation['id']}/cancel", json={}) for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    again = await invited(owner, dataset)
    with api.count() as counted:
        await owner.post(f"{URL}/{again['id']}/cancel")
    assert counted.value == 2
