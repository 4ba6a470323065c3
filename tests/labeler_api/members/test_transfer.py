"""POST /projects/{id}/transfer-ownership and POST /datasets/{id}/permissions/transfer-owner: one transfer."""

import asyncio

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR, OWNER, REVIEWER, USER_IDS, VIEWER
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.memberships import (
    ALL,
    PERMISSION_KEYS,
    Owners,
    dataset_url,
    members_url,
    owners,
    refusal,
    roles,
)

WAYS = ["project", "dataset"]


async def _transfer(client: httpx.AsyncClient, dataset: Dataset, way: str, account: str) -> httpx.Response:
    url = (
        f"/api/v1/projects/{dataset.id}/transfer-ownership"
        if way == "project"
        else f"{dataset_url(dataset)}/transfer-owner"
    )
    return await client.post(url, json={"new_owner_user_id": USER_IDS[account]})


async def test_everything_moves_by_the_project(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner, viewer = await api.login("owner"), await api.login("viewer")
    answer = await _transfer(owner, dataset, "project", "viewer")
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"message", "new_owner_user_id", "previous_owner_user_id"}
    assert body["new_owner_user_id"] == VIEWER.id
    assert body["previous_owner_user_id"] == OWNER.id
    assert await owners(api, dataset) == Owners.only(VIEWER.id)
    assert await roles(api, dataset) == {
        OWNER.id: "admin",
        REVIEWER.id: "reviewer",
        ANNOTATOR.id: "annotator",
        VIEWER.id: "owner",
    }
    shown = (await owner.get(f"/api/v1/datasets/{dataset.id}")).json()
    assert shown["owner_id"] == VIEWER.id
    assert shown["owner_email"] == "viewer@example.com"
    assert refusal(await _transfer(owner, dataset, "project", "reviewer")) == (403, "role_too_low")
    assert (await viewer.delete(members_url(dataset, "owner"))).status_code == 204
    assert (await owner.get(f"/api/v1/datasets/{dataset.id}")).status_code == 404


async def test_everything_moves_by_the_dataset(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    answer = await _transfer(owner, dataset, "dataset", "viewer")
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == PERMISSION_KEYS
    assert body["dataset_id"] == dataset.id
    assert body["user_id"] == VIEWER.id
    assert body["role"] == "owner"
    assert await owners(api, dataset) == Owners.only(VIEWER.id)
    assert (await roles(api, dataset))[2] == "annotator"


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_refused_and_why(api: Api, way: str) -> None:
    dataset = await api.dataset(members=ALL | {"admin": "admin"})
    owner = await api.login("owner")
    assert refusal(await _transfer(owner, dataset, way, "owner")) == (400, "already_owner")
    stranger = await _transfer(owner, dataset, way, "stranger")
    assert refusal(stranger) == (400 if way == "project" else 404, "member_not_found")
    for account in ("admin", "reviewer", "annotator", "viewer"):
        answer = await _transfer(await api.login(account), dataset, way, account)
        assert refusal(answer) == (403, "role_too_low")
    assert (await _transfer(await api.login("stranger"), dataset, way, "stranger")).status_code == 404
    assert await owners(api, dataset) == Owners.only(OWNER.id)
    assert (await roles(api, dataset))[2] == "owner"


async def test_a_body_of_another_form_is_422(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    bodies: list[object] = [
        {}, {"new_owner_user_id": None}, {"new_owner_user_id": "5"}, {"new_owner_user_id": 2**31}, []
    ]  # fmt: skip
    for body in bodies:
        for url in (
            f"/api/v1/projects/{dataset.project_id}/transfer-ownership",
            f"{dataset_url(dataset)}/transfer-owner",
        ):
            assert (await owner.post(url, json=body)).status_code == 422
    assert await owners(api, dataset) == Owners.only(OWNER.id)


async def test_nobody_without_an_account_becomes_the_owner(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, 999, 'admin', 2)",
            dataset.project_id,
        )
    owner = await api.login("owner")
    answer = await owner.post(
        f"/api/v1/projects/{dataset.project_id}/transfer-ownership", json={"new_owner_user_id": 999}
    )
    assert refusal(answer) == (400, "user_inactive")
    assert await owners(api, dataset) == Owners.only(OWNER.id)


async def test_of_transfers_at_once_one_wins_whole(api: Api) -> None:
    owner = await api.login("owner")
    for number in range(6):
        dataset = await api.dataset(members=ALL)
        heirs = ["reviewer", "annotator", "viewer"] * 2
        answers = await asyncio.gather(
            *(_transfer(owner, dataset, WAYS[(place + number) % 2], heir) for place, heir in enumerate(heirs))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [403] * 5
        (winner,) = [USER_IDS[heir] for heir, answer in zip(heirs, answers, strict=True) if answer.status_code == 200]
        assert await owners(api, dataset) == Owners.only(winner)


async def test_a_transfer_and_the_removal_of_its_target(api: Api) -> None:
    owner = await api.login("owner")
    seen = set()
    for number in range(12):
        dataset = await api.dataset(members=ALL)
        calls = [_transfer(owner, dataset, "project", "viewer"), owner.delete(members_url(dataset, "viewer"))]
        first, second = await asyncio.gather(*(calls if number % 2 else calls[::-1]))
        moved, removed = (first, second) if number % 2 else (second, first)
        seen.add((moved.status_code, removed.status_code))
        stored, by_project, by_dataset = await owners(api, dataset)
        if moved.status_code == 200:
            assert removed.status_code in {400, 403}
            assert stored == [5]
            assert by_project == 5
            assert by_dataset == 5
        else:
            assert moved.status_code == 400
            assert removed.status_code == 204
            assert stored == [2]
            assert by_project == 2
            assert by_dataset == 2
            assert 5 not in await roles(api, dataset)
    assert seen


async def test_two_statements(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    with api.count() as counted:
        await _transfer(owner, dataset, "project", "viewer")
    assert counted.value == 2
