"""What is taken away is gone: at the next request for a role, within 5 s for a link, soon for a whole user.

Over two applications on one database, as two processes are: what one knows of a removal does not help the other.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import IDS, Sample, build
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.timing import check_within
from tests.fixtures.users import StartGateway, UsersDatabase

LINK_SECONDS = 5.0
USER_SECONDS = 30.0
BELIEVED_SECONDS = 1  # in the test of a deactivated user, so that it need not wait for half a minute
NOTICING_SECONDS = 1.0  # a round of questions on a busy machine
READ = "GET /api/v1/projects/{project_id}"
LINKS = (
    "GET /media/images/{dataset_id}/{image_id}",
    "GET /media/thumbnails/{dataset_id}/{image_id}",
    "GET /media/exports/{version_id}",
)
OF_AN_ANNOTATOR = {
    READ: "",
    "GET /api/v1/annotations/project/{project_id}": "",
    "GET /api/v1/projects/{project_id}/images": "",
    "GET /api/v1/image-locks/{project_id}": "",
    "POST /api/v1/annotations": "",
    "PUT /api/v1/annotations/{annotation_id}": "own",
    "POST /api/v1/image-locks/{project_id}/{image_id}/acquire": "",
}


@pytest.fixture
async def other(callers: Callers) -> AsyncIterator[Callers]:
    """A second application on the same database."""
    async with AsyncExitStack() as stack:
        settings = callers.api.services.settings
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        second = Callers(api)
        stack.push_async_callback(second.close)
        yield second


async def ask(callers: Callers, caller: str, call: str, sample: Sample, case: str = "") -> int:
    answer = await callers.send(caller, call, sample, call_of(call, case).ask(sample, caller))
    return answer.status_code


async def follow(callers: Callers, caller: str, sample: Sample) -> set[int]:
    """Follow every signed link of a caller."""
    return {await ask(callers, caller, link, sample, "a link of one's own") for link in LINKS}


async def until_gone(callers: Callers, caller: str, sample: Sample) -> None:
    """Wait until a caller's links lead to nothing any more."""
    async with asyncio.timeout(2 * LINK_SECONDS):
        while await follow(callers, caller, sample) != {404}:  # noqa: ASYNC110 - a cache has no event to wait for
            await asyncio.sleep(0.05)


async def with_bytes(callers: Callers) -> Sample:
    sample = await build(callers.db)
    arrange = call_of(LINKS[0], "a link of one's own").arrange
    assert arrange
    await arrange(callers.api, sample, "owner")
    return sample


async def remove(callers: Callers, sample: Sample, account: str) -> None:
    call = "DELETE /api/v1/projects/{project_id}/permissions/{user_id}"
    answer = await callers.send("owner", call, sample, Ask(path={"user_id": IDS[account]}))
    assert answer.status_code == 204, answer.text


async def test_a_removed_member_is_refused_everywhere_at_once(callers: Callers, other: Callers) -> None:
    sample = await with_bytes(callers)
    for each in (callers, other):
        for call, case in OF_AN_ANNOTATOR.items():
            assert await ask(each, "annotator", call, sample, case) == 200, call
        assert await follow(each, "annotator", sample) == {200}
    await remove(callers, sample, "annotator")
    removed_at = time.monotonic()
    assert [await ask(each, "annotator", READ, sample) for each in (other, callers)] == [404, 404]
    check_within(time.monotonic() - removed_at, 1)
    for each in (other, callers):
        answers = {call: await ask(each, "annotator", call, sample, case) for call, case in OF_AN_ANNOTATOR.items()}
        assert set(answers.values()) == {404}, answers
    assert await follow(callers, "annotator", sample) == {404}
    await until_gone(other, "annotator", sample)
    check_within(time.monotonic() - removed_at, LINK_SECONDS + NOTICING_SECONDS)
    assert await ask(callers, "member", READ, sample) == 200


async def test_a_lower_role_counts_at_once(callers: Callers, other: Callers) -> None:
    sample = await build(callers.db)
    call = "POST /api/v1/annotations/{annotation_id}/confirm"
    assert await ask(other, "reviewer", call, sample, "anybody's") == 200
    change = Ask(path={"user_id": IDS["reviewer"]}, json={"role": "viewer"})
    await callers.send("owner", "PATCH /api/v1/projects/{project_id}/permissions/{user_id}", sample, change)
    assert await ask(other, "reviewer", call, sample, "anybody's") == 403
    assert await ask(other, "reviewer", READ, sample) == 200


async def test_what_is_no_longer_public_is_no_longer_seen(callers: Callers, other: Callers) -> None:
    sample = await build(callers.db, "public")
    assert await ask(other, "stranger", READ, sample) == 200
    change = Ask(json={"name": sample.name, "visibility": "private"})
    answer = await callers.send("owner", "PUT /api/v1/datasets/{dataset_id}", sample, change)
    assert answer.status_code == 200, answer.text
    assert await ask(other, "stranger", READ, sample) == 404


async def test_a_deactivated_user_is_refused_when_the_cache_has_forgotten_them(
    labeler_dsn: str, users_db: UsersDatabase, start_gateway: StartGateway, object_store: SeaweedServer
) -> None:
    gateway = await start_gateway(users_db.dsn)
    variables = {**storage_environment(object_store), "USER_CACHE_SECONDS": str(BELIEVED_SECONDS)}
    settings = api_settings(labeler_dsn, gateway.address, gateway.token, variables)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        callers = Callers(api)
        stack.push_async_callback(callers.close)
        sample = await with_bytes(callers)
        assert await ask(callers, "viewer", READ, sample) == 200
        assert await follow(callers, "viewer", sample) == {200}
        await users_db.execute("UPDATE users SET is_active = false WHERE email = 'viewer@example.com'")
        deactivated_at = time.monotonic()
        async with asyncio.timeout(10):
            while (status := await ask(callers, "viewer", READ, sample)) == 200:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert status == 403
        check_within(time.monotonic() - deactivated_at, BELIEVED_SECONDS + NOTICING_SECONDS)
        await until_gone(callers, "viewer", sample)
        check_within(time.monotonic() - deactivated_at, LINK_SECONDS + BELIEVED_SECONDS + NOTICING_SECONDS)


def test_users_are_believed_for_half_a_minute_at_most(shared_callers: Callers) -> None:
    assert shared_callers.api.services.settings.user_cache_seconds <= USER_SECONDS
