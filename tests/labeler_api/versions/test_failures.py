"""What is left when a part is away or a process dies in the middle: never half a version."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import msgspec
import pytest

from labeler_api.app import create_app, open_services
from labeler_api.settings import Settings
from labeler_ops.stack.ports import free_port
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.users import RunningGateway
from tests.fixtures.versions import (
    CLASSES,
    annotate,
    annotation,
    downloaded,
    publish,
    published,
    stored_keys,
)
from tests.labeler_api.versions.killed import killed


async def _dataset(api: Api) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    return dataset


def _changed(settings: Settings, **values: object) -> Settings:
    return msgspec.structs.replace(settings, **values)


@pytest.fixture
async def without_storage(api: Api) -> AsyncIterator[Api]:
    """The same application, whose object store does not answer."""
    settings = _changed(api.services.settings, s3_endpoint=f"http://127.0.0.1:{free_port()}")
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        running = Api(create_app(settings, services), services)
        stack.push_async_callback(running.close)
        yield running


async def test_an_absent_store_is_a_503_and_no_version(api: Api, without_storage: Api) -> None:
    dataset = await _dataset(api)

    answer = await publish(await without_storage.login("owner"), dataset, export_format="coco")

    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_unavailable"
    assert "retry-after" in answer.headers
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_versions") == 0
        assert await connection.fetchval("SELECT count(*) FROM annotation_snapshots") == 0
    assert (await published(await api.login("owner"), dataset))["version_number"] == "v1.0"


async def test_a_store_that_fails_at_the_copy_does_not_unmake_the_version(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await _dataset(api)
    # The bucket of the datasets is gone, that of the exports is there.
    settings = _changed(api.services.settings, s3_bucket_datasets="no-such-bucket")
    services = replace(api.services, settings=settings)
    running = Api(create_app(settings, services), services)

    version = await published(await running.login("owner"), dataset)
    await running.close()

    assert (await downloaded(api, version)).status_code == 200
    async with api.db.read() as connection:
        row = await connection.fetchrow("SELECT labeled, annotation_path FROM datasets WHERE id = $1", dataset.id)
    assert dict(row or {}) == {"labeled": False, "annotation_path": None}


async def test_a_gateway_that_is_away_stops_it_rather_than_publish_without_names(api: Api) -> None:
    dataset = await _dataset(api)
    settings = api.services.settings
    async with AsyncExitStack() as stack:
        broken = await open_services(_changed(settings, user_gateway_address=f"127.0.0.1:{free_port()}"), stack)
        owner = await api.login("owner")
        await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")

        class OwnerOnly:
            """The directory of a process that saw the owner a moment ago, and whose gateway is away now."""

            def __getattr__(self, name: str) -> object:
                known = api.services.directory if name == "require_active" else broken.directory
                return getattr(known, name)

        services = replace(api.services, directory=OwnerOnly())  # type: ignore[arg-type]
        running = Api(create_app(settings, services), services)
        stack.push_async_callback(running.close)

        answer = await publish(await running.login("owner"), dataset)

    assert answer.status_code == 503
    assert answer.json()["code"] == "users_unavailable"
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_versions") == 0


async def test_users_that_are_gone_do_not_stop_it(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0], created_by=4711))

    dice = (await downloaded(api, await published(await api.login("owner"), dataset))).json()

    assert dice["images"][0]["metadata"]["labeled_by"] is None


async def test_what_a_crash_left_is_hidden_skipped_and_later_removed(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    async with api.db.begin() as tx:
        await tx.execute(
            "WITH attempt AS (INSERT INTO annotation_versions (project_id, task_type, version_number, version_type)"
            " VALUES ($1, 'detection', 'v1.0', 'publishing') RETURNING id)"
            " INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)"
            " SELECT id, 1, '{}' FROM attempt",
            dataset.project_id,
        )

    fresh = await published(owner, dataset)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_versions SET created_at = now() - interval '16 minutes'")
    later = await published(owner, dataset, version_number="v1.0")

    assert fresh["version_number"] == "v2.0"
    assert later["version_number"] == "v1.0"
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_versions") == 2
        # The attempt's is gone; the two versions share theirs.
        assert await connection.fetchval("SELECT count(*) FROM annotation_snapshots") == 1


_KILLED = """
import asyncio, os, signal, sys
from contextlib import AsyncExitStack
from labeler_api.app import open_services
from labeler_api.context import Call, Principal
from labeler_api.settings import load
from labeler_api.versions import service
from labeler_api.versions.publishing import store
from labeler_api.versions.schemas import PublishVersion

async def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncExitStack() as stack:
        services = await open_services(load(), stack)
        profile = await services.directory.require_active(2)
        caller = Principal(user_id=2, email=profile.email, is_admin=False, profile=profile)
        store.publish = die  # the last step: everything is stored, nothing is committed
        call = Call(services=services, request_id="test", client="test", user=caller)
        await service.publish(call, sys.argv[1], PublishVersion(task_type="detection", export_format="coco"))

asyncio.run(main())
"""


@pytest.mark.destructive
async def test_a_process_killed_between_the_upload_and_the_commit(api: Api, gateway: RunningGateway) -> None:
    dataset = await _dataset(api)
    settings = api.services.settings
    await killed(api, gateway, _KILLED, dataset.project_id)
    folder = f"exports/{dataset.project_id}/detection/v1.0/"
    assert len(await stored_keys(api, settings.s3_bucket_annotations, folder)) == 2

    owner = await api.login("owner")
    before = (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()
    version = await published(owner, dataset)
    after = (await owner.get(f"/api/v1/projects/{dataset.project_id}/versions")).json()

    assert before["total"] == 0
    assert after["total"] == 1
    assert (await downloaded(api, version)).status_code == 200
