"""Who may do what to annotations (docs/access.md)."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import at, box, create_annotation, leave, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

ACCOUNTS = ["admin", "owner", "reviewer", "annotator", "viewer", "stranger", None]


async def client_of(api: Api, account: str | None) -> httpx.AsyncClient:
    return await api.login(account) if account else api.client()


def do(client: httpx.AsyncClient, call: str, dataset: Dataset, body: dict[str, Any]) -> Awaitable[httpx.Response]:
    """Make the call, `body` being the annotation that it is about."""
    project = f"/api/v1/projects/{dataset.project_id}"
    calls: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
        "create": lambda: client.post("/api/v1/annotations", json=box(dataset)),
        "get": lambda: client.get(at(body)),
        "update": lambda: client.put(at(body), json={"notes": "x"}),
        "delete": lambda: client.delete(at(body)),
        "confirm": lambda: client.post(at(body, "/confirm"), json={}),
        "unconfirm": lambda: client.post(at(body, "/unconfirm"), json={}),
        "confirm image": lambda: client.post(f"{project}/images/{dataset.image_ids[0]}/confirm", json={}),
        "list": lambda: client.get(f"/api/v1/annotations/project/{dataset.project_id}"),
        "statuses": lambda: client.get(f"{project}/images/status"),
        "stats": lambda: client.get(f"{project}/stats"),
    }
    return calls[call]()


FROM_REVIEWER = {
    "admin": 200,
    "owner": 200,
    "reviewer": 200,
    "annotator": 403,
    "viewer": 403,
    "stranger": 404,
    None: 401,
}
FROM_ANNOTATOR = FROM_REVIEWER | {"annotator": 200}
FROM_VIEWER = FROM_ANNOTATOR | {"viewer": 200}
OTHERS = {  # on an annotation of the owner's
    "create": FROM_ANNOTATOR,
    "get": FROM_VIEWER,
    "update": FROM_REVIEWER,
    "delete": FROM_REVIEWER,
    "confirm": FROM_REVIEWER,
    "unconfirm": FROM_REVIEWER,
    "confirm image": FROM_REVIEWER,
    "list": FROM_VIEWER,
    "statuses": FROM_VIEWER,
    "stats": FROM_VIEWER,
}


@pytest.mark.parametrize("call", OTHERS)
async def test_on_others_annotations(api: Api, call: str) -> None:
    dataset = await project_with_members(api)
    for account in ACCOUNTS:
        body = await create_annotation(await api.login("owner"), box(dataset))
        await leave(api, dataset, "owner")
        response = await do(await client_of(api, account), call, dataset, body)
        assert response.status_code == OTHERS[call][account], (account, response.text)
        if response.status_code >= 400:
            assert isinstance(response.json()["detail"], str)
        if account in {"admin", "reviewer", "annotator"}:
            await leave(api, dataset, account)


@pytest.mark.parametrize("call", ["update", "delete", "confirm", "unconfirm"])
async def test_an_annotators_own(api: Api, call: str) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    assert (await do(client, call, dataset, body)).status_code == 200


@pytest.mark.parametrize("call", ["update", "delete", "confirm", "unconfirm"])
@pytest.mark.parametrize(("role", "expected"), [("viewer", 403), (None, 404)])
async def test_own_ones_after_the_role_is_gone(api: Api, call: str, role: str | None, expected: int) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    async with api.db.begin() as tx:
        await tx.execute(f"DELETE FROM project_permissions WHERE user_id = {ANNOTATOR.id}")
        if role:
            await tx.execute(
                "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, 4, $2, 2)",
                dataset.project_id,
                role,
            )
    assert (await do(client, call, dataset, body)).status_code == expected


async def test_a_strangers_404_is_that_of_nothing(api: Api) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("owner"), box(dataset))
    client = await api.login("stranger")
    for call in ("get", "update", "delete", "confirm", "unconfirm"):
        there = (await do(client, call, dataset, body)).json()
        nowhere = (await do(client, call, dataset, {"id": body["id"] + 1000})).json()
        assert there["code"] == nowhere["code"] == "annotation_not_found"
        assert there["detail"].replace(str(body["id"]), "N") == nowhere["detail"].replace(str(body["id"] + 1000), "N")


@pytest.mark.parametrize("call", OTHERS)
async def test_a_public_dataset_makes_everybody_a_viewer(api: Api, call: str) -> None:
    dataset = await project_with_members(api, visibility="public")
    body = await create_annotation(await api.login("owner"), box(dataset))
    response = await do(await api.login("stranger"), call, dataset, body)
    assert response.status_code == (200 if OTHERS[call]["viewer"] == 200 else 403)


async def test_a_system_admin_without_a_role(api: Api) -> None:
    dataset = await api.dataset(images=1)
    body = await create_annotation(await api.login("owner"), box(dataset))
    await leave(api, dataset, "owner")
    client = await api.login("admin")
    for call in ("get", "update", "confirm", "confirm image", "delete", "create"):
        assert (await do(client, call, dataset, body)).status_code == 200, call
