"""Twenty people upload through the API while the objects are moved: whatever they were told is stored has arrived."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

import httpx

from labeler_ops.maintenance import fence
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.processes import spawn
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.store_variables import service_variables
from tests.fixtures.api import JWT_SECRET, Api
from tests.fixtures.pictures import picture
from tests.fixtures.stored_objects import Objects, passes
from tests.fixtures.users import RunningGateway

WRITERS = 20


class Uploads:
    """The people, where they send their images (None: nobody serves), and what they were told is stored."""

    def __init__(self, dataset_id: str) -> None:
        self.dataset_id = dataset_id
        self.stored: dict[str, bytes] = {}
        self.refused = 0

    async def person(self, number: int, client: httpx.AsyncClient) -> None:
        turn = 0
        while True:
            turn += 1
            name, content = f"{number}/{turn}", picture(8 + number, 8 + turn % 90, colour=(turn % 256, number, 0))
            files = [("files", (f"{name}.jpg", content, "image/jpeg"))]
            try:
                answer = await client.post(f"/api/v1/datasets/{self.dataset_id}/images", files=files)
            except httpx.TransportError:  # a deployment: nobody was told anything
                return
            if answer.status_code == 200:
                assert answer.json()["images_uploaded"] == 1, answer.text
                assert answer.json()["failed"] == [], answer.text
                self.stored[name] = content
            else:
                assert answer.status_code == 503, answer.text
                self.refused += 1
                await asyncio.sleep(0.3)  # as people do; the processors are for the move

    @asynccontextmanager
    async def going_on(self, port: int, token: str) -> AsyncIterator[None]:
        """Upload to an API until the block ends."""
        headers = {"Authorization": f"Bearer {token}"}
        base = f"http://127.0.0.1:{port}"
        async with (
            httpx.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            people = [group.create_task(self.person(number, client)) for number in range(WRITERS)]
            try:
                yield
            finally:
                for one in people:
                    one.cancel()

    async def more(self, count: int) -> None:
        wanted = len(self.stored) + count
        async with asyncio.timeout(30):
            while True:
                if len(self.stored) >= wanted:
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(environment: Mapping[str, str], log: Path) -> AsyncIterator[int]:
    """Run an API process; its port."""
    port = free_port()
    process = spawn("api", [sys.executable, "-m", "labeler_api"], log=log, env={**environment, "API_PORT": str(port)})
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield port
    finally:
        await process.stop((SIGTERM, 30))


async def test_no_acknowledged_upload_is_missing_on_the_new_store(
    api: Api,
    labeler_dsn: str,
    gateway: RunningGateway,
    sides: tuple[StorageAccess, StorageAccess],
    target: Objects,
    tmp_path: Path,
) -> None:
    dataset = await api.dataset(tasks=["detection"])
    token = api.token(2, "owner@example.com")
    common = {
        "ENVIRONMENT": "test",
        "LABELER_DB_URL": labeler_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "JWT_SECRET_KEY": JWT_SECRET,
    }
    work = Uploads(dataset.id)
    move = passes(tmp_path, *sides, labeler_dsn)
    async with (
        serving({**common, **service_variables(sides[0])}, tmp_path / "old.log") as port,
        work.going_on(port, token),
    ):
        await work.more(20)
        _, report = await move.copy()
        assert report.findings == []  # what was uploaded meanwhile is not taken for lost
        await work.more(20)
        assert (await move.verify()).counts.keys() <= {"missing", "orphan"}
        await fence.on(labeler_dsn, reason="The images are moved.", by="test")
        at_the_stop = len(work.stored)
        async with asyncio.timeout(30):
            while True:  # in its first second an upload may still put an object, whose row is then refused
                assert (await move.copy())[1].same
                if (await move.verify()).same:
                    break
    new = service_variables(sides[1])
    async with serving({**common, **new}, tmp_path / "new.log") as port, work.going_on(port, token):
        await fence.off(labeler_dsn, by="test")
        await work.more(20)
    assert len(work.stored) >= at_the_stop + 20 > 60
    assert work.refused > 0
    async with api.db.read() as connection:
        found = await connection.fetch("SELECT id, s3_key FROM image_metadata WHERE dataset_id = $1", dataset.id)
    keys = {row["id"]: row["s3_key"] for row in found}
    assert work.stored.keys() <= keys.keys()
    got = await asyncio.gather(*(target.get(keys[name]) for name in work.stored))
    assert [one.body for one in got] == list(work.stored.values())
