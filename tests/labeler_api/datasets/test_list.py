"""GET /datasets."""

import pytest

from labeler_api.http.paging import encode_cursor
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api

URL = "/api/v1/datasets"


async def _insert_datasets(api: Api, number: int, *, owner: str = "owner", visibility: str = "private") -> list[str]:
    """Datasets of one moment, so that the id alone decides their order; the newest first."""
    ids = [f"ds_{owner}_{index:05d}" for index in range(number)]
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO datasets (id, name, owner_id, visibility, storage_path) VALUES ($1, $1, $2, $3, '')",
            [(dataset_id, USER_IDS[owner], visibility) for dataset_id in ids],
        )
    return ids[::-1]


async def test_own_member_of_and_public(api: Api) -> None:
    own = await api.dataset(owner="viewer")
    shared = await api.dataset(owner="owner", members={"viewer": "viewer"})
    public = await api.dataset(owner="owner", visibility="public")
    await api.dataset(owner="owner")
    viewer = await api.login("viewer")
    answer = await viewer.get(URL)
    assert answer.status_code == 200
    listed = {dataset["id"]: dataset for dataset in answer.json()}
    assert listed.keys() == {own.id, shared.id, public.id}
    assert listed[own.id]["owner_email"] == "viewer@example.com"
    assert listed[shared.id]["owner_name"] == "Owner Example"


async def test_a_stranger_sees_the_public_ones_only_and_so_does_a_system_admin(api: Api) -> None:
    await api.dataset(owner="owner")
    public = await api.dataset(owner="owner", visibility="public")
    for account in ("stranger", "admin"):
        listed = (await (await api.login(account)).get(URL)).json()
        assert [dataset["id"] for dataset in listed] == [public.id]


async def test_the_order_is_total_and_pages_line_up(api: Api) -> None:
    expected = await _insert_datasets(api, 25)
    owner = await api.login("owner")
    paged = []
    for skip in range(0, 30, 10):
        paged += (await owner.get(URL, params={"skip": skip, "limit": 10})).json()
    assert [dataset["id"] for dataset in paged] == expected


async def test_cursors_reach_every_dataset_once(api: Api) -> None:
    expected = await _insert_datasets(api, 25)
    owner = await api.login("owner")
    found, cursor, pages = [], "", 0
    while True:
        answer = await owner.get(URL, params={"limit": 10, "cursor": cursor})
        found += [dataset["id"] for dataset in answer.json()]
        pages += 1
        cursor = answer.headers.get("X-Next-Cursor", "")
        if not cursor:
            break
    assert found == expected
    assert pages == 3


async def test_a_dataset_made_between_two_pages_shifts_nothing(api: Api) -> None:
    expected = await _insert_datasets(api, 4)
    owner = await api.login("owner")
    first = await owner.get(URL, params={"limit": 2})
    await owner.post(URL, json={"name": "newer"})
    second = await owner.get(URL, params={"limit": 2, "cursor": first.headers["X-Next-Cursor"]})
    assert [dataset["id"] for dataset in first.json() + second.json()] == expected


@pytest.mark.parametrize("limit", ["101", "100000", "9" * 30])
async def test_a_greater_limit_is_capped_in_silence(api: Api, limit: str) -> None:
    await _insert_datasets(api, 130)
    owner = await api.login("owner")
    answer = await owner.get(URL, params={"limit": limit})
    assert answer.status_code == 200
    assert len(answer.json()) == 100


async def test_a_limit_of_none_and_a_skip_past_the_end(api: Api) -> None:
    await _insert_datasets(api, 3)
    owner = await api.login("owner")
    assert (await owner.get(URL, params={"limit": 0})).json() == []
    assert (await owner.get(URL, params={"skip": "9" * 18})).json() == []


@pytest.mark.parametrize(
    "params",
    [
        {"skip": "-1"},
        {"skip": "9" * 30},
        {"limit": "-1"},
        {"skip": "ten"},
        {"limit": "1.5"},
        {"limit": ""},
        {"cursor": "not a cursor"},
        {"cursor": "x" * 5000},
        {"cursor": encode_cursor(["2026-01-01T00:00:00", "a time without a zone"])},
        {"cursor": encode_cursor(["2026-01-01T00:00:00Z"])},
    ],
)
async def test_bad_paging_is_422(api: Api, params: dict[str, str]) -> None:
    owner = await api.login("owner")
    answer = await owner.get(URL, params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", next(iter(params))]


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_and_one_batch_of_users_whatever_the_number(api: Api, number: int) -> None:
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO datasets (id, name, owner_id, visibility, storage_path) VALUES ($1, $1, $2, 'public', '')",
            [(f"ds_{index:05d}", 1 + index % 6) for index in range(number)],
        )
    viewer = await api.login("viewer")
    await viewer.get("/api/v1/auth/me")  # the caller's own profile is in the cache, as it is in a session
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        answer = await viewer.get(URL)
    assert len(answer.json()) == min(number, 100)
    assert counted.value == 1
    assert (api.services.directory.calls - calls).total() == 1


async def test_an_owner_who_does_not_exist_shows_as_nulls(api: Api) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO datasets (id, name, owner_id, visibility, storage_path)"
            " VALUES ('ds_x', 'x', 999, 'public', '')"
        )
    listed = (await (await api.login("viewer")).get(URL)).json()
    assert [(d["owner_name"], d["owner_email"], d["owner_badge_color"]) for d in listed] == [(None, None, None)]
