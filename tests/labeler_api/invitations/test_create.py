"""POST /invitations."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.fixtures.accounts import OWNER, REVIEWER, VIEWER
from tests.fixtures.api import Api
from tests.fixtures.memberships import refusal
from tests.fixtures.rows import rows
from tests.labeler_api.invitations.inviting import KEYS, URL, body, invited, lapse, members, received


async def test_the_invitee_gets_a_token_and_nobody_else(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    for account, reference in (("viewer", dataset.id), ("annotator", dataset.project_id)):
        answer = await owner.post(URL, json=body(dataset, account, "reviewer", project_id=reference))
        assert answer.status_code == 200
        invitation = answer.json()
        assert invitation.keys() == KEYS
        assert invitation["project_id"] == dataset.id
        assert invitation["project_name"] == "Dataset 1"
        assert invitation["role"] == "reviewer"
        assert invitation["status"] == "pending"
        assert invitation["token"] is None
        assert invitation["invitee_email"] == f"{account}@example.com"
        assert invitation["inviter_name"] == "Owner Example"
        assert invitation["inviter_user_id"] == 2
        lives = datetime.fromisoformat(invitation["expires_at"]) - datetime.fromisoformat(invitation["created_at"])
        assert lives == timedelta(days=7)
        assert invitation["accepted_at"] is None
        assert invitation["cancelled_at"] is None
        (seen,) = await received(api, account)
        assert seen == invitation | {"token": seen["token"]}
        assert len(seen["token"]) == 43
    sent = (await owner.get(URL, params={"type": "sent"})).json()["invitations"]
    assert [one["token"] for one in sent] == [None, None]
    tokens = await rows(api, "SELECT DISTINCT token FROM invitations")
    assert len(tokens) == 2
    assert await members(api, dataset) == {}


async def test_by_e_mail_address_in_any_case(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    sent = {"project_id": dataset.id, "invitee_email": " Viewer@EXAMPLE.com ", "role": "viewer"}
    answer = await owner.post(URL, json=sent)
    assert answer.status_code == 200
    assert answer.json()["invitee_user_id"] == VIEWER.id
    assert answer.json()["invitee_email"] == "viewer@example.com"
    assert refusal(await owner.post(URL, json=body(dataset))) == (400, "invitation_pending")
    assert refusal(await owner.post(URL, json=sent | {"invitee_email": "no@example.com"})) == (404, "user_not_found")
    missing = await owner.post(URL, json={"project_id": dataset.id, "role": "viewer"})
    assert missing.status_code == 422
    assert missing.json()["errors"] == [{"loc": ["body", "invitee_user_id"], "message": "is missing"}]


async def test_what_is_refused_and_why(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "reviewer"})
    owner = await api.login("owner")
    await invited(owner, dataset)
    for changed, status, code in (
        ({}, 400, "invitation_pending"),
        ({"role": "admin"}, 400, "invitation_pending"),
        ({"invitee_user_id": REVIEWER.id}, 400, "already_member"),
        ({"invitee_user_id": OWNER.id}, 400, "already_member"),
        ({"role": "owner"}, 400, "owner_not_grantable"),
        ({"invitee_user_id": 999}, 404, "user_not_found"),
        ({"project_id": "ds_none"}, 404, "project_not_found"),
        ({"role": "boss"}, 422, "invalid"),
        ({"role": None}, 422, "invalid"),
        ({"invitee_user_id": "5"}, 422, "invalid"),
        ({"invitee_user_id": 2**31}, 422, "invalid"),
        ({"project_id": ""}, 422, "invalid"),
        ({"project_id": None}, 422, "invalid"),
    ):
        answer = await owner.post(URL, json=body(dataset, **changed))
        assert refusal(answer) == (status, code), changed
    assert len(await rows(api, "SELECT id FROM invitations")) == 1


# Who (with which role, None: the system's admin or a stranger) invites as what.
@pytest.mark.parametrize(
    ("account", "role", "wanted", "status"),
    [
        ("owner", None, "admin", 200),
        ("reviewer", "admin", "reviewer", 200),
        ("reviewer", "admin", "admin", 403),
        ("admin", None, "reviewer", 200),
        ("admin", None, "admin", 403),
        ("reviewer", "reviewer", "viewer", 403),
        ("annotator", "annotator", "viewer", 403),
        ("stranger", None, "viewer", 404),
    ],
)
async def test_who_may_invite_as_what(api: Api, account: str, role: str | None, wanted: str, status: int) -> None:
    dataset = await api.dataset(members={account: role} if role else {})
    answer = await (await api.login(account)).post(URL, json=body(dataset, "viewer", wanted))
    assert answer.status_code == status
    assert len(await rows(api, "SELECT id FROM invitations")) == (status == 200)


async def test_of_ten_at_once_one_invites(api: Api) -> None:
    dataset = await api.dataset(members={"admin": "admin"})
    clients = [await api.login("owner"), await api.login("admin")]
    answers = await asyncio.gather(*(clients[n % 2].post(URL, json=body(dataset)) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    assert len(await received(api)) == 1


async def test_an_expired_one_does_not_stand_in_the_way(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    first = await invited(owner, dataset)
    await lapse(api)
    second = await invited(owner, dataset)
    assert [(one["id"], one["status"]) for one in await received(api)] == [
        (second["id"], "pending"),
        (first["id"], "expired"),
    ]


async def test_twenty_an_hour(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "admin"})
    owner = await api.login("owner")
    await invited(owner, dataset)
    for _ in range(19):
        assert (await owner.post(URL, json=body(dataset))).status_code == 400
    answer = await owner.post(URL, json=body(dataset, "annotator"))
    assert refusal(answer) == (429, "too_many_requests")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    assert await received(api, "annotator") == []
    await invited(await api.login("reviewer"), dataset, "annotator")  # everybody has a limit of their own


async def test_two_statements(api: Api) -> None:
    """The access twice, the invitation, and the clearance of one that is past its time."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    with api.count() as counted:
        await invited(owner, dataset)
    assert counted.value == 2
