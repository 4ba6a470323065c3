"""The commands as an operator gives them; one is killed in the middle of its work."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from labeler_ops.storage.access import StorageAccess
from tests.labeler_ops.storage.stores import Objects, fill

COUNT = 200
DEADLINE = 60.0


def environment(source: StorageAccess, target: StorageAccess) -> dict[str, str]:
    given: dict[str, str] = {}
    for prefix, access in (("SOURCE", source), ("TARGET", target)):
        given |= {
            f"{prefix}_S3_ENDPOINT": access.endpoint,
            f"{prefix}_S3_ACCESS_KEY": access.access_key,
            f"{prefix}_S3_SECRET_KEY": access.secret_key,
            f"{prefix}_S3_BUCKET_DATASETS": access.datasets_bucket,
            f"{prefix}_S3_BUCKET_ANNOTATIONS": access.annotations_bucket,
        }
    return given


def start(environ: Mapping[str, str], *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "labeler_ops.cli", "storage", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environ},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def run(environ: Mapping[str, str], *arguments: str, cwd: Path) -> tuple[int, str]:
    process = start(environ, *arguments, cwd=cwd)
    said, _ = await asyncio.to_thread(process.communicate, timeout=DEADLINE)
    return process.returncode, said


def manifest(directory: Path) -> Path:
    return next(directory.glob("runs/*/manifest.jsonl"), directory / "no manifest")


def lines(directory: Path) -> int:
    path = manifest(directory)
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def test_a_copy_that_was_killed_goes_on(
    sides: tuple[StorageAccess, StorageAccess], source: Objects, target: Objects, tmp_path: Path
) -> None:
    await fill(source, COUNT)
    environ = environment(*sides)
    code, said = await run(environ, "copy", "--no-database", "--dry-run", cwd=tmp_path)
    assert (code, f"would copy {COUNT} objects" in said) == (0, True), said
    assert await target.listing() == set()

    process = start(environ, "copy", "--no-database", "--concurrency", "2", cwd=tmp_path)
    deadline = time.monotonic() + DEADLINE
    while lines(tmp_path) < 40:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = lines(tmp_path)
    assert done < COUNT

    run_id = (directory := manifest(tmp_path).parent).name
    code, said = await run(environ, "switch", "--run", run_id, cwd=tmp_path)
    assert (code, "verify` first" in said) == (1, True), said
    code, said = await run(environ, "copy", "--no-database", "--resume", run_id, cwd=tmp_path)
    assert code == 0, said
    assert f"{done} were done already" in said
    assert lines(tmp_path) == COUNT
    code, said = await run(environ, "verify", "--no-database", "--run", run_id, cwd=tmp_path)
    assert (code, "every object read on both sides" in said) == (0, True), said
    code, said = await run(environ, "switch", "--run", run_id, cwd=tmp_path)
    assert code == 0, said
    secrets = [access.secret_key for access in sides]
    kept = [path for path in directory.iterdir() if not path.name.startswith("environment")]
    assert not [path for path in kept for secret in secrets if secret in path.read_text()]
    assert not [secret for secret in secrets if secret in said]


async def test_what_is_missing_is_said_in_a_line(tmp_path: Path) -> None:
    code, said = await run({}, "compare", "--no-database", cwd=tmp_path)
    assert (code, "SOURCE_S3_ENDPOINT, SOURCE_S3_ACCESS_KEY, SOURCE_S3_SECRET_KEY: missing" in said) == (2, True), said
    away = StorageAccess("http://127.0.0.1:1", "a", "b"), StorageAccess("http://127.0.0.1:2", "a", "b")
    code, said = await run(environment(*away), "compare", "--no-database", cwd=tmp_path)
    assert (code, "cannot be listed" in said, "Traceback" in said) == (1, True, False), said
