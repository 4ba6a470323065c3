"""GET /users/search and /users/{id}."""

import pytest

from tests.fixtures.api import Api

SEARCH = "/api/v1/users/search"


def _emails(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [user["email"].removesuffix("@example.com") for user in answer["users"]]


async def test_a_search_finds_by_address_and_name_ordered_by_address(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.get(SEARCH, params={"q": "EXAMPLE"})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"users", "total", "limit", "offset"}
    assert body["total"] == 6
    assert body["limit"] == 10
    assert body["offset"] == 0
    assert _emails(body) == ["admin", "annotator", "owner", "reviewer", "stranger", "viewer"]
    assert body["users"][0] == {
        "id": 1,
        "email": "admin@example.com",
        "full_name": "Admin Example",
        "avatar_name": None,
        "badge_color": "blue",
        "system_role": "admin",
    }


async def test_pages_line_up(api: Api) -> None:
    owner = await api.login("owner")
    pages = [
        (await owner.get(SEARCH, params={"q": "example", "limit": 4, "offset": offset})).json() for offset in (0, 4, 8)
    ]
    assert [len(page["users"]) for page in pages] == [4, 2, 0]
    assert {page["total"] for page in pages} == {6}
    assert _emails(pages[0]) + _emails(pages[1]) == ["admin", "annotator", "owner", "reviewer", "stranger", "viewer"]


@pytest.mark.parametrize("text", ["%%", "__", "e%e", "\\\\"])
async def test_wildcards_are_text(api: Api, text: str) -> None:
    body = (await (await api.login("owner")).get(SEARCH, params={"q": text})).json()
    assert body["users"] == []
    assert body["total"] == 0


async def test_members_are_left_out_whichever_id_is_given(api: Api) -> None:
    dataset = await api.dataset(members={"reviewer": "reviewer", "viewer": "viewer"})
    owner = await api.login("owner")
    for reference in (dataset.id, dataset.project_id):
        body = (await owner.get(SEARCH, params={"q": "example", "project_id": reference})).json()
        assert _emails(body) == ["admin", "annotator", "stranger"]
        assert body["total"] == 3


@pytest.mark.parametrize(("account", "status"), [("viewer", 200), ("admin", 200), ("stranger", 404)])
async def test_a_search_tells_nobody_who_is_in_a_hidden_project(api: Api, account: str, status: int) -> None:
    dataset = await api.dataset(members={"viewer": "viewer"})
    client = await api.login(account)
    hidden = await client.get(SEARCH, params={"q": "example", "project_id": dataset.id})
    assert hidden.status_code == status
    missing = await client.get(SEARCH, params={"q": "example", "project_id": "ds_none"})
    assert missing.status_code == 404
    if status == 404:
        assert hidden.json()["detail"] == missing.json()["detail"]


async def test_members_of_a_public_project_are_left_out_for_everybody(api: Api) -> None:
    dataset = await api.dataset(visibility="public", members={"viewer": "viewer"})
    body = (
        await (await api.login("stranger")).get(SEARCH, params={"q": "example", "project_id": dataset.project_id})
    ).json()
    assert _emails(body) == ["admin", "annotator", "reviewer", "stranger"]


async def test_a_dataset_without_a_project_leaves_its_owner_out(api: Api) -> None:
    async with api.db.begin() as tx:
        await tx.execute("INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_alone', 'Alone', 2, '')")
    owner = await api.login("owner")
    assert _emails((await owner.get(SEARCH, params={"q": "owner", "project_id": "ds_alone"})).json()) == []
    stranger = await api.login("stranger")
    assert (await stranger.get(SEARCH, params={"q": "owner", "project_id": "ds_alone"})).status_code == 404


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"q": ""},
        {"q": "e"},
        {"q": " e "},
        {"q": "@e"},
        {"q": "@example.com"},
        {"q": "a@example.com"},
        {"q": "x" * 201},
        {"q": "ex", "limit": "0"},
        {"q": "ex", "limit": "51"},
        {"q": "ex", "limit": "many"},
        {"q": "ex", "offset": "-1"},
    ],
)
async def test_bad_queries_are_422(api: Api, params: dict[str, str]) -> None:
    answer = await (await api.login("owner")).get(SEARCH, params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][0] == "query"


@pytest.mark.parametrize(("text", "found"), [(".com", []), ("e.co", []), ("viewer@example.com", ["viewer"])])
async def test_nobody_lists_everybody_by_the_domain(api: Api, text: str, found: list[str]) -> None:
    body = (await (await api.login("owner")).get(SEARCH, params={"q": text})).json()
    assert _emails(body) == found
    assert body["total"] == len(found)


async def test_sixty_searches_a_minute(api: Api) -> None:
    owner = await api.login("owner")
    for _ in range(60):
        assert (await owner.get(SEARCH, params={"q": "viewer"})).status_code == 200
    answer = await owner.get(SEARCH, params={"q": "viewer"})
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert (await (await api.login("viewer")).get(SEARCH, params={"q": "owner"})).status_code == 200


@pytest.mark.parametrize("members", [1, 10, 1000])
async def test_one_statement_and_one_call_whatever_the_number_of_members(api: Api, members: int) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, $2, 'viewer', 2)",
            [(dataset.project_id, 100 + index) for index in range(members)],
        )
    owner = await api.login("owner")
    await owner.get("/api/v1/auth/me")
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        body = (await owner.get(SEARCH, params={"q": "example", "project_id": dataset.project_id})).json()
    assert body["total"] == 5
    assert counted.value == 1
    assert api.services.directory.calls - calls == {"SearchUsers": 1}


async def test_one_user_is_read_by_id(api: Api) -> None:
    answer = await (await api.login("viewer")).get("/api/v1/users/6")
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "id": 6,
        "email": "stranger@example.com",
        "full_name": "Stranger Example",
        "avatar_name": None,
        "badge_color": None,
        "system_role": "standard_engineer",
        "organization_id": 1,
        "organization": None,
        "is_active": True,
    }


@pytest.mark.parametrize(
    ("user_id", "status"), [("999", 404), ("0", 422), ("-1", 422), (str(2**31), 422), ("me", 422), ("1.5", 422)]
)
async def test_ids_that_are_none(api: Api, user_id: str, status: int) -> None:
    answer = await (await api.login("viewer")).get(f"/api/v1/users/{user_id}")
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["search?q=ex", "1"])
async def test_both_need_a_login(api: Api, path: str) -> None:
    async with api.client() as client:
        assert (await client.get(f"/api/v1/users/{path}")).status_code == 401
