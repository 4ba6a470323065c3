"""Every call of the frontend has a number of round trips to PostgreSQL, counted on the wire: what is here is the most.

A proxy between the API and its database counts what is sent until something is answered; BEGIN and COMMIT count. A read
is one statement, a write at most two: the look at what it is about, and the function or statement that writes.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from benchmarks.far import Far
from benchmarks.frontend_calls import Colleague, Frontend, Step
from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.users import RunningGateway

ONE, TWO = 1, 2
MOST = {
    "me": 0,
    "datasets": ONE,
    "dataset": ONE,
    "project of a dataset": ONE,
    "size of a dataset": ONE,
    "summary of a dataset": ONE,
    "8 images of a dataset": ONE,
    "permissions of a dataset": ONE,
    "projects": TWO,  # and what they count, where that has changed
    "project": ONE,
    "project, after a save": ONE,
    "members": ONE,
    "statistics": ONE,
    "history of a project": ONE,
    "history of an annotation": ONE,
    "invitations, received": ONE,
    "50 images": ONE,
    "50 statuses": ONE,
    "200 statuses": ONE,
    "annotations of an image": ONE,
    "1,000 annotations": ONE,
    "1,000 annotations, after a save": ONE,
    "annotation": ONE,
    "locks": ONE,
    "lock of an image": ONE,
    "versions": ONE,
    "acquire a lock": ONE,
    "acquire a lock again": ONE,
    "heartbeat": TWO,
    "release a lock": TWO,
    "free an image": TWO,
    "draw a box": ONE,
    "move a box": TWO,
    "delete a box": TWO,
    "confirm an annotation": TWO,
    "unconfirm an annotation": TWO,
    "restore an annotation": TWO,
    "confirm an image": ONE,
    "unconfirm an image": ONE,
    "a batch of 10 boxes": ONE,
    "confirm 10 annotations": TWO,
    "make a dataset": ONE,
    "change a dataset": TWO,
    "change a project": TWO,
    "add a task": TWO,
    "add a class": ONE,
    "change a class": ONE,
    "delete a class": ONE,
    "reorder classes": ONE,
    "add a member": TWO,
    "change a member": TWO,
    "remove a member": TWO,
    "transfer a project": TWO,
    "add a member of a dataset": TWO,
    "change a member of a dataset": TWO,
    "remove a member of a dataset": TWO,
    "invite somebody": TWO,
    "cancel an invitation": TWO,
    "accept an invitation": TWO,
}

# The first call of a kind prepares its statement and learns its types, which are round trips of their own; and
# PostgreSQL's driver does so again where a type was not met before.
_TIMES = 3


@pytest.fixture
async def far(labeler_dsn: str) -> AsyncIterator[Far]:
    async with Far(labeler_dsn) as far:
        yield far


@pytest.fixture
async def api(far: Far, gateway: RunningGateway, object_store: SeaweedServer) -> AsyncIterator[Api]:
    """An application whose way to its database is counted."""
    settings = api_settings(far.dsn, gateway.address, gateway.token, storage_environment(object_store))
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        running = Api(create_app(settings, services), services)
        stack.push_async_callback(running.close)
        yield running


async def _frontend(api: Api) -> Frontend:
    owner, stranger = await api.login("owner"), await api.login("stranger")
    dataset = await api.dataset(tasks=["detection"], classes={"detection": {"c1": _CLASS}})
    async with api.db.begin() as tx:
        await tx.execute(_IMAGES, dataset.id)
    colleague = Colleague(USER_IDS["stranger"], "stranger@example.com", stranger)
    return Frontend(owner, dataset.id, dataset.project_id, colleague)


_CLASS = {"name": "crack", "color": "#ff0000", "description": None, "order": 0}
_IMAGES = """
    INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, width, height, content_sha256,
                                content_type, thumbnail_key)
    SELECT 'train/' || n, $1::text, n || '.jpg', 'datasets/' || $1::text || '/images/train/' || n || '.jpg', 'train',
           1000, 640, 480, lpad(n::text, 64, '0'), 'image/jpeg',
           'datasets/' || $1::text || '/thumbnails/train/' || n || '.jpg'
    FROM generate_series(1, 300) n
"""


async def test_no_call_of_the_frontend_takes_more_round_trips_than_it_may(api: Api, far: Far) -> None:
    frontend = await _frontend(api)
    steps = [*frontend.reads(), *frontend.writes(), *frontend.people(), *frontend.invitations()]
    assert {step.name for step in steps} == MOST.keys()
    found = {step.name: await _round_trips(frontend, far, step) for step in steps}
    more = {name: number for name, number in found.items() if number > MOST[name]}
    assert more == {}, more


async def _round_trips(frontend: Frontend, far: Far, step: Step) -> int:
    fewest = []
    for _ in range(_TIMES):
        made = await step.prepare() if step.prepare else None
        before = far.round_trips
        await frontend.take(step, made)
        fewest.append(far.round_trips - before)
    return min(fewest)
