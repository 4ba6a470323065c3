"""The dataset-permission calls: the members of the project, as owner and member."""

import asyncio

import pytest

from tests.fixtures.accounts import ANNOTATOR, OWNER, REVIEWER, USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.memberships import ALL, PERMISSION_KEYS, Owners, dataset_url, owners, refusal, roles


async def test_the_list_shows_two_roles(api: Api) -> None:
    dataset = await api.dataset(members=ALL | {"admin": "admin"})
    viewer = await api.login("viewer")
    for reference in (dataset.id, dataset.project_id):
        answer = await viewer.get(f"/api/v1/datasets/{reference}/permissions")
        assert answer.status_code == 200
        listed = answer.json()
        assert all(one.keys() == PERMISSION_KEYS and one["dataset_id"] == dataset.id for one in listed)
        assert {one["user_id"]: one["role"] for one in listed} == {
            OWNER.id: "owner",
            **{USER_IDS[account]: "member" for account in (*ALL, "admin")},
        }
    assert listed[0]["user_name"] == "Owner Example"
    assert listed[0]["granted_by_email"] == "owner@example.com"


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_whatever_the_number(api: Api, number: int) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, $2, 'viewer', 2)",
            [(dataset.project_id, 100 + index) for index in range(number)],
        )
    owner = await api.login("owner")
    with api.count() as counted:
        answer = await owner.get(dataset_url(dataset))
    assert len(answer.json()) == number + 1
    assert counted.value == 1


async def test_an_invitation_makes_an_annotator_at_once(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "reviewer"})
    owner = await api.login("owner")
    body = {"user_email": "Annotator@Example.com", "role": "member"}
    answer = await owner.post(f"{dataset_url(dataset)}/invite", json=body)
    assert answer.status_code == 200
    assert answer.json().keys() == PERMISSION_KEYS
    assert answer.json()["user_id"] == ANNOTATOR.id
    assert answer.json()["role"] == "member"
    assert answer.json()["granted_by"] == OWNER.id
    assert (await roles(api, dataset))[4] == "annotator"
    assert [d["id"] for d in (await (await api.login("annotator")).get("/api/v1/datasets")).json()] == [dataset.id]
    for account in ("annotator", "reviewer", "owner"):
        again = await owner.post(
            f"{dataset_url(dataset)}/invite", json={**body, "user_email": f"{account}@example.com"}
        )
        assert refusal(again) == (409, "already_member")
    assert (await roles(api, dataset)) == {OWNER.id: "owner", REVIEWER.id: "reviewer", ANNOTATOR.id: "annotator"}


async def test_an_invitation_that_is_refused(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    url = f"{dataset_url(dataset)}/invite"
    for body, status, code in (
        ({"user_email": "viewer@example.com", "role": "boss"}, 400, "unknown_role"),
        ({"user_email": "viewer@example.com", "role": "admin"}, 400, "unknown_role"),
        ({"user_email": "viewer@example.com", "role": "owner"}, 400, "owner_not_grantable"),
        ({"user_email": "nobody@example.com", "role": "member"}, 404, "user_not_found"),
        ({"user_email": "nobody", "role": "member"}, 422, "invalid"),
        ({"user_email": "viewer@example.com"}, 422, "invalid"),
        ({"user_email": "viewer@example.com", "role": None}, 422, "invalid"),
    ):
        assert refusal(await owner.post(url, json=body)) == (status, code)
    assert await roles(api, dataset) == {OWNER.id: "owner"}


async def test_of_ten_invitations_at_once_one_adds(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    body = {"user_email": "viewer@example.com", "role": "member"}
    answers = await asyncio.gather(*(owner.post(f"{dataset_url(dataset)}/invite", json=body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


async def test_a_member_becomes_an_annotator(api: Api) -> None:
    dataset = await api.dataset(members=ALL | {"admin": "admin"})
    owner, admin = await api.login("owner"), await api.login("admin")
    for account in ("viewer", "reviewer", "annotator"):
        answer = await owner.put(dataset_url(dataset, account), json={"role": "member"})
        assert answer.status_code == 200
        assert answer.json().keys() == PERMISSION_KEYS
        assert answer.json()["user_id"] == USER_IDS[account]
        assert answer.json()["role"] == "member"
        assert (await roles(api, dataset))[USER_IDS[account]] == "annotator"
    for account, role, status, code in (
        ("viewer", "owner", 400, "owner_not_grantable"),
        ("viewer", "annotator", 400, "unknown_role"),
        ("owner", "member", 400, "own_role"),
        ("stranger", "member", 404, "member_not_found"),
    ):
        assert refusal(await owner.put(dataset_url(dataset, account), json={"role": role})) == (status, code)
    assert refusal(await admin.put(dataset_url(dataset, "admin"), json={"role": "member"})) == (400, "own_role")
    assert refusal(await admin.put(dataset_url(dataset, "owner"), json={"role": "member"})) == (
        400,
        "owner_not_changeable",
    )
    assert (await owner.put(dataset_url(dataset, "viewer"), json={})).status_code == 422
    assert await owners(api, dataset) == Owners.only(OWNER.id)


async def test_a_member_is_removed(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    answer = await owner.delete(dataset_url(dataset, "viewer"))
    assert answer.status_code == 204
    assert answer.content == b""
    assert 5 not in await roles(api, dataset)
    assert refusal(await owner.delete(dataset_url(dataset, "viewer"))) == (404, "member_not_found")
    assert refusal(await owner.delete(dataset_url(dataset, "owner"))) == (400, "owner_cannot_leave")


@pytest.mark.parametrize(
    ("account", "role", "reads", "writes"),
    [
        ("reviewer", "admin", 200, True),
        ("admin", None, 200, True),
        ("reviewer", "reviewer", 200, False),
        ("annotator", "annotator", 200, False),
        ("stranger", None, 404, False),
    ],
)
async def test_who_may(api: Api, account: str, role: str | None, reads: int, writes: bool) -> None:
    dataset = await api.dataset(members={"viewer": "viewer"} | ({account: role} if role else {}))
    client = await api.login(account)
    refused = 404 if reads == 404 else 403
    assert (await client.get(dataset_url(dataset))).status_code == reads
    invited = await client.post(
        f"{dataset_url(dataset)}/invite", json={"user_email": "owner@example.com", "role": "member"}
    )
    assert invited.status_code == (409 if writes else refused)
    changed = await client.put(dataset_url(dataset, "viewer"), json={"role": "member"})
    assert changed.status_code == (200 if writes else refused)
    own = await client.put(dataset_url(dataset, account), json={"role": "member"})
    assert own.status_code == (400 if writes else refused)
    removed = await client.delete(dataset_url(dataset, "viewer"))
    assert removed.status_code == (204 if writes else refused)


async def test_statements_of_the_changes(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "viewer", "reviewer": "reviewer"})
    owner = await api.login("owner")
    url = dataset_url(dataset)
    invitation = {"user_email": "annotator@example.com", "role": "member"}
    for method, path, body, budget in (
        ("POST", f"{url}/invite", invitation, 3),
        ("PUT", dataset_url(dataset, "viewer"), {"role": "member"}, 3),
        ("DELETE", dataset_url(dataset, "viewer"), None, 3),
        ("POST", f"{url}/transfer-owner", {"new_owner_user_id": USER_IDS["reviewer"]}, 7),
    ):
        with api.count() as counted:
            answer = await owner.request(method, path, json=body)
        assert answer.is_success, answer.text
        assert counted.value <= budget, (method, path)


async def test_ids_that_nothing_has(api: Api) -> None:
    owner = await api.login("owner")
    for reference, status in (("ds_none", 404), ("%00", 422), ("x" * 5000, 404)):
        for url in (f"/api/v1/datasets/{reference}/permissions", f"/api/v1/projects/{reference}/permissions"):
            assert (await owner.get(url)).status_code == status
            assert (await owner.delete(f"{url}/5")).status_code == status
