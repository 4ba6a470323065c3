from collections.abc import Sequence

import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.versions import CLASSES, annotate, annotation, published


async def test_versions_come_newest_first_with_names_and_links(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES, members={"viewer": "viewer"})
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    first = await published(await api.login("owner"), dataset)
    second = await published(await api.login("admin"), dataset, export_format="coco")

    answer = await (await api.login("viewer")).get(f"/api/v1/projects/{dataset.project_id}/versions")

    page = answer.json()
    assert answer.status_code == 200
    assert set(page) == {"versions", "total", "project_id"}
    assert page["total"] == 2
    assert page["project_id"] == dataset.project_id
    assert [version["id"] for version in page["versions"]] == [second["id"], first["id"]]
    assert [version["created_by_email"] for version in page["versions"]] == ["admin@example.com", "owner@example.com"]
    assert [version["created_by_name"] is not None for version in page["versions"]] == [True, True]
    # The link is the reader's own: it stops working when the reader leaves the project.
    assert page["versions"][0]["download_url"] != second["download_url"]
    own = {"download_url", "download_url_expires_at"}
    assert {k: v for k, v in page["versions"][0].items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }


async def test_a_list_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    owner = await api.login("owner")
    url = f"/api/v1/projects/{dataset.project_id}/versions"
    await published(owner, dataset)

    first = await owner.get(url)
    again = await owner.get(url, headers={"If-None-Match": first.headers["etag"]})
    await published(owner, dataset)
    changed = await owner.get(url, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["cache-control"] == "private, no-cache"
    assert again.status_code == 304
    assert again.content == b""
    assert changed.status_code == 200


async def test_attempts_are_not_shown_and_old_rows_are(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    await _insert(api, dataset, ["publishing", "discarded", "working", "published"], author=99)

    page = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}/versions")).json()

    assert [version["version_type"] for version in page["versions"]] == ["published", "working"]
    # Rows of the system before have no file's key, and an author who is gone has no name.
    assert [version["download_url"] for version in page["versions"]] == [None, None]
    assert {version["created_by_name"] for version in page["versions"]} == {None}


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_the_number_of_statements_does_not_grow(api: Api, number: int) -> None:
    dataset = await api.dataset(tasks=["detection"])
    await _insert(api, dataset, ["published"] * number, author=3)
    owner = await api.login("owner")
    asked = api.services.directory.calls["BatchGetUsers"]

    with api.count() as statements:
        answer = await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")

    assert answer.json()["total"] == number
    assert statements.value == 1
    assert api.services.directory.calls["BatchGetUsers"] - asked == 1


async def test_roles(api: Api) -> None:
    private = await api.dataset(members={"viewer": "viewer", "annotator": "annotator"})
    public = await api.dataset(visibility="public")

    async def status(account: str, reference: str) -> int:
        return (await (await api.login(account)).get(f"/api/v1/projects/{reference}/versions")).status_code

    accounts = ("owner", "admin", "viewer", "annotator", "stranger")
    assert [await status(account, private.project_id) for account in accounts] == [200, 200, 200, 200, 404]
    assert [await status(account, public.id) for account in accounts] == [200] * 5
    assert await status("owner", "proj_unknown") == 404
    async with api.client() as nobody:
        assert (await nobody.get(f"/api/v1/projects/{public.project_id}/versions")).status_code == 401


async def _insert(api: Api, dataset: Dataset, types: Sequence[str], *, author: int) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by)"
            " SELECT $1, 'detection', 'v' || n || '.0', kind, $3 FROM unnest($2::text[]) WITH ORDINALITY AS t(kind, n)",
            dataset.project_id,
            list(types),
            author,
        )
