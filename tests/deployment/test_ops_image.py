"""The image for operators has what every command of `labeler` imports and starts; read off the code, not off a list."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.deployment import image_without_docker

ROOT = Path(__file__).parents[2]
OURS = {"proto", "service_kit", "user_gateway", "labeler_api", "labeler_ops"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Each lock with the packages whose code runs from it.
LOCKS = {"runtime.txt": OURS - {"labeler_ops"}, "ops.txt": OURS}
# Modules that are named in a text and imported later, or asked for: the first argument of these.
ASKING = {"import_module", "find_spec", "_need"}


def imported(package: str) -> Iterator[tuple[str, Path]]:
    """Every module that a package's code names, at the top or in a function; types' own imports do not run."""
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        unused = {id(inner) for node in ast.walk(tree) if _only_for_types(node) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if id(node) in unused:
                continue
            if isinstance(node, ast.Import):
                yield from ((alias.name, path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module, path
            elif isinstance(node, ast.Call) and _name(node.func) in ASKING and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value), path


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def locked(lock: str) -> set[str]:
    names = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    return {_plain(name) for name in names}


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def missing(lock: str) -> list[str]:
    """Name what is imported and stands in no line of the lock."""
    there, given = locked(lock), packages_distributions()
    wrong = []
    for package in sorted(LOCKS[lock]):
        for module, path in imported(package):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in OURS:
                continue
            if not {_plain(one) for one in given.get(top, [top])} & there:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}, which is not in requirements/{lock}")
    return wrong


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_everything_that_its_image_imports(lock: str) -> None:
    assert missing(lock) == []


def test_the_next_missing_one_would_be_found() -> None:
    """What smoke needs is what the image of the services lacks; so the check sees it there."""
    LOCKS["runtime.txt"], before = OURS, LOCKS["runtime.txt"]
    try:
        said = "\n".join(missing("runtime.txt"))
    finally:
        LOCKS["runtime.txt"] = before
    for module in ("httpx", "psutil", "matplotlib"):
        assert f"imports {module}" in said


def test_what_is_copied_is_there_and_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = image_without_docker.stages(DOCKERFILE)
    assert image_without_docker.missing_sources(found) == []
    assert {"ca-certificates", "postgresql-common", "postgresql-client-17"} <= set(
        image_without_docker.packages(found["ops"])
    )
    monkeypatch.setattr(image_without_docker, "ROOT", tmp_path)
    (tmp_path / ".dockerignore").write_text("# secrets\n*.ini\n")
    (tmp_path / "alembic.ini").touch()
    said = image_without_docker.missing_sources({"ops": found["ops"], "build": found["build"]})
    assert "stage 'ops' copies alembic.ini, which .dockerignore keeps back (*.ini)" in said
    assert "stage 'build' copies labeler_ops, which is not there" in said


def stages() -> dict[str, str]:
    """Name to text of each stage; the last one, which is built where no other is asked for, by the empty name."""
    parts = re.split(r"^FROM (.*)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    heads, bodies = parts[::2], parts[1::2]
    return {head.partition(" AS ")[2]: body for head, body in zip(heads, bodies, strict=True)}


def test_the_services_are_built_where_no_stage_is_named() -> None:
    assert re.search(r"^FROM services\n\Z", DOCKERFILE, re.MULTILINE)
    assert 'CMD ["python", "-m", "labeler_api"]' in stages()["services"]
    assert "apt-get" not in stages()["services"]
    # A builder without BuildKit builds what stands above the stage that is asked for.
    assert list(stages()) == ["tools", "build", "services", "ops-build", "ops", ""]
    assert "/opt/labeler" in stages()["ops"].partition("--from=ops-build ")[2]
    assert "requirements/ops.txt" in stages()["ops-build"]


def test_the_image_for_operators_has_the_clients_of_every_server() -> None:
    """pg_dump, pg_restore, vacuumdb and psql are in each of these packages."""
    found = image_without_docker.packages(image_without_docker.stages(DOCKERFILE)["ops"])
    assert {name for name in found if "client" in name} == {f"postgresql-client-{version}" for version in (15, 16, 17)}
    # The shell puts in what the argument says, where the argument is; in front of it is no RUN that could need it.
    assert stages()["ops"].index("ARG POSTGRESQL_CLIENTS") < stages()["ops"].index("$POSTGRESQL_CLIENTS")
    assert re.search(r"^USER \d+$", stages()["ops"], re.MULTILINE)
    # What is started by name, in this image: nothing but programs of those packages, and Python's own.
    started = {
        str(node.args[0].value)
        for path in (ROOT / "labeler_ops").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _name(node.func) == "run" and node.args
        if isinstance(node.args[0], ast.Constant) and str(node.args[0].value).startswith(("pg_", "vacuum", "psql"))
    }
    assert (
        {"pg_dump", "pg_restore", "vacuumdb"} <= started <= {"pg_dump", "pg_restore", "vacuumdb", "psql", "pg_isready"}
    )
