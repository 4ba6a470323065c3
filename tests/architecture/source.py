"""The project's code as data: modules and what they import."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("proto", "service_kit", "user_gateway", "labeler_api", "labeler_ops", "tests")

# The order of features: what stands to the left may be imported from the right, never the other way.
FEATURES = (
    "health",
    "auth",
    "users",
    "platform",
    "members",
    "projects",
    "datasets",
    "classes",
    "images",
    "locks",
    "annotations",
    "versions",
    "imports",
    "invitations",
    "storage",
    "deletion",
)

# What every feature uses, and which knows no feature.
ROOMS = (
    "db",
    "http",
    "idempotency",
    "jobs",
    "limits",
    "migrations",
    "object_store",
    "process",
    "resilience",
    "telemetry",
    "text",
    "tokens",
    "user_directory",
    "workers",
)


@dataclass(frozen=True)
class Module:
    """One .py file; `name` is its dotted name."""

    path: Path

    @property
    def where(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        return self.where.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def feature(self) -> str | None:
        """The feature that this belongs to, if any."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and parts[0] == "labeler_api" and parts[1] in FEATURES else None

    @property
    def is_store(self) -> bool:
        """Whether this holds SQL: store.py, or a part of one that was split by use case."""
        return _is_store(self.path.stem)

    @property
    def layer(self) -> str:
        """`store` for what holds SQL, else the name of the file, such as `service` or `routes`."""
        return "store" if self.is_store else self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.where)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Dotted names of everything imported, those inside functions included; `from a import b` gives a and a.b."""
        return frozenset(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        start = package[: len(package) - node.level + 1]
        return ".".join([*start, *([node.module] if node.module else [])])

    def uses(self, package: str) -> bool:
        """Whether it imports `package` or anything in it."""
        return any(name == package or name.startswith(f"{package}.") for name in self.imports)


def _is_store(stem: str) -> bool:
    return "store" in stem.split("_")


def stores_used(module: Module) -> set[str]:
    """The features whose stores a module imports."""
    parts = [name.split(".") for name in module.imports if name.startswith("labeler_api.")]
    return {part[1] for part in parts if part[1] in FEATURES and any(_is_store(stem) for stem in part[2:])}


def modules(*packages: str) -> list[Module]:
    """Every module that people write: all of the project's, or those of some packages; generated code aside."""
    found = [module for package in packages or PACKAGES for module in _written(package)]
    assert found, packages
    return found


@cache  # the tests of a session share what was read and parsed
def _written(package: str) -> tuple[Module, ...]:
    return tuple(Module(path) for path in sorted((ROOT / package).rglob("*.py")) if "_pb2" not in path.name)


def offenders(found: list[Module], package: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
    """Where `package` is imported outside the allowed modules and packages."""
    return [
        module.where
        for module in found
        if module.uses(package)
        and not any(module.name == name or module.name.startswith(f"{name}.") for name in allowed)
    ]
