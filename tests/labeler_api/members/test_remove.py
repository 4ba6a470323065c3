"""DELETE /projects/{id}/permissions/{user_id}."""

import asyncio

import pytest

from tests.fixtures.accounts import OWNER
from tests.fixtures.annotating import at, box, create_annotation, hold, locks
from tests.fixtures.api import Api
from tests.fixtures.memberships import ALL, Owners, members_url, owners, refusal, roles
from tests.fixtures.rows import rows


@pytest.mark.parametrize(
    ("account", "role", "present", "status"),
    [
        ("owner", None, "admin", 204),
        ("reviewer", "admin", "reviewer", 204),
        ("reviewer", "admin", "admin", 403),
        ("admin", None, "reviewer", 204),
        ("admin", None, "admin", 403),
        ("reviewer", "reviewer", "viewer", 403),
        ("annotator", "annotator", "viewer", 403),
        ("stranger", None, "viewer", 404),
    ],
)
async def test_who_may_remove_whom(api: Api, account: str, role: str | None, present: str, status: int) -> None:
    dataset = await api.dataset(members={"viewer": present} | ({account: role} if role else {}))
    answer = await (await api.login(account)).delete(members_url(dataset, "viewer", by_project=True))
    assert answer.status_code == status
    assert ((await roles(api, dataset)).get(5)) == (None if status == 204 else present)
    if status == 204:
        assert answer.content == b""


async def test_a_removed_member_is_refused_at_once_and_holds_nothing(api: Api) -> None:
    dataset = await api.dataset(images=3, tasks=["detection"], members=ALL)
    other = await api.dataset(images=1, tasks=["detection"], members=ALL)
    owner, annotator = await api.login("owner"), await api.login("annotator")
    mine = await create_annotation(annotator, box(dataset, 0))
    await hold(api, dataset, "annotator", 1)
    await hold(api, dataset, "reviewer", 2)
    await hold(api, other, "annotator", 0)
    assert (await owner.delete(members_url(dataset, "annotator"))).status_code == 204
    assert {image: user for image, (user, _) in (await locks(api, dataset)).items()} == {dataset.image_ids[2]: 3}
    assert len(await locks(api, other)) == 1
    image = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[1]}"
    for answer in (
        await annotator.get(f"/api/v1/projects/{dataset.project_id}"),
        await annotator.get(f"/api/v1/datasets/{dataset.id}"),
        await annotator.put(at(mine), json={"notes": "still here"}),
        await annotator.post("/api/v1/annotations", json=box(dataset, 1)),
        await annotator.post(f"{image}/acquire", json={}),
        await annotator.post(f"{image}/heartbeat", json={}),
    ):
        assert answer.status_code == 404
    assert (await annotator.get("/api/v1/projects")).json()[0]["id"] == other.project_id
    assert len(await rows(api, "SELECT id FROM annotations")) == 1


async def test_a_link_to_an_image_is_refused_without_waiting_for_the_cache(api: Api) -> None:
    dataset = await api.dataset(images=1, members=ALL)
    owner, viewer = await api.login("owner"), await api.login("viewer")
    listed = (await viewer.get(f"/api/v1/projects/{dataset.project_id}/images")).json()
    assert api.services.caches.viewers.get((dataset.id, 5))
    await owner.delete(members_url(dataset, "viewer"))
    assert api.services.caches.viewers.get((dataset.id, 5)) is None
    assert (await api.client().get(listed["images"][0]["url"])).status_code == 404


async def test_what_is_refused_and_why(api: Api) -> None:
    dataset = await api.dataset(members=ALL | {"admin": "admin"})
    owner, admin = await api.login("owner"), await api.login("admin")
    leaving = await owner.delete(members_url(dataset, "owner"))
    assert refusal(leaving) == (400, "owner_cannot_leave")
    assert "Transfer" in leaving.json()["detail"]
    assert refusal(await admin.delete(members_url(dataset, "owner"))) == (400, "owner_not_changeable")
    assert refusal(await admin.delete(members_url(dataset, "admin"))) == (400, "cannot_remove_yourself")
    assert refusal(await owner.delete(members_url(dataset, "stranger"))) == (404, "member_not_found")
    assert (await owner.delete(f"{members_url(dataset)}/{2**31}")).status_code == 422
    assert len(await roles(api, dataset)) == 5
    assert await owners(api, dataset) == Owners.only(OWNER.id)


async def test_of_ten_at_once_one_removes(api: Api) -> None:
    dataset = await api.dataset(members=ALL)
    owner = await api.login("owner")
    with api.count() as counted:
        assert (await owner.delete(members_url(dataset, "reviewer"))).status_code == 204
    assert counted.value == 2
    answers = await asyncio.gather(*(owner.delete(members_url(dataset, "viewer")) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 9
