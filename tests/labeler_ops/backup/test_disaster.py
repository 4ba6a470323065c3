"""The disaster: a filled system is backed up into a bucket, its database destroyed, and brought back from there."""

import asyncio
import os
import signal
import sys

from labeler_ops.backup import fingerprint
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from tests.fixtures.backups import Operator, count, named
from tests.fixtures.sql import execute


async def test_a_destroyed_database_comes_back_from_the_bucket(
    operator: Operator, source: str, store: StorageAccess
) -> None:
    before = await fingerprint.read_fingerprint(source)
    made = await operator("create")
    assert made.exit_code == 0, made.output
    assert "inventory of 40 objects" in made.stdout
    (kept,) = (await operator.json("list"))["backups"]
    record = kept["record"]
    assert record["digest"] == before.digest
    assert record["rows"] == before.rows
    assert kept["proof"]["how"] == "bytes"

    name = source.rpartition("/")[2]
    await execute(named(source, "postgres"), f'DROP DATABASE "{name}" WITH (FORCE)')
    async with connect(store) as client:
        await client.delete_object(Bucket=store.datasets_bucket, Key="datasets/ds_0/images/0003.jpg")

    restored = await operator("restore", "--into", source)
    assert restored.exit_code == 0, restored.output
    assert f"The same: every row and definition. {before.rows} rows, fetched in" in restored.stdout
    assert record["digest"][:16] in restored.stdout
    assert "objects: 40 in the inventory, 1 are gone, 0 are others\n  datasets/datasets/ds_0/images/0003.jpg" in (
        restored.stdout
    )
    after = await fingerprint.read_fingerprint(source)
    assert after.digest == before.digest
    assert after.definitions["setting"] == {"TimeZone": "Asia/Seoul"}
    (kept,) = (await operator.json("list"))["backups"]
    assert kept["proof"]["how"] == "restored"
    assert kept["proof"]["digest"] == before.digest


async def test_what_is_damaged_is_refused_before_anything_is_touched(
    operator: Operator, bucket: str, store: StorageAccess, empty: str
) -> None:
    made = await operator.json("create", "--no-objects")
    backup_id = made["backup"]["id"]
    largest = max(made["backup"]["files"].items(), key=lambda item: item[1]["size"])[0]
    key = f"nightly/{backup_id}/{largest}"
    async with connect(store) as client:
        body = await (await client.get_object(Bucket=bucket, Key=key))["Body"].read()
        await client.put_object(Bucket=bucket, Key=key, Body=body[:-1] + bytes([body[-1] ^ 1]))
    for command in (("verify",), ("restore", "--into", empty)):
        done = await operator(*command)
        assert done.exit_code == 1
        assert largest in done.stderr
    assert await count(empty, "pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    async with connect(store) as client:
        await client.delete_object(Bucket=bucket, Key=key)
    done = await operator("verify")
    assert done.exit_code == 1
    assert f"{largest} is missing" in done.stderr


DYING = """
import asyncio, os, signal, sys
from labeler_ops.backup.creating import create
from labeler_ops.backup.backup_storage import opened

class Dying:
    step = ""
    def line(self, text): self.step = text
    def progress(self, done, total):
        if self.step.startswith("keeping") and done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with opened(os.environ["BACKUP_PLACE"]) as place:
        await create(place, os.environ["LABELER_DB_URL"], Dying())

asyncio.run(main())
"""


async def test_what_was_cut_off_is_no_backup(operator: Operator, bucket: str, store: StorageAccess) -> None:
    """Killed half-way through sending: what arrived is named as what it is, and is never restored."""
    environ = {**os.environ, **operator.environ}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, env=environ)
    assert await process.wait() == -signal.SIGKILL
    async with connect(store) as client:
        arrived = (await client.list_objects_v2(Bucket=bucket))["Contents"]
    assert len(arrived) > 5
    listed = await operator.json("list")
    assert listed["backups"] == []
    (unfinished,) = listed["unfinished"]
    done = await operator("restore", unfinished, "--into", "postgresql://nobody@127.0.0.1/nothing")
    assert done.exit_code == 1
    assert "there is no backup" in done.stderr
    done = await operator("verify")
    assert done.exit_code == 1
    assert "there is no backup of the database 'labeler'" in done.stderr
    assert (await operator.json("prune"))["unfinished"] == [], "it may be under way for a day"
