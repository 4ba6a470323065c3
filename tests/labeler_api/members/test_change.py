"""PATCH /projects/{id}/permissions/{user_id}."""

import asyncio

import pytest

from tests.fixtures.accounts import OWNER, USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.memberships import ALL, MEMBER_KEYS, Owners, members_url, owners, refusal, roles


async def test_the_owner_gives_every_role_by_either_id(api: Api) -> None:
    dataset = await api.dataset(members={"annotator": "annotator"})
    owner = await api.login("owner")
    before = (await owner.get(members_url(dataset))).json()[1]
    for number, role in enumerate(["admin", "reviewer", "annotator", "viewer", "viewer"]):
        answer = await owner.patch(members_url(dataset, "annotator", by_project=number % 2 == 0), json={"role": role})
        assert answer.status_code == 200
        assert answer.json().keys() == MEMBER_KEYS
        assert answer.json() == {**before, "role": role}
        assert (await roles(api, dataset))[4] == role


# Who (with which role, None: the system's admin, who is no member) turns whose role into what.
@pytest.mark.parametrize(
    ("account", "role", "present", "wanted", "status"),
    [
        ("reviewer", "admin", "viewer", "reviewer", 200),
        ("reviewer", "admin", "viewer", "admin", 403),
        ("reviewer", "admin", "admin", "viewer", 403),
        ("admin", None, "reviewer", "viewer", 200),
        ("admin", None, "viewer", "admin", 403),
        ("admin", None, "admin", "viewer", 403),
        ("reviewer", "reviewer", "viewer", "annotator", 403),
        ("annotator", "annotator", "viewer", "annotator", 403),
        ("stranger", None, "viewer", "annotator", 404),
    ],
)
async def test_nobody_touches_a_role_at_or_above_their_own(
    api: Api, account: str, role: str | None, present: str, wanted: str, status: int
) -> None:
    dataset = await api.dataset(members={"viewer": present} | ({account: role} if role else {}))
    answer = await (await api.login(account)).patch(members_url(dataset, "viewer"), json={"role": wanted})
    assert answer.status_code == status
    assert (await roles(api, dataset))[5] == (wanted if status == 200 else present)
    if status == 403:
        assert answer.json()["code"] == "role_too_low"


async def test_what_is_refused_and_why(api: Api) -> None:
    dataset = await api.dataset(members=ALL | {"admin": "admin"})
    owner, admin = await api.login("owner"), await api.login("admin")
    promoted = await owner.patch(members_url(dataset, "viewer"), json={"role": "owner"})
    assert refusal(promoted) == (400, "owner_not_grantable")
    assert "Transfer" in promoted.json()["detail"]
    for client in (owner, admin):
        answer = await client.patch(members_url(dataset, "owner"), json={"role": "viewer"})
        assert refusal(answer) == (400, "owner_not_changeable")
    assert refusal(await admin.patch(members_url(dataset, "admin"), json={"role": "viewer"})) == (403, "role_too_low")
    assert refusal(await owner.patch(members_url(dataset, "stranger"), json={"role": "viewer"})) == (
        404,
        "member_not_found",
    )
    bodies: list[object] = [{}, {"role": "boss"}, {"role": None}, {"role": 4}, []]
    for body in bodies:
        assert (await owner.patch(members_url(dataset, "viewer"), json=body)).status_code == 422
    for user_id in ("0", "-1", "x", str(2**31)):
        assert (await owner.patch(f"{members_url(dataset)}/{user_id}", json={"role": "viewer"})).status_code == 422
    assert (await owner.patch("/api/v1/projects/proj_none/permissions/5", json={"role": "viewer"})).status_code == 404
    assert await owners(api, dataset) == Owners.only(OWNER.id)


async def test_a_new_role_counts_from_the_next_request_on(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "viewer"}, tasks=["detection"])
    owner, viewer = await api.login("owner"), await api.login("viewer")
    patch = f"/api/v1/projects/{dataset.project_id}"
    assert (await viewer.patch(patch, json={"name": "x"})).status_code == 403
    await owner.patch(members_url(dataset, "viewer"), json={"role": "admin"})
    assert (await viewer.patch(patch, json={"name": "x"})).status_code == 200
    await owner.patch(members_url(dataset, "viewer"), json={"role": "reviewer"})
    assert (await viewer.patch(patch, json={"name": "y"})).status_code == 403


async def test_an_admin_never_demotes_who_is_made_an_admin_at_the_same_moment(api: Api) -> None:
    """Whichever comes first: after the promotion an admin's change is refused, so the promotion stands."""
    owner, admin = await api.login("owner"), await api.login("admin")
    for _ in range(8):
        dataset = await api.dataset(members={"viewer": "viewer"})
        url = members_url(dataset, "viewer")
        up, down = await asyncio.gather(
            owner.patch(url, json={"role": "admin"}), admin.patch(url, json={"role": "annotator"})
        )
        assert up.status_code == 200
        assert down.status_code in {200, 403}
        assert (await roles(api, dataset))[USER_IDS["viewer"]] == "admin"


async def test_two_statements(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.patch(members_url(dataset, "viewer"), json={"role": "annotator"})
    assert counted.value == 2
