"""GET /invitations."""

import pytest

from labeler_api.http.paging import encode_cursor
from tests.fixtures.api import Api
from tests.fixtures.memberships import refusal
from tests.labeler_api.invitations.inviting import KEYS, URL, invited, lapse, received


async def _insert(api: Api, number: int) -> list[int]:
    """Invitations of one moment from and to one of two, so that the id alone decides their order; newest first."""
    made = [await api.dataset() for _ in range(2)]
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO invitations (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status,"
            " created_at, expires_at) VALUES ($1, $2, $3, 5, 'viewer@example.com', 'viewer', 'cancelled',"
            " '2026-01-01', '2026-01-08')",
            [(f"token {index}", made[index % 2].id, 100 + index) for index in range(number)],
        )
        found = await tx.fetch("SELECT id FROM invitations ORDER BY id DESC")
    return [row["id"] for row in found]


async def test_received_and_sent_by_status_and_project(api: Api) -> None:
    one, two = await api.dataset(), await api.dataset(owner="reviewer")
    owner, reviewer = await api.login("owner"), await api.login("reviewer")
    first = await invited(owner, one, "viewer")
    second = await invited(reviewer, two, "viewer")
    third = await invited(owner, one, "annotator")
    cancelled = (await owner.post(f"{URL}/{first['id']}/cancel")).json()

    async def ids(account: str, **params: str) -> list[int]:
        return [invitation["id"] for invitation in await received(api, account, **params)]

    assert await ids("viewer") == [second["id"], first["id"]]
    assert await ids("viewer", type="received", status="pending") == [second["id"]]
    assert await ids("viewer", status="") == [second["id"], first["id"]]
    assert await ids("viewer", status="cancelled") == [first["id"]]
    for reference in (one.id, one.project_id):
        assert await ids("viewer", project_id=reference) == [first["id"]]
    assert await ids("viewer", project_id="ds_none") == []
    assert await ids("viewer", type="sent") == []
    assert await ids("owner", type="sent") == [third["id"], first["id"]]
    assert await ids("owner", type="received") == []
    shown = {invitation["id"]: invitation for invitation in await received(api, "viewer")}
    assert all(invitation.keys() == KEYS for invitation in shown.values())
    assert shown[first["id"]] == cancelled
    assert shown[second["id"]]["token"]
    for account in ("stranger", "admin"):
        assert await received(api, account) == []


async def test_what_is_past_its_time_is_read_as_expired(api: Api) -> None:
    dataset = await api.dataset()
    await invited(await api.login("owner"), dataset)
    await lapse(api)
    assert await received(api, status="pending") == []
    (expired,) = await received(api, status="expired")
    assert expired["status"] == "expired"
    assert expired["token"] is None
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT status FROM invitations") == "pending"


async def test_bad_parameters(api: Api) -> None:
    viewer = await api.login("viewer")
    for kind in ("", "all", "Received"):
        assert refusal(await viewer.get(URL, params={"type": kind})) == (400, "unknown_type")
    for params in (
        {"status": "open"},
        {"limit": "-1"},
        {"limit": "x"},
        {"cursor": "x"},
        {"cursor": encode_cursor(["2026-01-01T00:00:00Z", "1"])},
        {"project_id": "x" * 101},
    ):
        answer = await viewer.get(URL, params=params)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["query", next(iter(params))]


async def test_pages_reach_each_once_in_one_order(api: Api) -> None:
    expected = await _insert(api, 25)
    viewer = await api.login("viewer")
    found, cursor = [], ""
    for _ in range(3):
        answer = await viewer.get(URL, params={"limit": 10, "cursor": cursor})
        assert answer.json()["total"] == 25
        found += [invitation["id"] for invitation in answer.json()["invitations"]]
        cursor = answer.headers.get("X-Next-Cursor", "")
    assert found == expected
    assert cursor == ""
    past = encode_cursor(["2025-01-01T00:00:00Z", 1])
    assert (await viewer.get(URL, params={"cursor": past})).json() == {"invitations": [], "total": 25}
    assert (await viewer.get(URL, params={"limit": 0})).json() == {"invitations": [], "total": 25}


async def test_what_did_not_change_is_not_sent_again(api: Api) -> None:
    dataset = await api.dataset()
    owner, viewer = await api.login("owner"), await api.login("viewer")
    polled = {"type": "received", "status": "pending"}
    empty = await viewer.get(URL, params=polled)
    assert empty.headers["Cache-Control"] == "private, no-cache"
    tag = {"If-None-Match": empty.headers["ETag"]}
    assert (await viewer.get(URL, params=polled, headers=tag)).status_code == 304
    await invited(owner, dataset)
    changed = await viewer.get(URL, params=polled, headers=tag)
    assert changed.status_code == 200
    assert changed.json()["total"] == 1
    tag = {"If-None-Match": changed.headers["ETag"]}
    assert (await viewer.get(URL, params=polled, headers=tag)).status_code == 304
    await lapse(api)
    assert (await viewer.get(URL, params=polled, headers=tag)).status_code == 200


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_and_a_batch_for_each_500_users(api: Api, number: int) -> None:
    await _insert(api, number)
    viewer = await api.login("viewer")
    await viewer.get("/api/v1/auth/me")  # the caller is in the cache, as in a session
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        answer = await viewer.get(URL)
    assert len(answer.json()["invitations"]) == number
    assert answer.json()["total"] == number
    assert counted.value == 1
    assert (api.services.directory.calls - calls).total() == -(-number // 500)
