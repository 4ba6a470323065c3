"""The server that the stack and the tests run."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import psutil
import pytest

from labeler_ops.errors import StackError
from labeler_ops.stack import unprivileged
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresInstall, PostgresServer, find_install


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    server = PostgresServer(find_install(os.environ), tmp_path / "data", free_port())
    await server.initialise()
    yield server
    await server.stop()


async def run(server: PostgresServer, sql: str) -> object:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_what_was_committed_survives_a_stop_and_a_crash(server: PostgresServer) -> None:
    await server.start()
    await run(server, "CREATE TABLE t AS SELECT 1 AS n")
    await server.stop()
    await server.start()
    await run(server, "INSERT INTO t VALUES (2)")
    assert server.process is not None
    server.process.send(signal.SIGKILL)
    await server.process.ended(10)
    await server.start()
    assert await run(server, "SELECT sum(n) FROM t") == 3


async def test_a_password_is_needed(server: PostgresServer) -> None:
    await server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.dsn("postgres", server.superuser, "wrong"))


async def test_initialising_again_changes_nothing(server: PostgresServer) -> None:
    await server.start()
    await run(server, "CREATE TABLE t AS SELECT 1 AS n")
    await server.stop()
    await server.initialise()
    await server.start()
    assert await run(server, "SELECT n FROM t") == 1


async def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    server = PostgresServer(find_install(os.environ), tmp_path / "data", free_port(), durable=False)
    leave_half_a_cluster(tmp_path / "data.new")
    await server.initialise()
    await server.start()
    try:
        assert await run(server, "SELECT 1") == 1
    finally:
        await server.stop()
    assert names_in(tmp_path) == {"data", "data.log"}


async def test_a_server_that_cannot_start_says_why(server: PostgresServer) -> None:
    spoil(server)
    with pytest.raises(StackError, match=r"did not start[\s\S]*nonsense"):
        await server.start()


async def test_stopping_leaves_no_process(server: PostgresServer) -> None:
    await server.start()
    assert server.process is not None
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    await server.stop()
    assert not [process for process in family if process.is_running()]


async def test_it_runs_where_user_namespaces_are_off(without_unshare: None, directory_for_everybody: Path) -> None:
    """As root it runs as another account then, to which the data is given."""
    server = PostgresServer(
        install_for_everybody(directory_for_everybody), directory_for_everybody / "data", free_port(), durable=False
    )
    await server.initialise()
    await server.start()
    try:
        assert await run(server, "SELECT 1") == 1
        assert server.process is not None
        assert psutil.Process(server.process.pid).uids().effective != 0
    finally:
        await server.stop()


def test_a_directory_that_the_other_account_cannot_enter_is_named(without_unshare: None, tmp_path: Path) -> None:
    install = find_install({})
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    expected = pytest.raises(StackError, match=f"cannot enter {private}") if os.geteuid() == 0 else nullcontext()
    with expected:
        assert unprivileged.prefix(private / "data", install.bin_dir) == []


@pytest.fixture
def without_unshare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("setpriv", "test", "ldd", "sh"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(programs))


@pytest.fixture
def directory_for_everybody() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def install_for_everybody(directory: Path) -> PostgresInstall:
    """Programs that any account may run: those in .venv may be under a home that others cannot enter."""
    found = find_install({"LABELER_POSTGRES": "wheel17"})
    shutil.copytree(found.bin_dir.parent, directory / "programs")
    return PostgresInstall(directory / "programs" / "bin", found.version, found.source)


def leave_half_a_cluster(directory: Path) -> None:
    directory.mkdir()
    (directory / "rubbish").touch()


def spoil(server: PostgresServer) -> None:
    (server.data_dir / "postgresql.conf").write_text("shared_buffers = nonsense\n")


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}
