"""Documents that are generated or that list variables say what the code says."""

import re
from pathlib import Path

import msgspec
import typer
from alembic.script import ScriptDirectory
from typer.core import TyperGroup

from labeler_api.app import describe
from labeler_api.settings import Settings
from labeler_ops.cli import app
from labeler_ops.database.adopt import alembic
from user_gateway.settings import Variables

ROOT = Path(__file__).parent.parent


def test_the_openapi_document_is_current() -> None:
    committed = msgspec.json.decode((ROOT / "docs/openapi.json").read_bytes())
    assert committed == msgspec.json.decode(msgspec.json.encode(describe())), "run: labeler openapi > docs/openapi.json"


def test_the_example_names_every_variable_of_both_services() -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE))
    api = {field.name.upper() for field in msgspec.structs.fields(Settings)}
    gateway = {field.encode_name for field in msgspec.structs.fields(Variables)} - {"PORT"}
    assert api | gateway <= named


def test_the_guides_name_the_newest_revision() -> None:
    """Their sample outputs are compared but for numbers, of which a revision is one."""
    head = ScriptDirectory.from_config(alembic()).get_current_head()
    texts = {path.name: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
    told = {
        (name, revision)
        for name, text in texts.items()
        for revision in re.findall(r"(?:newest revision, |Upgraded from \d+_\d{4} to )(\d{8}_\d{4})", text)
    }
    assert {name for name, _ in told} >= {"labeler-db.md", "backup-and-restore.md", "backup-and-restore.ko.md"}
    assert {revision for _, revision in told} == {head}


def test_every_operation_says_what_it_does() -> None:
    for path, operations in describe()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], f"{method} {path}"
            assert not operation["summary"].endswith("."), f"{method} {path}"


def test_the_readme_names_every_command() -> None:
    group = typer.main.get_group(app)
    assert isinstance(group, TyperGroup)
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `labeler_ops/`")]
    assert set(group.commands) == set(re.findall(r"`([a-z-]+)`", line)) - {"labeler"}


def test_the_glossary_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "docs/glossary.md").read_text().splitlines()) <= 40


def test_the_index_of_decisions_has_every_decision() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    titles = {page.name: page.read_text().partition("\n")[0].removeprefix("# ") for page in pages}
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = [line for line in index.splitlines() if line.startswith("- ")]
    assert listed == [f"- [{title}]({name})" for name, title in titles.items()]
