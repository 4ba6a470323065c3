"""What a comment, a docstring or a page names exists: a reader who follows it arrives somewhere.

That is `module.name`, a file, "see name", and "`name` in `file.py`".
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.architecture.source import ROOT, Module, modules

_CODE = ("labeler_api", "labeler_ops", "user_gateway", "service_kit")
_DOTTED = re.compile(r"`([a-z_][a-z_0-9]*(?:\.[A-Za-z_]\w*)+)`")
# Names of files, which have a dot as well, and those of their parameters that are called like a folder.
_FILES = {"py", "sql", "txt", "json", "html", "xml", "png", "jpg", "md", "yaml"}
_PARAMETERS = {"limits.total_bytes"}
_SOURCES = ("*.py", "*.sql", "*.md", "*.toml", "*.svg", "*.sh", "*.proto")
_FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|sql|md|toml|svg|sh|proto))(?:::\w+)?`")
# A file without backticks, in a comment or a docstring.
_ENDS = r"\.(?:py|sql|md|toml|svg|sh|proto)(?![\w/*`-]|\.\w)"
_PLAIN_FILE = re.compile(rf"(?<![\w./*{{}}<>:`-])((?:[\w-]+/)*[a-z_][\w-]*{_ENDS})")
# How the files end that protoc makes, and what a new revision of the schema is called.
_FORMS = {"_pb2_grpc.py", "YYYY_MM_DD_HHMM_what_it_does.py"}
# "see" and one name: in backticks, or with a character that no word has. What begins with pg_ is PostgreSQL's.
_SEE = re.compile(r"\b[Ss]ee (?!`?pg_)(?:`([A-Za-z_]\w*)`|([A-Za-z]+(?:[._][A-Za-z0-9_]+)+|_\w+))(?=[).,;:\s]|$)")
_PLACED = re.compile(r"`([A-Za-z_][\w.]*)` (?:in |\()`([\w./-]+\.(?:py|sql|toml))`")


@cache
def _names() -> dict[str, set[str]]:
    """What each module or folder has, by its last name: functions, classes, variables, attributes, files."""
    found: dict[str, set[str]] = {}
    for module in modules(*_CODE):
        path = module.path.parent if module.path.stem == "__init__" else module.path
        found.setdefault(path.stem, set()).update(_defined(module))
    for package in _CODE:
        for file in (ROOT / package).rglob("*"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return found


def _defined(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=asname):
                yield asname or name.partition(".")[0]


def missing(text: str) -> Iterator[str]:
    """The dotted names in a text that lead from a module or folder of ours to nothing."""
    for dotted in _DOTTED.findall(text):
        parts = dotted.split(".")
        if parts[-1] in _FILES or dotted in _PARAMETERS:
            continue
        if any(there in _names() and name not in _names()[there] for there, name in pairwise(parts)):
            yield dotted


@cache
def _sources() -> tuple[str, ...]:
    skipped = {".venv", ".git", "node_modules"}
    found = (path.relative_to(ROOT) for form in _SOURCES for path in ROOT.rglob(form))
    return tuple(path.as_posix() for path in found if skipped.isdisjoint(path.parts))


def missing_files(text: str) -> Iterator[str]:
    """The files in backticks that are nowhere: a name may leave out the folders before it."""
    for name in _FILE.findall(text):
        if name not in _FORMS and not any(f"/{path}".endswith(f"/{name}") for path in _sources()):
            yield name


def prose(module: Module) -> str:
    """The comments of a module, and its docstrings: any string that stands for itself."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type == tokenize.COMMENT
    ]
    strings = [
        node.value.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return "\n".join((*comments, *strings))


def missing_plain_files(text: str) -> Iterator[str]:
    """The files without backticks that are nowhere: a name may leave out the folders before it."""
    for name in _PLAIN_FILE.findall(text):
        if not any(f"/{path}".endswith(f"/{name}") for path in _sources()):
            yield name


def missing_after_see(text: str) -> Iterator[str]:
    """What "see" names and no module, class, function, variable, file or folder is called."""
    for quoted, plain in _SEE.findall(text):
        *modules_, name = (quoted or plain).split(".")
        homes = [_names().get(home, set()) for home in modules_[-1:]] or [*_names().values(), set(_names())]
        if not any({name, name.lower()} & home for home in homes):
            yield quoted or plain


def misplaced(text: str) -> Iterator[str]:
    """Where "`name` in `file`" is said and the file does not have the name."""
    for name, file in _PLACED.findall(text):
        paths = [path for path in _sources() if f"/{path}".endswith(f"/{file}")]
        if not any(re.search(rf"\b{name.rpartition('.')[2]}\b", (ROOT / path).read_text()) for path in paths):
            yield f"{name} in {file}"


def _written() -> list[Module]:
    """A migration says what was there when it was written."""
    return [module for module in modules(*_CODE) if ".migrations.versions." not in module.name]


def _pages() -> list[Path]:
    return sorted(page for folder in ("", "docs/", "docs/decisions/") for page in ROOT.glob(f"{folder}*.md"))


def test_names_in_comments_exist() -> None:
    assert [f"{module.where}: {dotted}" for module in _written() for dotted in missing(module.text)] == []


def test_files_in_comments_exist() -> None:
    assert [f"{module.where}: {name}" for module in _written() for name in missing_files(module.text)] == []


def test_files_without_backticks_in_comments_exist() -> None:
    """In a page they are the words of a command or of a table, and `test_pages.py` reads those."""
    assert [f"{module.where}: {name}" for module in _written() for name in missing_plain_files(prose(module))] == []


def test_files_in_pages_exist() -> None:
    assert [f"{page.name}: {name}" for page in _pages() for name in missing_files(page.read_text())] == []


def test_what_a_comment_says_to_see_exists() -> None:
    assert [f"{module.where}: {name}" for module in _written() for name in missing_after_see(module.text)] == []


def test_a_page_finds_names_where_they_are() -> None:
    found = [(page, _PLACED.findall(page.read_text())) for page in _pages()]
    assert len(dict(found)[ROOT / "CONTRIBUTING.md"]) > 20
    assert [f"{page.name}: {wrong}" for page in _pages() for wrong in misplaced(page.read_text())] == []


def test_a_name_that_went_is_found() -> None:
    assert list(missing("as `ledger.logged` does, and `ledger.written`; see `image_locks.leases`, `report.txt`")) == [
        "ledger.written",
        "image_locks.leases",
    ]


def test_a_file_that_went_is_found() -> None:
    text = "`lease.py`, `image_locks/lease.py`, `docs/access.md`, `locks/lease.py`, `leases.py`, `data.yaml`"
    assert list(missing_files(text)) == ["locks/lease.py", "leases.py"]


def test_a_file_without_backticks_that_went_is_found() -> None:
    text = "see http/client_address.py; only job_queue.py does, lease.py says. `of.py`, *.md, image_locks/lease.py"
    assert list(missing_plain_files(text)) == ["http/client_address.py", "job_queue.py"]


def test_what_is_not_to_be_seen_is_found() -> None:
    text = "(see page_tag), see `lease.LIVE`, see `Role`, see `Rolle`, see lease.LIVES; see whether it is there"
    assert list(missing_after_see(text)) == ["page_tag", "Rolle", "lease.LIVES"]


def test_a_name_in_another_file_is_found() -> None:
    text = "`LIVE` in `labeler_api/locks/image_locks/lease.py`, `LIVE` in `labeler_api/locks/image_locks/routes.py`"
    assert list(misplaced(text)) == ["LIVE in labeler_api/locks/image_locks/routes.py"]
