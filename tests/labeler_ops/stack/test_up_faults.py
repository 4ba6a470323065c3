"""`labeler up` when something is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.running_stack import PARTS, Up, datasets, processes_in


@pytest.mark.destructive
def test_a_part_that_is_killed_stops_everything_and_the_next_start_recovers(home: Path, tmp_path: Path) -> None:
    before = None
    for part in PARTS:
        with Up(home, files=tmp_path / part) as up:
            seen = datasets(up.ready())
            before = before or seen
            assert seen == before
            os.kill(up.pids[part], signal.SIGKILL)
            assert up.ended() == 1
            assert f"{part} ended (exit code -9)" in up.output
            up.assert_nothing_left()
            assert processes_in(home) == []
    with Up(home, files=tmp_path / "after") as up:
        assert datasets(up.ready()) == before


@pytest.mark.destructive
def test_after_kill_9_nothing_is_left_and_the_next_start_recovers(home: Path, tmp_path: Path) -> None:
    kills = {"supervisor": ("supervisor",), "everything": ("supervisor", *PARTS)}
    for name, victims in kills.items():
        with Up(home, files=tmp_path / name) as up:
            assert len(datasets(up.ready())) == 1
            for victim in victims:
                os.kill(up.pids[victim], signal.SIGKILL)
            up.ended()
            up.assert_nothing_left()
    with Up(home, files=tmp_path / "after") as up:
        assert len(datasets(up.ready())) == 1


@pytest.mark.destructive
def test_a_stranger_who_got_the_pid_of_the_dead_server_is_left_alone(home: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (home / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{home / 'postgres'}\n")
        (home / "run.json").write_text(json.dumps({"postgres": [stranger.pid, 0.0]}))
        try:
            with Up(home, files=tmp_path) as up:
                assert datasets(up.ready())
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.destructive
def test_a_server_that_outlived_its_supervisor_is_ended(home: Path, tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys; from pathlib import Path;"
        "from labeler_ops.stack.postgres import PostgresServer, find_install;"
        "from labeler_ops.stack import processes; processes.dying_with_parent = lambda _: [];"
        "server = PostgresServer(find_install(os.environ), Path(sys.argv[1]), int(sys.argv[2]));"
        "asyncio.run(server.start()); print(server.process.pid); os._exit(0)"
    )
    port = json.loads((home / "ports.json").read_text())["postgres"][0]
    arguments = [sys.executable, "-c", script, str(home / "postgres"), str(port)]
    orphan = int(subprocess.run(arguments, capture_output=True, check=True, text=True).stdout)
    assert orphan in processes_in(home)
    with Up(home, files=tmp_path) as up:
        assert datasets(up.ready())
        assert up.pids["postgres"] != orphan
    assert processes_in(home) == []


@pytest.mark.destructive
def test_an_ephemeral_run_that_was_killed_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    with Up(None, "--ephemeral", "--no-demo", files=tmp_path / "a", TMPDIR=str(tmp_path)) as up:
        up.ready()
        up.stop(signal.SIGKILL)
        up.assert_nothing_left()
    with Up(None, "--ephemeral", "--no-demo", files=tmp_path / "b", TMPDIR=str(tmp_path)) as up:
        up.ready()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
