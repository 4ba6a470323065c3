"""GET /platform/organizations, /platform/organizations/{id}, /platform/workspaces, and names beside users."""

import pytest

from tests.fixtures.api import Api
from tests.fixtures.platform import PlatformDb

ORGANIZATIONS = "/api/v1/platform/organizations"
WORKSPACES = "/api/v1/platform/workspaces"
ONE = {
    "id": 1,
    "name": "Example organization",
    "company": "Example",
    "division": "Vision",
    "max_users": 50,
    "max_storage_gb": 1000,
    "max_gpu_hours_per_month": 200,
}


async def test_members_see_their_organization(platform_api: Api) -> None:
    owner = await platform_api.login("owner")
    listed = await owner.get(ORGANIZATIONS)
    assert listed.status_code == 200
    body = listed.json()
    single = (await owner.get(f"{ORGANIZATIONS}/1")).json()
    assert body == {"organizations": [single], "total": 1, "limit": 50, "offset": 0}
    assert single.pop("created_at").endswith("Z")
    assert single.pop("updated_at").endswith("Z")
    assert single == ONE


async def test_members_see_its_workspaces_in_order(platform_api: Api) -> None:
    body = (await (await platform_api.login("owner")).get(WORKSPACES, params={"organization_id": 1})).json()
    assert [workspace["name"] for workspace in body.pop("workspaces")] == ["Line A", "Line B"]
    assert body == {"total": 2, "limit": 50, "offset": 0}
    page = await (await platform_api.login("owner")).get(
        WORKSPACES, params={"organization_id": 1, "limit": 1, "offset": 1}
    )
    workspace = page.json()["workspaces"][0]
    assert workspace.pop("created_at").endswith("Z")
    assert workspace.pop("updated_at").endswith("Z")
    assert workspace == {"id": 1, "organization_id": 1, "name": "Line B", "description": None}
    beyond = await (await platform_api.login("owner")).get(WORKSPACES, params={"organization_id": 1, "offset": 9})
    assert beyond.json()["workspaces"] == []
    assert beyond.json()["total"] == 2


@pytest.mark.parametrize(
    ("account", "seen", "statuses"),
    [
        ("admin", [1, 2], {1: 200, 2: 200, 3: 404}),  # a system admin sees all of them
        ("owner", [1], {1: 200, 2: 404, 3: 404}),
        ("reviewer", [1], {1: 200, 2: 404, 3: 404}),
        ("viewer", [], {1: 404, 2: 404, 3: 404}),  # belongs to none
        ("stranger", [2], {1: 404, 2: 200, 3: 404}),
    ],
)
async def test_who_sees_what(platform_api: Api, account: str, seen: list[int], statuses: dict[int, int]) -> None:
    client = await platform_api.login(account)
    body = (await client.get(ORGANIZATIONS)).json()
    assert sorted(organization["id"] for organization in body["organizations"]) == seen
    assert body["total"] == len(seen)
    for organization_id, status in statuses.items():
        answers = [
            await client.get(f"{ORGANIZATIONS}/{organization_id}"),
            await client.get(WORKSPACES, params={"organization_id": organization_id}),
        ]
        assert [answer.status_code for answer in answers] == [status, status]
        if status == 404:
            assert {answer.json()["code"] for answer in answers} == {"organization_not_found"}


async def test_an_organization_that_was_deleted_is_404_for_its_members(
    platform_api: Api, platform_db: PlatformDb
) -> None:
    await platform_db.execute("DELETE FROM organizations WHERE id = 1")
    owner = await platform_api.login("owner")
    assert (await owner.get(f"{ORGANIZATIONS}/1")).status_code == 404
    assert (await owner.get(WORKSPACES, params={"organization_id": 1})).status_code == 404
    assert (await owner.get(ORGANIZATIONS)).json()["organizations"] == []
    assert (await owner.get("/api/v1/auth/me")).json()["organization"] is None


async def test_users_are_shown_with_their_organization(platform_api: Api) -> None:
    owner, viewer = await platform_api.login("owner"), await platform_api.login("viewer")
    mine = {"id": 1, "name": "Example organization"}
    assert (await owner.get("/api/v1/auth/me")).json()["organization"] == mine
    assert (await owner.get("/api/v1/users/6")).json()["organization"] == {"id": 2, "name": "다른 회사"}
    assert (await viewer.get("/api/v1/auth/me")).json()["organization"] is None
    with platform_api.count() as counted:
        for _ in range(20):
            assert (await owner.get("/api/v1/auth/me")).json()["organization"] == mine
    assert counted.value == 0


@pytest.mark.parametrize("path", [ORGANIZATIONS, f"{ORGANIZATIONS}/1", f"{WORKSPACES}?organization_id=1"])
async def test_all_need_a_login(platform_api: Api, path: str) -> None:
    async with platform_api.client() as client:
        assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        f"{ORGANIZATIONS}?limit=0",
        f"{ORGANIZATIONS}?limit=201",
        f"{ORGANIZATIONS}?offset=-1",
        f"{ORGANIZATIONS}/0",
        f"{ORGANIZATIONS}/{2**31}",
        f"{ORGANIZATIONS}/mine",
        WORKSPACES,
        f"{WORKSPACES}?organization_id=x",
        f"{WORKSPACES}?organization_id={2**63}",
    ],
)
async def test_bad_input_is_422(platform_api: Api, path: str) -> None:
    answer = await (await platform_api.login("admin")).get(path)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][0] in {"path", "query"}


async def test_one_statement_whatever_the_number(platform_api: Api, platform_db: PlatformDb) -> None:
    admin = await platform_api.login("admin")
    counts = set()
    for number in (1, 10, 1000):
        await platform_db.execute(
            "INSERT INTO organizations (id, name, company) SELECT 100 + n, 'O', 'x' FROM generate_series(1, $1::int) n"
            " ON CONFLICT DO NOTHING",
            number,
        )
        await platform_db.execute(
            "INSERT INTO workspaces (id, organization_id, name) SELECT 100 + n, 1, n FROM generate_series(1, $1::int) n"
            " ON CONFLICT DO NOTHING",
            number,
        )
        for path in (f"{ORGANIZATIONS}?limit=200", f"{WORKSPACES}?organization_id=1&limit=200", f"{ORGANIZATIONS}/1"):
            with platform_api.count() as counted:
                assert (await admin.get(path)).status_code == 200
            counts.add(counted.value)
    assert counts == {1}


async def test_times_without_a_zone_are_utc(platform_api: Api, platform_db: PlatformDb) -> None:
    """As the platform's real tables have them."""
    await platform_db.execute(
        "ALTER TABLE organizations ALTER created_at TYPE timestamp USING '2025-11-24 12:00:00'::timestamp"
    )
    body = (await (await platform_api.login("owner")).get(f"{ORGANIZATIONS}/1")).json()
    assert body["created_at"] == "2025-11-24T12:00:00Z"


async def test_what_cannot_be_seen_in_a_name_is_escaped(platform_api: Api, platform_db: PlatformDb) -> None:
    await platform_db.execute(
        "UPDATE organizations SET name = $1, company = $1, division = $1 WHERE id = 1", "a\u202eb"
    )
    await platform_db.execute("UPDATE workspaces SET name = $1 WHERE id = 1", "a\u202eb")
    owner = await platform_api.login("owner")
    single = (await owner.get(f"{ORGANIZATIONS}/1")).json()
    assert {single["name"], single["company"], single["division"]} == {"a\\u202eb"}
    workspaces = (await owner.get(WORKSPACES, params={"organization_id": 1})).json()["workspaces"]
    assert "a\\u202eb" in [workspace["name"] for workspace in workspaces]
    assert (await owner.get("/api/v1/auth/me")).json()["organization"]["name"] == "a\\u202eb"
