"""The tool killed in the middle of its steps: given again, it comes to the same end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labeler_ops.database.replication.replication import Replication
from labeler_ops.database.replication.sides import Urls
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from tests.labeler_ops.database.move.test_migration import Listener
from tests.labeler_ops.database.replication.conftest import execute, rows
from tests.labeler_ops.database.replication.test_replication import LEFT

LABELER = Path(sys.executable).with_name("labeler")
SCHEMA = '"phase":"schema","event":"started"'
FENCE = '"phase":"write-stop"'
TURN = '"phase":"turn","event":"started"'
GIVE_BACK = '"phase":"give-back","event":"started"'


@pytest.mark.destructive
async def test_killed_anywhere_there_and_back(pair: tuple[str, str], tmp_path: Path) -> None:
    urls = Urls(*pair)
    await asyncio.to_thread(_killed_at, SCHEMA, "start", urls, tmp_path)
    await _again(urls, tmp_path).start()
    await asyncio.to_thread(_killed_at, FENCE, "switch", urls, tmp_path)
    await asyncio.to_thread(_killed_at, TURN, "switch", urls, tmp_path)
    await _again(urls, tmp_path).switch()
    await execute(urls.target, "UPDATE annotations SET notes = 'there' WHERE id = 7")
    await asyncio.to_thread(_killed_at, GIVE_BACK, "reverse", urls, tmp_path)
    await _again(urls, tmp_path).reverse()
    assert await rows(urls.source, "SELECT id FROM annotations WHERE notes = 'there'") == [(7,)]
    assert (await verify(urls.source, urls.target)).lines() == []
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert [(await fence.status(side)).stands for side in pair] == [False, True]


def _again(urls: Urls, runs: Path) -> Replication:
    return Replication.begin(runs, urls, Listener())


def _killed_at(marker: str, command: str, urls: Urls, runs: Path) -> None:
    """Kill the command as soon as the journal says where it is."""
    sides = ("--source", urls.source, "--target", urls.target, "--runs", str(runs))
    arguments = [str(LABELER), "db", "replicate", command, *sides]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if any(marker in journal.read_text() for journal in runs.glob("*/journal.jsonl")):
                os.kill(process.pid, signal.SIGKILL)
                return
        raise AssertionError(f"it ended before {marker}: {process.communicate()[1]}")
