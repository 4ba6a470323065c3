"""Deletion while others write, while the store is away, and when a process is killed in the middle of a purge."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from labeler_api.jobs import worker as jobs
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from tests.fixtures.api import JWT_SECRET, PUBLIC_URL, Api, storage_environment
from tests.fixtures.cut_uploads import FORM, PART, running
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import (
    delete,
    done,
    due,
    full_dataset,
    left,
    objects_of,
    purge_now,
    workers,
)
from tests.fixtures.pictures import picture
from tests.fixtures.relay import Relay
from tests.fixtures.users import RunningGateway
from tests.fixtures.versions import BOX, stored_keys
from tests.fixtures.waiting import until


async def test_writers_finish_before_or_get_a_clean_404(api: Api) -> None:
    dataset = await full_dataset(api, members={"reviewer": "admin", "annotator": "annotator"})
    owner, annotator, reviewer = [await api.login(name) for name in ("owner", "annotator", "reviewer")]
    v1, project = "/api/v1", f"/api/v1/projects/{dataset.project_id}"
    box = {"project_id": dataset.project_id, "annotation_type": "bbox", "geometry": BOX}
    file = {"files": ("a/1.jpg", picture(), "image/jpeg")}
    role = {"user_email": "viewer@example.com", "role": "viewer"}

    async def write(number: int) -> httpx.Response:
        match number % 6:
            case 0:
                return await owner.post(f"{v1}/annotations", json=box | {"image_id": dataset.image_ids[0]})
            case 1:
                return await annotator.post(f"{v1}/annotations", json=box | {"image_id": dataset.image_ids[1]})
            case 2:
                return await reviewer.post(f"{v1}/datasets/{dataset.id}/images", files=file)
            case 3:
                return await owner.post(
                    f"{project}/classes?task_type=detection", json={"name": "x", "color": "#000000"}
                )
            case 4:
                return await owner.post(f"{project}/permissions", json=role)
            case _:
                return await owner.get(f"{v1}/datasets/{dataset.id}/project")

    async def deletion() -> httpx.Response:
        await asyncio.sleep(0.03)  # in the middle of them
        return await delete(owner, dataset)

    deleted, *answers = await asyncio.gather(deletion(), *(write(number) for number in range(60)))
    assert deleted.status_code == 200, deleted.text
    # 400: a member already, 423: the image is another's, 403/404: a member no more
    assert {answer.status_code for answer in answers} <= {200, 201, 400, 404, 423}, [a.text for a in answers]
    async with workers(api):
        await done(api)
        assert await left(api, dataset) == {}
        await purge_now(api)
        await done(api)
    assert await objects_of(api, dataset) == []


async def test_of_two_deletions_one_is_told_that_there_is_nothing(api: Api) -> None:
    dataset = await full_dataset(api)
    owner = await api.login("owner")
    answers = await asyncio.gather(*(delete(owner, dataset) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pgqueuer") == 1  # one deletion's


async def test_an_upload_under_way_leaves_nothing(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")

    async def form() -> AsyncIterator[bytes]:
        yield PART % b"a.jpg" + picture() + b"\r\n"
        yield PART % b"b.jpg" + picture()
        await until(lambda: _some(api, dataset))
        assert (await delete(owner, dataset)).status_code == 200
        async with workers(api):
            await done(api)  # the first pass, before the upload's last objects
        yield b"\r\n--x--\r\n"

    answer = await owner.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)
    assert answer.status_code == 404
    await purge_now(api)
    async with workers(api):
        await done(api)
    assert await objects_of(api, dataset) == []


async def _some(api: Api, dataset: Dataset) -> bool:
    return len(await stored_keys(api, "datasets", f"datasets/{dataset.id}/images/")) > 0


async def test_a_store_that_is_away_delays_the_purge_and_not_the_deletion(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FIRST_RETRY_SECONDS", 0.05)
    async with Relay(object_store.ports[0]) as wire:
        store = storage_environment(object_store) | {"S3_ENDPOINT": f"http://127.0.0.1:{wire.port}"}
        async with running(labeler_dsn, gateway, store) as api:
            dataset = await full_dataset(api)
            owner = await api.login("owner")
            await wire.cut()
            refused = await delete(owner, dataset, create_backup=True)
            assert refused.status_code == 503
            assert refused.json()["code"] == "backup_failed"
            assert (await left(api, dataset))["annotations"] == 3
            deleted = await delete(owner, dataset)
            assert deleted.status_code == 200, deleted.text
            assert deleted.json()["impact"]["storage_is_estimated"] is True
            async with workers(api):
                await until(lambda: _tried(api, 2))
                await wire.restore()
                await until(lambda: _emptied(api, dataset))


async def test_a_purge_waits_where_the_buckets_are_not_this_databases(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is answered and deleted as ever, but for the objects: they go when the two are a pair again."""
    monkeypatch.setattr(jobs, "_FIRST_RETRY_SECONDS", 0.05)
    dataset = await full_dataset(api)
    async with api.db.begin() as tx:
        identity = await tx.fetchval("SELECT id FROM labeler_identity")
        await tx.execute("UPDATE labeler_identity SET id = gen_random_uuid()")
    before = await objects_of(api, dataset)
    assert (await delete(await api.login("owner"), dataset)).status_code == 200
    async with workers(api):
        await until(lambda: _tried(api, 2))
        assert await objects_of(api, dataset) == before
        refused = api.services.instruments.metrics.registry.get_sample_value(
            "labeler_object_deletions_refused_total", {"state": "other"}
        )
        assert refused
        assert refused >= 2
        async with api.db.begin() as tx:
            await tx.execute("UPDATE labeler_identity SET id = $1", identity)
        await until(lambda: _emptied(api, dataset))


async def test_a_purge_leaves_what_a_row_in_quarantine_of_another_dataset_refers_to(api: Api) -> None:
    dataset = await full_dataset(api)
    before = await objects_of(api, dataset)
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO quarantine_image_metadata (reason, row) VALUES"
            " ('a test', jsonb_build_object('dataset_id', 'another', 's3_key', $1::text))",
            f"datasets/{dataset.id}/images/a.jpg",
        )
    assert (await delete(await api.login("owner"), dataset)).status_code == 200
    async with workers(api):
        await done(api)
    assert await objects_of(api, dataset) == before


async def _emptied(api: Api, dataset: Dataset) -> bool:
    return await objects_of(api, dataset) == []


async def _tried(api: Api, times: int) -> bool:
    async with api.db.read() as connection:
        return bool(await connection.fetchval("SELECT max(attempts) >= $1 FROM pgqueuer", times))


class FreezingRelay(Relay):
    """A wire to the store that lets one bulk deletion through, and then falls silent without breaking."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._deleted = False
        self.frozen = asyncio.Event()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while data := await reader.read(65536):
            if not answers and self._deleted and data.startswith(b"GET "):
                self.frozen.set()
                await asyncio.Event().wait()
            self._deleted = self._deleted or (not answers and b"?delete" in data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def process(variables: Mapping[str, str]) -> AsyncIterator[Process]:
    """One process of the API, without workers of its own that would outlive it."""
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "test", "JWT_SECRET_KEY": JWT_SECRET, **variables}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "labeler_api", env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        await asyncio.wait_for(started.wait(), 30)


@pytest.mark.destructive
async def test_a_purge_whose_process_is_killed_is_finished_by_another(
    api: Api, labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer
) -> None:
    dataset = await full_dataset(api)
    variables = {
        "LABELER_DB_URL": labeler_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "API_PUBLIC_URL": PUBLIC_URL,
        "JOBS_LEASE_SECONDS": "1",
        **storage_environment(object_store),
    }
    async with FreezingRelay(object_store.ports[0]) as wire:
        through_wire = {"S3_ENDPOINT": f"http://127.0.0.1:{wire.port}", "API_PORT": str(free_port())}
        async with process(variables | through_wire) as first:
            assert (await delete(await api.login("owner"), dataset)).status_code == 200
            await asyncio.wait_for(wire.frozen.wait(), 30)
            remaining = await objects_of(api, dataset)
            assert 0 < len(remaining) < 8, "in the middle"
            assert await due(api) == 1
            first.kill()
            await first.wait()
    async with process(variables | {"API_PORT": str(free_port())}):
        await done(api)
    assert await objects_of(api, dataset) == []
