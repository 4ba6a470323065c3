"""The lines for Railway that handle values: each value arrives as it stands in the file."""

import re
import subprocess
from pathlib import Path

import pytest

from labeler_ops.files import write_variables
from tests.guides.railway import Railway
from tests.guides.reading import Block, Guide, guides

# A secret in base64, which ends with one sign or two, a shell's signs, and what needs no quotes.
VALUES = {
    "ONE": "c2VjcmV0IG9mIDMyIGJ5dGVzLCBpbiBiYXNlNjQgIQ=",
    "TWO": "c2VjcmV0==",
    "URL": "postgresql://labeler:a%20b@db.railway.internal:5432/railway?sslmode=require&a=b",
    "SIGNS": "a$HOME `b` \\c 'd' \"e\" #f",
    "PLAIN": "auto",
}


def _blocks(word: str) -> list[tuple[Guide, Block]]:
    return [
        (guide, block)
        for guide in guides()
        for block in guide.blocks()
        if block.place == "railway" and word in block.text and "railway variable set" in block.text
    ]


def _ran(script: str, railway: Railway, directory: Path, **environ: str) -> None:
    path = f"{railway.script.parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        check=False,
        cwd=directory,
        env={"PATH": path, **environ},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("guide", "block"), _blocks("api.env"), ids=lambda one: getattr(one, "name", ""))
def test_values_of_the_files_are_set_as_they_stand(guide: Guide, block: Block, tmp_path: Path) -> None:
    railway = Railway(tmp_path / "railway")
    for name in ("gateway.env", "api.env"):
        lines = "".join(f"{name}={value}\n" for name, value in VALUES.items())
        (tmp_path / name).write_text(f"# {name}\n{lines}")
    _ran(block.text, railway, tmp_path)
    assert railway.variables("user-gateway") == VALUES
    assert railway.variables("labeler-api") == VALUES


@pytest.mark.parametrize(("guide", "block"), _blocks("deploy.sh"), ids=lambda one: getattr(one, "name", ""))
def test_the_deployment_of_a_move_sets_every_value_an_empty_one_too(guide: Guide, block: Block, tmp_path: Path) -> None:
    """A pooler's variable of before is emptied. A script that fails there ends the move while users cannot write."""
    railway = Railway(tmp_path / "railway")
    new = write_variables(tmp_path / "environment.new", {**VALUES, "LABELER_DB_UNPOOLED_URL": ""})
    _ran(block.text, railway, tmp_path)
    _ran("./deploy.sh", railway, tmp_path, LABELER_NEW_ENVIRONMENT=str(new))
    assert railway.variables("labeler-api") == {**VALUES, "LABELER_DB_UNPOOLED_URL": ""}
    assert railway.redeployed == ["labeler-api"]


def test_both_guides_have_such_lines() -> None:
    assert {guide.name for guide, _ in _blocks("api.env")} == {"railway-setup.md", "railway-setup.ko.md"}
    assert {guide.name for guide, _ in _blocks("deploy.sh")} == {"moving-everything.md", "moving-everything.ko.md"}


@pytest.mark.parametrize("guide", guides(), ids=lambda one: one.name)
def test_no_loop_cuts_a_value_at_its_signs(guide: Guide) -> None:
    """`IFS='=' read` drops the last `=` of a value, as a key in base64 has one."""
    assert [block.line for block in guide.blocks() if re.search(r"IFS='?=", block.text)] == []
