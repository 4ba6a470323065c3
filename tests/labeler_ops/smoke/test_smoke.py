"""`labeler smoke` against a running system, whole and broken: it tells what works, and leaves nothing behind."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg
import httpx
import psutil
import pytest

from labeler_ops.maintenance import fence
from labeler_ops.smoke.deployment import Deployment, normal_url
from labeler_ops.smoke.smoke_dataset import SmokeDataset, clean_up, new_name
from labeler_ops.stack.ports import free_port
from tests.labeler_ops.smoke.conftest import OWNER, PYTHON, VIEWER, Deployed, broken_copy_environment, ended, run, start

_THERE = "SELECT name FROM datasets WHERE deleted_at IS NULL"  # the rows of what was deleted go a moment later


async def owned(deployed: Deployed) -> set[str]:
    """The names of the owner's datasets."""
    connection = await asyncpg.connect(deployed.database)
    try:
        return {row["name"] for row in await connection.fetch(_THERE)}
    finally:
        await connection.close()


async def test_everything_works_and_nothing_is_left(deployed: Deployed) -> None:
    """What a killed run left goes too, once it is old; what may be a run at work stays."""
    before = await owned(deployed)
    old, young = new_name(), new_name()
    async with Deployment(deployed.url, OWNER) as deployment:
        await deployment.log_in()
        for name in (old, young):
            await deployment.ask("POST", "/api/v1/datasets", 201, json={"name": name})
    connection = await asyncpg.connect(deployed.database)
    await connection.execute("UPDATE datasets SET created_at = now() - interval '2 hours' WHERE name = $1", old)
    done = await run("smoke", f"{deployed.url}/api/v1/", "--member-email", VIEWER.email)
    assert done.code == 0, done.out + done.err
    assert set(done.states().values()) == {"ok"}
    assert all(step["milliseconds"] > 0 for step in done.json()["steps"])
    assert OWNER.password not in done.out + done.err
    assert await owned(deployed) == before | {young}
    await connection.execute("DELETE FROM datasets WHERE name = $1", young)
    await connection.close()


@pytest.mark.destructive
async def test_without_its_object_store_only_what_needs_it_fails(deployed: Deployed, tmp_path: Path) -> None:
    before = await owned(deployed)
    async with without_store(deployed, tmp_path) as url:
        done = await run("smoke", url)
    assert done.code == 1
    states = done.states()
    works = {"login", "user look-up", "dataset create, read, change", "project permission", "clean-up"}
    assert {name for name, state in states.items() if state == "ok"} == works
    assert {name for name, state in states.items() if state == "failed"} == {"health", "image upload"}
    notes = {step["name"]: step["note"] for step in done.json()["steps"]}
    assert "object_store" in notes["health"]
    assert "expected 200, got 503" in notes["image upload"]
    assert notes["image and thumbnail load"] == "needs image upload"
    assert await owned(deployed) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_tidies_up(deployed: Deployed, number: signal.Signals) -> None:
    """It is stopped in the middle: its first annotation waits for a table that is held until then."""
    before = await owned(deployed)
    holder = await asyncpg.connect(deployed.database)
    await holder.execute("BEGIN; LOCK TABLE annotations IN SHARE ROW EXCLUSIVE MODE")
    process = await start("smoke", deployed.url)
    until = monotonic() + 60
    while await owned(deployed) == before:
        assert process.returncode is None
        assert monotonic() < until
        await asyncio.sleep(0.01)
    process.send_signal(number)
    holder.terminate()
    done = await ended(process)
    assert done.code == 130, done.out + done.err
    assert done.json()["interrupted"]
    assert done.states()["clean-up"] == "ok"
    assert await owned(deployed) == before


async def test_a_dataset_whose_creation_was_not_answered_is_found_and_deleted(deployed: Deployed) -> None:
    before = await owned(deployed)
    async with Deployment(deployed.url, OWNER) as deployment:
        await deployment.log_in()
        subject = SmokeDataset(deployment)
        await subject.create_dataset()
        subject.made, subject.asked = "", True  # as if the answer had been lost
        assert await clean_up(subject) == "the dataset is deleted"
    assert await owned(deployed) == before


async def test_read_only_wants_a_write_to_be_refused(deployed: Deployed) -> None:
    before = await owned(deployed)
    refused = await run("smoke", deployed.url, "--read-only")
    assert refused.code == 1
    assert [name for name, state in refused.states().items() if state == "failed"] == ["write refused"]
    assert "expected 503 maintenance" in refused.json()["steps"][-2]["note"]
    assert await owned(deployed) == before  # the write that was not refused is taken back

    await fence.on(deployed.database, reason="a rehearsal", by="test")
    try:
        done = await run("smoke", deployed.url, "--read-only")
    finally:
        await fence.off(deployed.database, by="test")
    assert done.code == 0, done.out
    assert set(done.states().values()) == {"ok"}
    assert await owned(deployed) == before


async def test_what_cannot_be_tried_is_said_in_a_sentence(deployed: Deployed) -> None:
    wrong = await run("smoke", "ftp://somewhere")
    assert wrong.code == 2
    assert wrong.err.strip() == "--url: expected http://host:port or https://host, got 'ftp://somewhere'"
    nobody = await run("smoke", f"http://127.0.0.1:{free_port()}")
    assert nobody.code == 1
    assert nobody.states()["login"] == "failed"
    assert nobody.states()["clean-up"] == "ok"
    assert "Traceback" not in nobody.err


def test_addresses_are_taken_as_people_copy_them() -> None:
    for text in ("https://a.example", "https://a.example/", " https://a.example/api/v1/ ", "https://a.example/api/v1"):
        assert normal_url(text) == "https://a.example"
    assert normal_url("http://a.example/labeler/api/v1") == "http://a.example/labeler"
    for wrong in ("a.example", "https://", "https://me:secret@a.example"):
        with pytest.raises(ValueError, match="expected http"):
            normal_url(wrong)


@asynccontextmanager
async def without_store(deployed: Deployed, directory: Path) -> AsyncIterator[str]:
    """A second API of the same system whose object store is away."""
    port = free_port()
    environ = psutil.Process(deployed.pids["api"]).environ()
    with (directory / "api.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PYTHON,
            "-m",
            "labeler_api",
            env=broken_copy_environment(environ, port, free_port()),
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _answers(url, process)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _answers(url: str, process: asyncio.subprocess.Process) -> None:
    until = monotonic() + 60
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            assert process.returncode is None
            assert monotonic() < until
            try:
                await client.get(f"{url}/health")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
