"""The commands as an operator gives them; what they print and how they end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from labeler_ops.storage.access import StorageAccess
from tests.fixtures.stored_objects import Objects, fill

COUNT = 30
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
        [sys.executable, "-m", "labeler_ops.cli", *arguments],
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


async def test_the_commands_in_the_guide_s_order(
    sides: tuple[StorageAccess, StorageAccess], source: Objects, target: Objects, tmp_path: Path
) -> None:
    await fill(source, COUNT)
    environ = environment(*sides)
    alone = ("--only", "objects", "--no-references")
    code, said = await run(environ, "move", "check", *alone, cwd=tmp_path)
    assert code == 0, said
    assert f"objects  {COUNT}, " in said, said
    assert await target.listing() == set()
    assert not (tmp_path / "runs").exists()

    code, said = await run(environ, "move", "run", *alone, "--until", "objects, first pass", cwd=tmp_path)
    directory = next((tmp_path / "runs").glob("*-move-*"))
    assert code == 0, said
    assert f"run {directory.name}" in said, said
    assert f"copied {COUNT} objects" in said, said
    await source.put("datasets/ds_1/images/later.jpg", b"later")
    code, said = await run(environ, "move", "resume", "--no-references", cwd=tmp_path)
    assert code == 0, said
    assert f"copied 1 objects, 5 bytes; {COUNT} were done already" in said, said
    assert "every object read on both sides" in said
    code, said = await run(environ, "storage", "verify", "--no-database", cwd=tmp_path)
    assert code == 0, said
    assert "every object read on both sides" in said, said
    secrets = [access.secret_key for access in sides]
    kept = [path for path in directory.iterdir() if not path.name.startswith("environment")]
    assert not [path for path in kept for secret in secrets if secret in path.read_text()]
    assert not [secret for secret in secrets if secret in said]


async def test_what_is_missing_is_said_in_a_line(tmp_path: Path) -> None:
    code, said = await run({}, "storage", "compare", "--no-database", cwd=tmp_path)
    assert code == 2, said
    assert "SOURCE_S3_ENDPOINT, SOURCE_S3_ACCESS_KEY, SOURCE_S3_SECRET_KEY: missing" in said, said
    away = StorageAccess("http://127.0.0.1:1", "a", "b"), StorageAccess("http://127.0.0.1:2", "a", "b")
    code, said = await run(environment(*away), "storage", "compare", "--no-database", cwd=tmp_path)
    assert code == 1, said
    assert "cannot be listed" in said, said
    assert "Traceback" not in said, said
