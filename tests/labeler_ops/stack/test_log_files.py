"""Logs that stay small while a part writes into them."""

import asyncio
import sys
from pathlib import Path

import pytest

from labeler_ops.stack import log_files
from labeler_ops.stack.processes import spawn

LIMIT = 100_000
# Numbered lines, until it is killed.
WRITER = "n = 0\nwhile True:\n    print(f'{n:09d}', flush=n % 50 == 0); n += 1"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LIMIT_BYTES", LIMIT)


def sizes(path: Path) -> list[int]:
    return [one.stat().st_size for one in (path, log_files.before(path)) if one.exists()]


async def test_a_log_is_turned_while_its_part_writes(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    part = spawn("part", [sys.executable, "-c", WRITER], log=path)
    turned = 0
    try:
        async with asyncio.timeout(60):
            while turned < 5:
                await asyncio.sleep(0.01)
                size = path.stat().st_size
                log_files.rotate([path])
                turned += path.stat().st_size < size
                assert size < LIMIT or path.stat().st_size < size
    finally:
        await part.stop()
    assert sizes(path)[1] <= 2 * LIMIT + log_files._PIECE_BYTES
    for one in (path, log_files.before(path)):
        lines = one.read_bytes().split(b"\n")[1:-1]  # the first may have been cut, the last be under way
        assert all(len(line) == 9 for line in lines), one  # nothing but whole lines: no hole where the file was cut
        assert lines == sorted(lines)


def test_a_full_disk_takes_no_copy_and_the_log_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"x" * (LIMIT + 1))
    log_files.before(path).symlink_to("/dev/full")
    log_files.rotate([path, tmp_path / "none.log"])
    assert sizes(path) == [0]


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"x" * LIMIT)
    log_files.rotate([path])
    assert sizes(path) == [LIMIT]
