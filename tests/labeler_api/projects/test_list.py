"""GET /projects."""

import pytest

from labeler_api.http.paging import encode_cursor
from tests.fixtures.api import Api
from tests.fixtures.project_rows import KEYS, annotate, stored_class

URL = "/api/v1/projects"


async def _insert_projects(api: Api, number: int, *, user: int = 2) -> list[str]:
    """Projects of one moment with a member, so that the id alone decides their order; the newest first."""
    ids = [f"proj_{index:05d}" for index in range(number)]
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_' || $1::varchar, $1, 2, '')",
            [(project_id,) for project_id in ids],
        )
        await tx.executemany(
            "INSERT INTO annotation_projects (id, name, dataset_id, owner_id) VALUES ($1, $1, 'ds_' || $1::varchar, 2)",
            [(project_id,) for project_id in ids],
        )
        await tx.execute(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by)"
            " SELECT id, $1, 'viewer', 2 FROM annotation_projects",
            user,
        )
    return ids[::-1]


async def test_the_projects_one_is_a_member_of(api: Api) -> None:
    own = await api.dataset(owner="viewer", tasks=["detection"], images=1, classes={"detection": {"a": stored_class()}})
    shared = await api.dataset(owner="owner", members={"viewer": "viewer"})
    await api.dataset(owner="owner", visibility="public")
    await api.dataset(owner="owner")
    await annotate(api, own, [(own.image_ids[0], "detection", "a")] * 3)
    viewer = await api.login("viewer")
    answer = await viewer.get(URL)
    assert answer.status_code == 200
    listed = {project["id"]: project for project in answer.json()}
    assert listed.keys() == {own.project_id, shared.project_id}
    assert all(project.keys() == KEYS for project in listed.values())
    for project_id, project in listed.items():
        assert project == (await viewer.get(f"{URL}/{project_id}")).json()
    assert listed[own.project_id]["task_classes"]["detection"]["a"]["bbox_count"] == 3
    assert "X-Next-Cursor" not in answer.headers
    for account in ("stranger", "admin"):
        assert (await (await api.login(account)).get(URL)).json() == []


async def test_pages_by_skip_and_by_cursor_reach_each_once_in_one_order(api: Api) -> None:
    expected = await _insert_projects(api, 25)
    owner = await api.login("owner")
    skipped, followed, cursor = [], [], ""
    for page in range(3):
        answer = await owner.get(URL, params={"skip": page * 10, "limit": 10})
        skipped += [project["id"] for project in answer.json()]
        answer = await owner.get(URL, params={"cursor": cursor, "limit": 10})
        followed += [project["id"] for project in answer.json()]
        cursor = answer.headers.get("X-Next-Cursor", "")
    assert skipped == followed == expected
    assert cursor == ""
    assert (await owner.get(URL, params={"limit": 0})).json() == []
    assert (await owner.get(URL, params={"skip": "9" * 18})).json() == []


async def test_bad_paging_is_422(api: Api) -> None:
    owner = await api.login("owner")
    for params in (
        {"skip": "-1"},
        {"limit": "-1"},
        {"skip": "ten"},
        {"limit": "1.5"},
        {"cursor": "not a cursor"},
        {"cursor": encode_cursor(["2026-01-01T00:00:00", "a time without a zone"])},
    ):
        answer = await owner.get(URL, params=params)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["query", next(iter(params))]


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_two_statements_and_no_look_up_of_users_whatever_the_number(api: Api, number: int) -> None:
    await _insert_projects(api, number)
    owner = await api.login("owner")
    await owner.get("/api/v1/auth/me")
    calls = api.services.directory.calls.copy()
    with api.count() as counted:
        answer = await owner.get(URL, params={"limit": "100000"})
    assert len(answer.json()) == min(number, 100)
    assert counted.value == 2
    assert api.services.directory.calls == calls
