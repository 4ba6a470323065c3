"""PostgreSQL's disk is full: whoever writes is told so, whoever reads goes on, and nothing is to be repaired after."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.annotating import box, check_counters, create_annotation
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.users import RunningGateway

_DISK_MIB = 64  # an empty database of ours takes some 12
_PIECE = bytes(8192)  # a page of a table


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; like much else of the suite, mounting needs root."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "none", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture
async def api(
    disk: Path,
    create_database: DatabaseFactory,
    labeler_template: str,
    gateway: RunningGateway,
    object_store: SeaweedServer,
) -> AsyncIterator[Api]:
    """An application whose database lies on the small disk; the server's log and its other databases do not."""
    dsn = await create_database(labeler_template)
    name = urlsplit(dsn).path.removeprefix("/")
    admin = await asyncpg.connect(create_database.server.dsn("postgres"))
    try:
        await admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        await admin.execute(f'ALTER DATABASE "{name}" SET TABLESPACE small')
        settings = api_settings(dsn, gateway.address, gateway.token, storage_environment(object_store))
        async with AsyncExitStack() as stack:
            services = await open_services(settings, stack)
            running = Api(create_app(settings, services), services)
            stack.push_async_callback(running.close)
            yield running
        await create_database.drop(dsn)
        await admin.execute("DROP TABLESPACE small")
    finally:
        await admin.close()


def fill(disk: Path) -> Path:
    """Leave no byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(_PIECE) == len(_PIECE):
                pass
        except OSError:
            pass
    return filler


async def test_a_full_disk(api: Api, disk: Path) -> None:
    dataset = await api.dataset(tasks=["detection"], images=3)
    owner = await api.login("owner")
    await create_annotation(owner, box(dataset))
    filler = fill(disk)

    answers = []
    for _ in range(400):  # what fits into the pages that there are is still written
        answers.append(await owner.post("/api/v1/annotations", json=box(dataset, notes="x" * 900)))
        if answers[-1].status_code != 200:
            break
    refused = answers[-1]
    body = refused.json()
    assert refused.status_code == 503, body
    assert body["code"] == "database_full", body
    assert int(refused.headers["Retry-After"]) >= 10
    assert "room" in body["detail"]

    again = [await owner.post("/api/v1/annotations", json=box(dataset, 1, notes="x" * 900)) for _ in range(20)]
    assert {answer.status_code for answer in again} <= {200, 503}
    for path in (
        "/api/v1/datasets",
        f"/api/v1/projects/{dataset.project_id}",
        f"/api/v1/projects/{dataset.project_id}/images",
        f"/api/v1/annotations/project/{dataset.project_id}",
        "/health/ready",
    ):
        answer = await owner.get(path)
        assert answer.status_code == 200, answer.text

    filler.unlink()
    await create_annotation(owner, box(dataset, 2, notes="x" * 900))
    await check_counters(api, dataset)
    acknowledged = 2 + [answer.status_code for answer in [*answers, *again]].count(200)
    async with api.db.read() as connection:
        stored = await connection.fetchval("SELECT count(*) FROM annotations WHERE project_id = $1", dataset.project_id)
    assert stored == acknowledged, "what was acknowledged, and no more"
