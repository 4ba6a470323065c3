"""What tests share stands in tests/fixtures: no test has to be read to understand another folder's."""

from pathlib import PurePosixPath

from tests.architecture.source import ROOT, Module, modules

SHARED = PurePosixPath("tests/fixtures")


def home_of(name: str) -> PurePosixPath | None:
    """The folder of a module or a name in it; None for a folder, which has nothing in it but modules."""
    path = PurePosixPath(name.replace(".", "/"))
    for found in (path, path.parent):
        if (ROOT / f"{found}.py").is_file():
            return found.parent
    return None


def borrowed(module: Module) -> list[str]:
    """What a module imports of a folder that is neither its own, nor one around it, nor the shared one."""
    own = PurePosixPath(module.where).parent
    homes = {name: home_of(name) for name in module.imports if name.startswith("tests.")}
    foreign = [
        name
        for name, home in homes.items()
        if home is not None and home != own and home not in own.parents and not home.is_relative_to(SHARED)
    ]
    return [f"{module.where} imports {name}: move it to {SHARED}" for name in sorted(foreign)]


def test_nothing_is_imported_from_another_tests_folder() -> None:
    assert [line for module in modules("tests") for line in borrowed(module)] == []


def test_the_next_one_would_be_found() -> None:
    """As seen from a test of another folder, a helper of these tests is borrowed."""
    assert home_of("tests.architecture.source.modules") == PurePosixPath("tests/architecture")
    assert home_of("tests.fixtures.api.Api") == SHARED
    assert home_of("tests.fixtures") is None
