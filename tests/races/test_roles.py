"""Administrators whose role is taken away while their changes are on their way: none of them lands."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows
from tests.fixtures.waiting import waiting

Ask = Callable[[httpx.AsyncClient, Dataset], Coroutine[Any, Any, httpx.Response]]

TASK = {"task_type": "detection"}
REMOVED = "DELETE FROM project_permissions WHERE project_id = $1 AND user_id = $2"
LOWERED = """
    UPDATE project_permissions SET role = CASE role WHEN 'owner' THEN 'admin' ELSE 'viewer' END
    WHERE project_id = $1 AND user_id = $2
"""


def project(dataset: Dataset, rest: str = "") -> str:
    return f"/api/v1/projects/{dataset.project_id}{rest}"


def name_of(dataset: Dataset) -> str:
    return f"Dataset {int(dataset.id.removeprefix('ds_'), 16)}"


CHANGES: dict[str, Ask] = {
    "add a class": lambda client, dataset: client.post(
        project(dataset, "/classes"), params=TASK, json={"name": "new", "color": "#102030"}
    ),
    "change a class": lambda client, dataset: client.patch(
        project(dataset, "/classes/kept"), params=TASK, json={"name": "late"}
    ),
    "delete a class": lambda client, dataset: client.delete(project(dataset, "/classes/kept"), params=TASK),
    "order classes": lambda client, dataset: client.put(
        project(dataset, "/classes/reorder"), params=TASK, json={"class_ids": ["kept"]}
    ),
    "change the project": lambda client, dataset: client.patch(project(dataset), json={"name": "late"}),
    "add a task": lambda client, dataset: client.post(
        project(dataset, "/task-types"), json={"task_type": "segmentation"}
    ),
    "upload": lambda client, dataset: client.post(
        f"/api/v1/datasets/{dataset.id}/images", files={"files": ("new.png", picture(8, 8, "PNG"), "image/png")}
    ),
    "admit a member": lambda client, dataset: client.post(
        project(dataset, "/permissions"), json={"user_email": "stranger@example.com", "role": "viewer"}
    ),
    "change a member": lambda client, dataset: client.patch(
        project(dataset, f"/permissions/{USER_IDS['viewer']}"), json={"role": "annotator"}
    ),
    "remove a member": lambda client, dataset: client.delete(project(dataset, f"/permissions/{USER_IDS['viewer']}")),
    "invite": lambda client, dataset: client.post(
        "/api/v1/invitations",
        json={"project_id": dataset.id, "role": "viewer", "invitee_email": "stranger@example.com"},
    ),
    "publish": lambda client, dataset: client.post(
        project(dataset, "/versions/publish"),
        json={"task_type": "detection", "export_format": "dice", "include_draft": True},
    ),
}

OF_OWNERS: dict[str, Ask] = {
    "change the dataset": lambda client, dataset: client.put(f"/api/v1/datasets/{dataset.id}", json={"name": "late"}),
    "delete the project": lambda client, dataset: client.delete(project(dataset)),
    "delete the dataset": lambda client, dataset: client.request(
        "DELETE",
        f"/api/v1/datasets/{dataset.id}",
        json={"dataset_name_confirmation": name_of(dataset)},
    ),
}


async def with_an_admin(cluster: Cluster) -> Dataset:
    """A dataset whose administrators are the owner and the reviewer."""
    members = {"reviewer": "admin", "viewer": "viewer"}
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members=members, classes={"detection": {}})
    owner = cluster.client("owner")
    body = {"class_id": "kept", "name": "kept", "color": "#102030"}
    assert (await owner.post(project(dataset, "/classes"), params=TASK, json=body)).status_code == 201
    await create_annotation(owner, box(dataset))
    return dataset


async def state(cluster: Cluster, dataset: Dataset) -> list[dict[str, Any]]:
    """All that such a change would change, but the rights of whoever makes it."""
    return await rows(
        cluster.api,
        "SELECT to_jsonb(p) AS project, to_jsonb(d) AS dataset,"
        " ARRAY(SELECT id FROM image_metadata WHERE dataset_id = d.id) AS images,"
        " ARRAY(SELECT (user_id, role)::text FROM project_permissions"
        "       WHERE project_id = p.id AND user_id NOT IN ($2, $3) ORDER BY 1) AS members,"
        " ARRAY(SELECT id FROM invitations WHERE dataset_id = d.id) AS invitations,"
        " ARRAY(SELECT id FROM annotation_versions WHERE project_id = p.id AND version_type = 'published') AS versions"
        " FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id WHERE p.id = $1",
        dataset.project_id,
        USER_IDS["reviewer"],
        USER_IDS["owner"],
    )


async def refused(cluster: Cluster, dataset: Dataset, ask: Ask, account: str, taken: str) -> httpx.Response:
    """Ask while the removal is under way: the check passes, since it is not committed, and the change waits for it."""
    before = await state(cluster, dataset)
    async with cluster.api.db.begin() as tx:
        await tx.execute(taken, dataset.project_id, USER_IDS[account])
        late = asyncio.create_task(ask(cluster.client(account), dataset))
        await waiting(cluster.api)
    answer = await late
    assert await state(cluster, dataset) == before
    return answer


@pytest.mark.parametrize("what", CHANGES)
async def test_an_admin_who_is_removed_at_that_moment_changes_nothing(cluster: Cluster, what: str) -> None:
    dataset = await with_an_admin(cluster)
    answer = await refused(cluster, dataset, CHANGES[what], "reviewer", REMOVED)
    assert answer.status_code == 404, answer.text


@pytest.mark.parametrize("what", CHANGES)
async def test_an_admin_whose_role_is_lowered_at_that_moment_changes_nothing(cluster: Cluster, what: str) -> None:
    dataset = await with_an_admin(cluster)
    answer = await refused(cluster, dataset, CHANGES[what], "reviewer", LOWERED)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("what", OF_OWNERS)
async def test_an_owner_who_gives_it_away_at_that_moment_changes_nothing(cluster: Cluster, what: str) -> None:
    dataset = await with_an_admin(cluster)
    answer = await refused(cluster, dataset, OF_OWNERS[what], "owner", LOWERED)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("what", [*CHANGES, *OF_OWNERS])
async def test_undisturbed_each_of_them_succeeds(cluster: Cluster, what: str) -> None:
    """The same requests, so that the refusals above are for the role and for nothing else."""
    dataset = await with_an_admin(cluster)
    account, ask = ("owner", OF_OWNERS[what]) if what in OF_OWNERS else ("reviewer", CHANGES[what])
    before = await state(cluster, dataset)
    answer = await ask(cluster.client(account), dataset)
    assert answer.is_success, answer.text
    assert await state(cluster, dataset) != before
