"""A run's journal: what is done stays done, what was cut off is done again, and no password is written down."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labeler_ops.runs import Run, RunError, endpoint_name, redacted


def test_a_phase_that_ended_is_known_after_a_restart(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "move", {"source": "a"})
    with run.phase("backup") as facts:
        facts["bytes"] = 7
    again = Run.resume(tmp_path, run.id)
    assert again.facts == {"source": "a"}
    assert again.ended("backup") == {"bytes": 7}
    assert again.ended("copy") is None


def test_a_phase_that_failed_or_began_again_has_not_ended(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "move", {})
    with run.phase("copy"):
        pass
    with pytest.raises(OSError, match="no space"), run.phase("copy"):
        raise OSError("no space on postgresql://me:hunter2@host/db")
    assert Run.resume(tmp_path, run.id).ended("copy") is None
    assert "hunter2" not in (run.directory / "journal.jsonl").read_text()


def test_a_line_that_was_cut_off_did_not_happen(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "move", {})
    with run.phase("backup"):
        pass
    journal = run.directory / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-3])
    again = Run.resume(tmp_path, run.id)
    assert again.ended("backup") is None
    with again.phase("backup"):
        pass
    assert Run.resume(tmp_path, run.id).ended("backup") == {}


def test_a_killed_process_leaves_what_it_wrote(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from labeler_ops.runs import Run\n"
        "run = Run.start(Path(sys.argv[1]), 'move', {})\n"
        "with run.phase('backup') as facts: facts['done'] = True\n"
        "with run.phase('copy'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (directory,) = tmp_path.iterdir()
    run = Run.resume(tmp_path, directory.name)
    assert run.ended("backup") == {"done": True}
    assert run.ended("copy") is None
    assert run.events[-1].event == "started"


def test_an_unknown_run_names_those_that_are_there(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "move", {})
    with pytest.raises(RunError, match=run.id):
        Run.resume(tmp_path, "20260101-000000-move-1")


def test_only_the_owner_may_look_into_a_run(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "move", {})
    assert run.directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("postgresql://me:p%40ss@host:5432/db?sslmode=require", "postgresql://me:***@host:5432/db?sslmode=require"),
        ("S3_SECRET_KEY=abc123 S3_REGION=auto", "S3_SECRET_KEY=*** S3_REGION=auto"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_taken_out(text: str, plain: str) -> None:
    assert redacted(text) == plain


def test_two_urls_of_one_database_name_one_place() -> None:
    assert endpoint_name("postgresql://a:b@db.internal/labeler") == endpoint_name(
        "postgres://c@db.internal:5432/labeler?sslmode=require"
    )
