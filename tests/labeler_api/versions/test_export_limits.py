"""Exports that are too many, cut off or old: never half a file, and never the whole pool."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
import pytest

from labeler_api.app import create_app, open_services
from labeler_api.settings import Settings
from labeler_api.versions.exporting import service as exporting_service
from labeler_api.versions.files import naming
from labeler_ops.stack.ports import free_port
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import delete
from tests.fixtures.served import serving
from tests.fixtures.users import RunningGateway
from tests.fixtures.versions import (
    CLASSES,
    annotate,
    annotation,
    downloaded,
    export,
    exported,
    publish,
    published,
    stored_keys,
)
from tests.fixtures.waiting import until
from tests.labeler_api.versions.gate import Gate
from tests.labeler_api.versions.killed import killed

MIB = 1024 * 1024


async def _dataset(api: Api) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    return dataset


async def _unfinished(api: Api, dataset: Dataset) -> list[str]:
    bucket, prefix = api.services.settings.s3_bucket_annotations, f"exports/{dataset.project_id}/"
    return [upload.key async for upload in api.services.objects.unfinished(bucket, prefix)]


async def _held_files(api: Api, dataset: Dataset) -> list[str]:
    keys = await stored_keys(api, api.services.settings.s3_bucket_annotations, f"exports/{dataset.project_id}/")
    return [key for key in keys if key.endswith("/annotations_held.json")]


@asynccontextmanager
async def another_process(settings: Settings) -> AsyncIterator[Api]:
    """One more application on the same servers, as another process is."""
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        running = Api(create_app(services.settings, services), services)
        stack.push_async_callback(running.close)
        yield running


@pytest.fixture
async def others(api: Api) -> AsyncIterator[list[Api]]:
    """Two more: one process has room for two exports here."""
    settings = api.services.settings
    async with another_process(settings) as second, another_process(settings) as third:
        yield [second, third]


async def test_five_at_once_over_all_processes(api: Api, others: list[Api], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, another, gate = await _dataset(api), await _dataset(api), Gate()
    gate.offer(monkeypatch)
    first, second, here = [await each.login("owner") for each in (api, *others)]
    clients = (first, second, first, second, here)
    running = [asyncio.create_task(export(client, dataset, export_format="held")) for client in clients]

    async def all_at_work() -> bool:
        return gate.waiting == 5

    await until(all_at_work)
    refused = [await export(here, dataset), await export(here, dataset)]
    body = {"export_format": "dice", "task_type": "detection"}
    refused.append(await here.post(f"/api/v1/projects/{dataset.project_id}/export", json=body))
    elsewhere = await export(here, another)
    gate.opened.set()
    done = await asyncio.gather(*running)
    after = await export(here, dataset)

    assert [answer.status_code for answer in refused] == [429, 429, 429]
    assert refused[0].json()["code"] == "too_many_exports"
    assert int(refused[0].headers["retry-after"]) > 0
    assert elsewhere.status_code == after.status_code == 200
    assert [answer.status_code for answer in done] == [200] * 5
    assert len({answer.json()["export_path"] for answer in done}) == 5


async def test_what_holds_a_connection_for_long_has_less_than_a_third_of_them(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exports, publications and backups together, of any project. The others have their turn, and hold nothing."""
    projects, gate = [await _dataset(api) for _ in range(6)], Gate()
    gate.offer(monkeypatch)
    owner = await api.login("owner")
    running = [asyncio.create_task(export(owner, dataset, export_format="held")) for dataset in projects[:3]]
    running += [asyncio.create_task(publish(owner, dataset, export_format="held")) for dataset in projects[3:5]]
    running.append(asyncio.create_task(delete(owner, projects[5], create_backup=True)))

    await until(lambda: _is(gate, 2))
    await asyncio.sleep(0.3)
    size, idle = api.db.size
    assert size - idle == gate.waiting == 2 < 11 / 3
    assert (await owner.get("/api/v1/datasets")).status_code == 200
    gate.opened.set()

    assert Counter(answer.status_code for answer in await asyncio.gather(*running)) == {200: 6}


async def test_whoever_would_wait_too_long_is_told_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    projects, gate = [await _dataset(api) for _ in range(3)], Gate()
    gate.offer(monkeypatch)
    async with another_process(msgspec.structs.replace(api.services.settings, db_pool_timeout=0.5)) as impatient:
        owner = await impatient.login("owner")
        running = [asyncio.create_task(export(owner, dataset, export_format="held")) for dataset in projects[:2]]
        await until(lambda: _is(gate, 2))
        refused = await asyncio.gather(
            export(owner, projects[2]), publish(owner, projects[2]), delete(owner, projects[2], create_backup=True)
        )
        gate.opened.set()
        await asyncio.gather(*running)

    assert {answer.status_code for answer in refused} == {503}
    assert {answer.json()["code"] for answer in refused} <= {"long_work_busy", "backup_failed"}
    assert all(int(answer.headers["retry-after"]) >= 2 for answer in refused)


async def _is(gate: Gate, waiting: int) -> bool:
    return gate.waiting == waiting


async def test_what_is_edited_meanwhile_is_not_in_the_file(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, gate = await _dataset(api), Gate()
    gate.offer(monkeypatch)
    under_way = asyncio.create_task(export(await api.login("owner"), dataset, export_format="held"))
    await gate.reached.wait()

    # Nobody waits for an export, and nothing that happens during it gets into the file.
    await asyncio.wait_for(annotate(api, dataset, annotation(dataset.image_ids[0])), 5)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET width = 1")
    gate.opened.set()
    answer = (await under_way).json()

    bucket = api.services.settings.s3_bucket_annotations
    async with api.services.objects.open(bucket, answer["export_path"]) as file:
        content = msgspec.json.decode(await file.read())
    assert content["statistics"]["total_annotations"] == answer["annotation_count"] == 1
    assert content["images"][0]["width"] == 640


async def test_a_client_that_leaves_stops_it_and_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, gate = await _dataset(api), Gate(filling=9 * MIB)  # a part of the upload is in the store already
    gate.offer(monkeypatch)
    before = await _held_files(api, dataset)
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}"}
    async with serving(api) as port:
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers)
        under_way = asyncio.create_task(export(client, dataset, export_format="held"))
        await gate.reached.wait()
        begun = await _unfinished(api, dataset)
        under_way.cancel()
        await asyncio.wait({under_way})
        await client.aclose()

        async def gone() -> bool:
            return not await _unfinished(api, dataset)

        await until(gone, seconds=2)

    assert len(begun) == 1
    assert await _held_files(api, dataset) == before
    assert await _turns(api, dataset) == 5


async def test_an_absent_store_is_a_503(api: Api) -> None:
    dataset = await _dataset(api)
    settings = msgspec.structs.replace(api.services.settings, s3_endpoint=f"http://127.0.0.1:{free_port()}")
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        running = Api(create_app(settings, services), services)
        stack.push_async_callback(running.close)

        answer = await export(await running.login("owner"), dataset)

    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_unavailable"
    assert await _turns(api, dataset) == 5


async def test_it_takes_ten_minutes_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, gate = await _dataset(api), Gate(filling=9 * MIB)
    gate.offer(monkeypatch)
    monkeypatch.setattr(exporting_service, "_EXPORT_SECONDS", 0.5)

    answer = await export(await api.login("owner"), dataset, export_format="held")

    assert answer.status_code == 503
    assert answer.json()["code"] == "export_timeout"
    assert await _unfinished(api, dataset) == []


async def test_files_whose_links_have_run_out_are_removed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")
    version = await published(owner, dataset)
    old = await exported(owner, dataset)
    monkeypatch.setattr(naming, "EXPORT_KEPT", timedelta(seconds=1))

    async def removed() -> bool:
        await exported(owner, dataset, export_format="yolo")
        return (await downloaded(api, old)).status_code == 404

    await until(removed)
    assert (await downloaded(api, version)).status_code == 200


_KILLED = """
import asyncio, os, signal, sys
from contextlib import AsyncExitStack, asynccontextmanager
from labeler_api.app import open_services
from labeler_api.context import Call, Principal
from labeler_api.settings import load
from labeler_api.versions import formats, service
from labeler_api.versions.files import contents
from labeler_api.versions.schemas import ExportRequest

async def die(source):
    yield bytes(9 * 1024 * 1024)  # more than a part: the upload has begun
    yield b"more"
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncExitStack() as stack:
        services = await open_services(load(), stack)
        profile = await services.directory.require_active(2)
        caller = Principal(user_id=2, email=profile.email, is_admin=False, profile=profile)
        held = ("held", "annotations_held.json", "application/json", die, formats.DICE.fill)
        contents.EXPORT_FORMATS = {"held": formats.Format(*held)}
        call = Call(services=services, request_id="test", client="test", user=caller)
        await service.export(call, sys.argv[1], ExportRequest(task_type="detection", export_format="held"))

asyncio.run(main())
"""


@pytest.mark.destructive
async def test_a_process_killed_in_the_middle_leaves_no_file_and_holds_no_turn(
    api: Api, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await _dataset(api)
    before = await _held_files(api, dataset)
    await killed(api, gateway, _KILLED, dataset.project_id)

    left = await _unfinished(api, dataset)
    await until(lambda: _all_free(api, dataset))
    owner = await api.login("owner")
    await exported(owner, dataset)  # too young to be given up: it could be under way
    still = await _unfinished(api, dataset)
    monkeypatch.setattr(exporting_service, "_UNFINISHED", timedelta(seconds=-1))
    await exported(owner, dataset)

    assert await _held_files(api, dataset) == before
    assert len(left) == len(still) == 1
    assert await _unfinished(api, dataset) == []


async def _all_free(api: Api, dataset: Dataset) -> bool:
    return await _turns(api, dataset) == 5


async def _turns(api: Api, dataset: Dataset) -> int:
    """How many turns of the project are free."""
    async with api.db.begin() as tx:
        return int(
            await tx.fetchval(
                "SELECT count(*) FILTER (WHERE pg_try_advisory_xact_lock("
                "hashtextextended('export ' || $1::text || ' ' || turn, 0))) FROM generate_series(1, 5) turn",
                dataset.project_id,
            )
        )
