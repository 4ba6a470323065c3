"""The memory of a real process stays flat however many annotations are published or exported."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from labeler_ops.stack.ports import free_port
from tests.fixtures.api import JWT_SECRET, Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import delete
from tests.fixtures.users import RunningGateway
from tests.fixtures.versions import CLASSES, annotate_many, exported, published

MIB = 1024 * 1024
# Both files of the small one fill whole parts of 8 MiB already, so the buffers are the same; three times the
# annotations held in memory would be more than 50 MiB.
SMALL, LARGE = 20_000, 60_000
ROOM_BYTES = 24 * MIB
MOST_BYTES = 200 * MIB

# Rows from before there was a bound on what a client may store: two megabytes each. A hundred of them at once, which
# is how many usual rows come at once, would be 200 MB as they come and 200 MB as text. Half as many are enough.
ROWS, HUGE_BYTES = 560, 2_000_000  # of the rows 54 are huge, and stand in the same hundred
HUGE_ROOM_BYTES = 96 * MIB


class Process:
    """An API process of its own."""

    def __init__(self, pid: int, client: httpx.AsyncClient) -> None:
        self.client = client
        self._proc = Path(f"/proc/{pid}")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")  # proc(5): resets the peak resident size

    def peak_bytes(self) -> int:
        line = next(line for line in (self._proc / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@pytest.fixture
async def process(api: Api, gateway: RunningGateway) -> AsyncIterator[Process]:
    settings, port = api.services.settings, free_port()
    environment = {
        **os.environ,
        "ENVIRONMENT": "test",
        "API_PORT": str(port),
        "LABELER_DB_URL": settings.labeler_db_url,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "JWT_SECRET_KEY": JWT_SECRET,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "labeler_api", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    headers = {"Authorization": f"Bearer {api.token(2, 'owner@example.com')}"}
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120)
    try:
        await _answering(client)
        yield Process(running.pid, client)
    finally:
        await client.aclose()
        running.terminate()
        await running.wait()


async def _answering(client: httpx.AsyncClient) -> None:
    for _ in range(300):  # half a minute
        try:
            if (await client.get("/health")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("the API process does not answer")


@pytest.mark.slow
async def test_publishing_three_times_as_much_takes_no_more_memory(api: Api, process: Process) -> None:
    small = await api.dataset(tasks=["detection"], images=100, classes=CLASSES)
    large = await api.dataset(tasks=["detection"], images=100, classes=CLASSES)
    await annotate_many(api, small, SMALL)
    await annotate_many(api, large, LARGE)

    await published(process.client, small, export_format="coco")
    process.forget_peak()
    await published(process.client, small, export_format="coco")
    peak_of_small = process.peak_bytes()
    process.forget_peak()
    version = await published(process.client, large, export_format="coco")
    peak_of_large = process.peak_bytes()

    assert version["annotation_count"] == LARGE
    assert peak_of_large - peak_of_small < ROOM_BYTES, f"{peak_of_small} → {peak_of_large}"

    # YOLO is the archive that is made fastest; what differs between the formats is a function of one annotation.
    process.forget_peak()
    file = await exported(process.client, large, export_format="yolo")
    assert file["annotation_count"] == LARGE
    assert process.peak_bytes() - peak_of_small < ROOM_BYTES, f"{peak_of_small} → {process.peak_bytes()}"
    assert process.peak_bytes() < MOST_BYTES


async def _annotate_hugely(api: Api, dataset: Dataset) -> None:
    """Small rows, then huge ones with some small ones between; and the same in the history."""
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, geometry, task_type, class_id, class_name,"
            " annotation_state, created_by, attributes)"
            " SELECT $1, $2, 'bbox', '{\"type\": \"bbox\", \"bbox\": [1, 2, 3, 4]}', 'detection', 'c_cat', 'cat',"
            " 'confirmed', 4, CASE WHEN n <= 500 OR n % 10 = 0 THEN '{}'"
            " ELSE jsonb_build_object('x', repeat(md5(n::text), $4)) END FROM generate_series(1, $3::int) n",
            dataset.project_id,
            dataset.image_ids[0],
            ROWS,
            HUGE_BYTES // 32,
        )
        await tx.execute(
            "INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by)"
            " SELECT id, project_id, image_id, 'create', to_jsonb(a), 4 FROM annotations a WHERE project_id = $1",
            dataset.project_id,
        )


@pytest.mark.slow
async def test_rows_of_two_megabytes_take_no_more_memory_than_one_of_them(api: Api, process: Process) -> None:
    """Exported, published, and written into the backup before a deletion."""
    dataset, usual = [await api.dataset(tasks=["detection"], images=1, classes=CLASSES) for _ in range(2)]
    await _annotate_hugely(api, dataset)
    await annotate_many(api, usual, SMALL)
    await published(process.client, usual, export_format="coco")  # the buffers of a file are there now

    process.forget_peak()
    before = process.peak_bytes()
    file = await exported(process.client, dataset)
    assert file["annotation_count"] == ROWS
    grown = {"export": process.peak_bytes() - before}

    await published(process.client, dataset)
    grown["publish"] = process.peak_bytes() - before
    assert (await delete(process.client, dataset, create_backup=True)).status_code == 200
    grown["backup"] = process.peak_bytes() - before
    assert max(grown.values()) < HUGE_ROOM_BYTES, grown
