"""authorize: the one place that resolves an id and decides whether the caller may."""

import pytest

from labeler_api.context import Call, Principal
from labeler_api.errors import Forbidden, NotFound
from labeler_api.members.authorization.service import Access, authorize
from labeler_api.members.policy import ProjectLock, Role
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

MEMBERS = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
ROLES = {
    "owner": Role.OWNER,
    "admin": Role.ADMIN,  # the system's admin, who is no member
    "reviewer": Role.REVIEWER,
    "annotator": Role.ANNOTATOR,
    "viewer": Role.VIEWER,
    "stranger": None,
}


async def _ask(api: Api, account: str, reference: str, minimum: Role) -> Access:
    profile = await api.services.directory.require_active(USER_IDS[account])
    caller = Principal(user_id=profile.id, email=profile.email, is_admin=profile.is_admin, profile=profile)
    call = Call(services=api.services, request_id="test", client="test", user=caller)
    async with api.db.read() as connection:
        return await authorize(connection, call, reference, minimum, ProjectLock.NONE)


async def _outcome(api: Api, account: str, dataset: Dataset, minimum: Role) -> Role | int | None:
    try:
        by_project = await _ask(api, account, dataset.project_id, minimum)
        assert by_project == await _ask(api, account, dataset.id, minimum)
        assert by_project.require_project_id() == dataset.project_id
        assert by_project.dataset_id == dataset.id
    except (NotFound, Forbidden) as error:
        return error.status
    return by_project.role


@pytest.mark.parametrize("public", [False, True])
async def test_every_role_against_every_minimum(api: Api, public: bool) -> None:
    dataset = await api.dataset(members=MEMBERS, visibility="public" if public else "private")
    for account, stored in ROLES.items():
        role = stored or (Role.VIEWER if public else None)
        for minimum in Role:
            expected = 404 if role is None else role if role >= minimum else 403
            assert await _outcome(api, account, dataset, minimum) == expected, (account, minimum)


async def test_a_role_in_another_project_is_none_here(api: Api) -> None:
    dataset = await api.dataset(owner="owner")
    await api.dataset(owner="viewer", members={"owner": "viewer"})
    assert await _outcome(api, "viewer", dataset, Role.VIEWER) == 404
    assert await _outcome(api, "owner", dataset, Role.OWNER) is Role.OWNER


async def test_the_owner_of_a_dataset_without_a_project(api: Api) -> None:
    async with api.db.begin() as tx:
        await tx.execute("INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_alone', 'Alone', 2, '')")
    access = await _ask(api, "owner", "ds_alone", Role.OWNER)
    assert access.project_id is None
    assert access.dataset_id == "ds_alone"
    assert access.role == Role.OWNER
    with pytest.raises(NotFound, match="no project yet"):
        access.require_project_id()
    for account, status in (("viewer", 404), ("admin", 403)):
        with pytest.raises((NotFound, Forbidden)) as refused:
            await _ask(api, account, "ds_alone", Role.OWNER)
        assert refused.value.status == status


async def test_one_statement_by_keys(api: Api) -> None:
    dataset = await api.dataset()
    with api.count() as counted:
        await _ask(api, "owner", dataset.project_id, Role.VIEWER)
    assert counted.value == 1
