"""Nothing lies about that nobody uses: leftovers of merges, settings that nobody reads, names that nobody mentions."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from labeler_api.settings import Settings
from user_gateway.settings import Variables

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("labeler_api", "labeler_ops", "user_gateway", "service_kit")
_WORD = re.compile(r"[A-Za-z_]\w*")

# Called by a library under their names: Alembic.
CALLED_BY_NAME = {"upgrade", "downgrade", "revision", "down_revision", "branch_labels", "depends_on"}


def _sources(*folders: str) -> dict[Path, str]:
    return {
        path: path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py") if "pb2" not in path.name
    }


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.decorator_list:  # a decorator may hand it to somebody: a command, a hook
                yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_leftover_of_a_merge_or_an_editor() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in tracked if re.search(r"\.(orig|rej|bak|swp|tmp)$|~$", name)] == []


def test_every_setting_is_read() -> None:
    text = {
        "labeler_api": "\n".join(text for path, text in _sources("labeler_api").items() if path.name != "settings.py"),
        "user_gateway": "\n".join(_sources("user_gateway").values()),
    }
    for package, settings in (("labeler_api", Settings), ("user_gateway", Variables)):
        fields = [field.name for field in msgspec.structs.fields(settings)]
        unread = [name for name in fields if not re.search(rf"\.{name}\b", text[package])]
        own = (ROOT / package / "settings.py").read_text()
        assert [n for n in unread if not re.search(rf"self\.{n}\b|settings\.{n}\b", own)] == []


def test_every_name_at_the_top_of_a_module_is_used() -> None:
    sources = _sources(*PACKAGES, "tests", "benchmarks")
    mentioned = Counter(word for text in sources.values() for word in _WORD.findall(text))
    for name in ("pyproject.toml", "Makefile", "Dockerfile", "railway.toml", "tests/fuzz/schemathesis.toml"):
        mentioned.update(_WORD.findall((ROOT / name).read_text()))
    unused = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in sources.items()
        if path.relative_to(ROOT).parts[0] in PACKAGES
        for name in _defined(ast.parse(text))
        if mentioned[name] == 1 and name not in CALLED_BY_NAME and not name.startswith("__")
    ]
    assert unused == []
