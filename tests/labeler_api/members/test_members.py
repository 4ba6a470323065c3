"""GET and POST /projects/{id}/permissions, and the one place that decides on roles."""

import asyncio

import pytest

from labeler_api.limits.rate_limits import MEMBERS_PER_PERSON
from tests.fixtures.accounts import ANNOTATOR, OWNER, USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.memberships import dataset_url, members_url, refusal

KEYS = {
    "id", "project_id", "user_id", "role", "granted_by", "granted_at", "user_name", "user_email", "user_badge_color",
    "granted_by_name", "granted_by_email",
}  # fmt: skip


def _url(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.id}/permissions"


async def test_the_list_has_everybody_by_either_id(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "reviewer", "viewer": "viewer"})
    viewer = await api.login("viewer")
    for reference in (dataset.id, dataset.project_id):
        answer = await viewer.get(f"/api/v1/projects/{reference}/permissions")
        assert answer.status_code == 200
        members = answer.json()
        assert all(member.keys() == KEYS and member["project_id"] == dataset.project_id for member in members)
        assert [(member["user_id"], member["role"]) for member in members] == [
            (2, "owner"),
            (3, "reviewer"),
            (5, "viewer"),
        ]
        assert members[1]["user_name"] == "Reviewer Example"
        assert members[1]["user_email"] == "reviewer@example.com"
        assert members[1]["granted_by_name"] == "Owner Example"
        assert members[1]["granted_by_email"] == "owner@example.com"


async def test_deleted_users_show_as_nulls(api: Api) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, 999, 'viewer', 998)",
            dataset.project_id,
        )
    ghost = (await (await api.login("owner")).get(_url(dataset))).json()[1]
    assert ghost["user_id"] == 999
    assert ghost["user_name"] is None
    assert ghost["user_email"] is None
    assert ghost["user_badge_color"] is None
    assert ghost["granted_by_name"] is None
    assert ghost["granted_by_email"] is None


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_and_a_batch_for_each_500_users(api: Api, number: int) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, $2, 'viewer', 2)",
            [(dataset.project_id, 100 + index) for index in range(number)],
        )
    owner = await api.login("owner")
    await owner.get("/api/v1/auth/me")  # the caller is in the cache, as in a session
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        answer = await owner.get(_url(dataset))
    assert len(answer.json()) == number + 1
    assert counted.value == 1
    assert (api.services.directory.calls - calls).total() == -(-number // 500)


async def test_members_of_a_public_dataset_are_shown_to_all_and_those_of_a_private_one_to_members(api: Api) -> None:
    private, public = await api.dataset(), await api.dataset(visibility="public")
    stranger, admin = await api.login("stranger"), await api.login("admin")
    assert (await stranger.get(_url(private))).status_code == 404
    assert (await stranger.get(_url(public))).status_code == 200
    assert (await admin.get(_url(private))).status_code == 200


@pytest.mark.parametrize("role", ["admin", "reviewer", "annotator", "viewer"])
async def test_the_owner_adds_with_any_role(api: Api, role: str) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    answer = await owner.post(_url(dataset), json={"user_email": "annotator@example.com", "role": role})
    assert answer.status_code == 201
    body = answer.json()
    assert body.keys() == KEYS
    assert body["project_id"] == dataset.project_id
    assert body["user_id"] == ANNOTATOR.id
    assert body["role"] == role
    assert body["granted_by"] == OWNER.id
    assert body["user_name"] == "Annotator Example"
    assert body["granted_by_name"] == "Owner Example"
    listed = (await (await api.login("annotator")).get("/api/v1/datasets")).json()
    assert [one["id"] for one in listed] == [dataset.id]


async def test_the_address_is_compared_without_case_and_blanks(api: Api) -> None:
    dataset = await api.dataset()
    answer = await (await api.login("owner")).post(
        _url(dataset), json={"user_email": " Annotator@EXAMPLE.com ", "role": "viewer"}
    )
    assert answer.status_code == 201
    assert answer.json()["user_id"] == ANNOTATOR.id


@pytest.mark.parametrize(
    ("account", "role", "wanted", "status"),
    [
        ("reviewer", "admin", "reviewer", 201),
        ("reviewer", "admin", "admin", 403),
        ("admin", None, "reviewer", 201),
        ("admin", None, "admin", 403),
        ("reviewer", "reviewer", "viewer", 403),
        ("annotator", "annotator", "viewer", 403),
        ("viewer", "viewer", "viewer", 403),
        ("stranger", None, "viewer", 404),
    ],
)
async def test_nobody_grants_a_role_at_or_above_their_own(
    api: Api, account: str, role: str | None, wanted: str, status: int
) -> None:
    dataset = await api.dataset(members={account: role} if role else {})
    target = "viewer" if account != "viewer" else "annotator"
    client = await api.login(account)
    answer = await client.post(_url(dataset), json={"user_email": f"{target}@example.com", "role": wanted})
    assert answer.status_code == status
    async with api.db.read() as connection:
        granted = await connection.fetchval("SELECT role FROM project_permissions WHERE user_id = $1", USER_IDS[target])
    assert granted == (wanted if status == 201 else None)


async def test_ownership_is_transferred_and_never_granted(api: Api) -> None:
    dataset = await api.dataset()
    answer = await (await api.login("owner")).post(
        _url(dataset), json={"user_email": "viewer@example.com", "role": "owner"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "owner_not_grantable"
    assert "Transfer" in answer.json()["detail"]


@pytest.mark.parametrize("account", ["owner", "reviewer"])
async def test_a_member_cannot_be_added_again(api: Api, account: str) -> None:
    dataset = await api.dataset(members={"reviewer": "reviewer"})
    answer = await (await api.login("owner")).post(
        _url(dataset), json={"user_email": f"{account}@example.com", "role": "viewer"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "already_member"
    listed = (await (await api.login("owner")).get(_url(dataset))).json()
    assert [member["role"] for member in listed] == ["owner", "reviewer"]


async def test_of_ten_at_once_one_adds(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    body = {"user_email": "viewer@example.com", "role": "viewer"}
    with api.count() as counted:
        added = await owner.post(_url(dataset), json={**body, "user_email": "annotator@example.com"})
    assert added.status_code == 201
    assert counted.value == 2
    answers = await asyncio.gather(*(owner.post(_url(dataset), json=body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9


async def test_an_address_that_nobody_has(api: Api) -> None:
    dataset = await api.dataset()
    answer = await (await api.login("owner")).post(
        _url(dataset), json={"user_email": "nobody@example.com", "role": "viewer"}
    )
    assert answer.status_code == 404
    assert answer.json()["code"] == "user_not_found"


async def test_who_may_not_add_does_not_learn_who_has_an_account(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "viewer"})
    viewer = await api.login("viewer")
    calls = api.services.directory.calls.copy()
    for address in ("nobody@example.com", "reviewer@example.com"):
        answer = await viewer.post(_url(dataset), json={"user_email": address, "role": "viewer"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "role_too_low"
    assert (api.services.directory.calls - calls)["GetUser"] <= 1  # the caller's own look-up


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_email": "viewer@example.com"},
        {"user_email": "viewer@example.com", "role": "boss"},
        {"user_email": "viewer@example.com", "role": None},
        {"user_email": "not an address", "role": "viewer"},
        {"user_email": f"{'x' * 300}@example.com", "role": "viewer"},
    ],
)
async def test_bad_bodies_are_422(api: Api, body: object) -> None:
    dataset = await api.dataset()
    assert (await (await api.login("owner")).post(_url(dataset), json=body)).status_code == 422


async def test_nobody_tries_a_list_of_addresses(api: Api) -> None:
    """Adding tells whether there is an account with this address."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    for _ in range(500):
        await api.services.limits.hit(MEMBERS_PER_PERSON, str(USER_IDS["owner"]))
    body = {"user_email": "nobody@example.com", "role": "viewer"}
    for url in (members_url(dataset), f"{dataset_url(dataset)}/invite"):
        answer = await owner.post(url, json=body | ({"role": "member"} if "invite" in url else {}))
        assert refusal(answer) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) > 3000
