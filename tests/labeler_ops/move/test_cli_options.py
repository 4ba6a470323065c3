"""What is looked at before a move begins, since it would fail when users can only read."""

from pathlib import Path

import pytest
import typer

from labeler_ops.command_result import WRONG_USE
from labeler_ops.move.cli_options import ExecutionOptions


@pytest.mark.parametrize("command", ["cp a b", "./deploy.sh", "./deploy.sh --now", "FOO=./x bash deploy.sh", "'./a b'"])
def test_a_command_that_can_start_is_taken(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deploy.sh").write_text("#!/bin/sh\n")
    Path("deploy.sh").chmod(0o755)
    assert ExecutionOptions(deploy=command).run_options().deployment.deploy == command


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("./deploy.sh", "--deploy: ./deploy.sh may not be executed: chmod +x ./deploy.sh"),
        ("./dpeloy.sh --now", "--deploy: there is no file ./dpeloy.sh"),
    ],
)
def test_a_command_that_cannot_start_is_refused_at_once(
    command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deploy.sh").write_text("#!/bin/sh\n")
    with pytest.raises(typer.Exit) as refused:
        ExecutionOptions(deploy=command).run_options()
    assert refused.value.exit_code == WRONG_USE
    assert said in capsys.readouterr().err
