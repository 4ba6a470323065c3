"""A backup that is known to be good: dumped, hashed, restored into a scratch database, and compared row by row."""

import asyncio
import hashlib
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg
import msgspec

from labeler_ops.backup import db_settings
from labeler_ops.backup.clients import Clients
from labeler_ops.connecting import connected
from labeler_ops.database.verify.equality import DatabaseComparison, compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.files import sync
from labeler_ops.reporter import Progress

JOBS = 4  # connections of a dump or a restore; more gain nothing once the largest table is the last one at work
# Level 1 of gzip: twice as fast as the default for a tenth more bytes, and any pg_restore reads it.
# Owners and grants are in every dump, and restored where they are asked for.
_DUMP = ("--format=directory", "--compress=1", "--encoding=UTF8")
# The switch of maintenance mode is each side's own.
_LEFT_OUT = ("--exclude-table-data=public.maintenance",)


class DumpManifest(msgspec.Struct):
    """What a dump consists of: file names and their SHA-256, as `sha256sum --check` wants them in `SHA256SUMS`."""

    files: dict[str, str]
    bytes: int
    seconds: float


class RestoreTest(msgspec.Struct):
    """A restore that was tried: how long it took, and what the comparison with the source said."""

    restore_seconds: float
    report: DatabaseComparison


@asynccontextmanager
async def snapshot(url: str) -> AsyncIterator[str]:
    """Hold one moment of a database, for a dump and a comparison to look at alike."""
    async with (
        connected(url, settings={"application_name": "labeler move"}) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield await connection.fetchval("SELECT pg_export_snapshot()")


async def dump(
    clients: Clients,
    url: str,
    into: Path,
    *,
    as_of: str | None = None,
    jobs: int = JOBS,
    on_progress: Progress | None = None,
    kept: bool = True,
) -> DumpManifest:
    """Write a dump and its hashes; on disk when this returns, unless it is not `kept` longer than this process.

    Raises DatabaseError when pg_dump fails, or the directory is there already.
    """
    if await asyncio.to_thread(into.exists):
        raise DatabaseError(f"{into} is there already: a dump is never written over another")
    started = perf_counter()
    size = await database_size(url)
    # A place of its own for each attempt: the processes of one that was killed may write for a moment longer.
    partial = into.with_name(f"{into.name}.partial-{secrets.token_hex(3)}")
    arguments = [*_DUMP, *_LEFT_OUT, f"--jobs={jobs}", f"--file={partial}", *([] if kept else ["--no-sync"])]
    if as_of:
        arguments.append(f"--snapshot={as_of}")
    progress = (lambda: on_progress(_bytes_in(partial), size)) if on_progress else None
    try:
        await asyncio.to_thread(remove, into)
        await clients.run("pg_dump", *arguments, url=url, progress=progress)
        files = await asyncio.to_thread(_hashes, partial)
        sums = "".join(f"{digest}  {name}\n" for name, digest in files.items())
        (partial / "SHA256SUMS").write_text(sums)
        partial.rename(into)
        if kept:  # before the journal says that there is a backup
            await asyncio.to_thread(sync, into / "SHA256SUMS", into, into.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # a disk that it filled has room again
        raise
    return DumpManifest(files, _bytes_in(into), round(perf_counter() - started, 3))


def remove(dump: Path) -> None:
    """Remove a dump, and what attempts that were cut off left of it."""
    for path in (dump, *dump.parent.glob(f"{dump.name}.partial-*")):
        shutil.rmtree(path, ignore_errors=True)


async def check(directory: Path) -> None:
    """Compare a dump with its hashes. Raises DatabaseError with the name of every file that is not what it was."""
    lines = (directory / "SHA256SUMS").read_text().splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = await asyncio.to_thread(_hashes, directory)
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise DatabaseError(f"the dump in {directory} is damaged: {', '.join(wrong)}")


async def restore(
    clients: Clients,
    directory: Path,
    url: str,
    *,
    jobs: int = JOBS,
    on_progress: Progress | None = None,
    size: int = 0,
    owners: bool = False,
) -> float:
    """Restore a dump into an empty database; seconds. Raises DatabaseError at the first error.

    With `owners` as a superuser and with the source's owners and grants, whose roles have to be there.
    """
    started = perf_counter()
    contents = await asyncio.to_thread(_table_of_contents, clients, directory)
    watch = asyncio.create_task(_watch(url, size, on_progress)) if on_progress else None
    try:
        await clients.run(
            "pg_restore",
            f"--jobs={jobs}",
            "--exit-on-error",
            *(() if owners else ("--no-owner", "--no-acl")),
            f"--use-list={contents}",
            f"--dbname={urlsplit(url).path.removeprefix('/')}",
            str(directory),
            url=url,
        )
    finally:
        if watch:
            watch.cancel()
    return round(perf_counter() - started, 3)


async def restore_test(
    clients: Clients, directory: Path, source: str, as_of: str, *, at: str, jobs: int = JOBS
) -> RestoreTest:
    """Restore a dump into a scratch database on the server of `at`, compare it with its moment, and drop it again."""
    name = f"labeler_restore_test_{secrets.token_hex(4)}"
    scratch = urlsplit(at)._replace(path=f"/{name}").geturl()
    await _execute(at, f'CREATE DATABASE "{name}" TEMPLATE template0 {await _locale(source)}')
    try:
        seconds = await restore(clients, directory, scratch, jobs=jobs)
        await db_settings.carry(source, scratch)
        report = await compare_databases(source, scratch, as_of=as_of)
    finally:
        await _execute(at, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    return RestoreTest(seconds, report)


def _table_of_contents(clients: Clients, directory: Path) -> Path:
    """Write the list of what is restored: everything but the fence of a source in maintenance mode."""
    listed = subprocess.run(
        [clients.bin_dir / "pg_restore", "--list", str(directory)], capture_output=True, text=True, check=True
    ).stdout
    kept = [line for line in listed.splitlines() if "maintenance_fence" not in line]
    path = directory.with_name(f"{directory.name}.list")
    path.write_text("\n".join(kept) + "\n")
    return path


async def restore_test_place(*urls: str, major: int) -> str | None:
    """Return the first of the servers, none older than the tools' major, where our role may create a database."""
    for url in urls:
        async with connected(url) as connection:
            may = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            if connection.get_server_version().major >= major and await connection.fetchval(may):
                return url
    return None


async def _locale(url: str) -> str:
    async with connected(url) as connection:
        return str(
            await connection.fetchval(
                "SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate,"
                " datctype) FROM pg_database WHERE datname = current_database()"
            )
        )


async def _execute(url: str, sql: str) -> None:
    async with connected(url, "the restore test cannot be made") as connection:
        try:
            await connection.execute(sql)
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseError("the restore test needs a role that may create databases") from error


async def database_size(url: str) -> int:
    """How large a database is, in bytes."""
    async with connected(url) as connection:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))


async def _watch(url: str, size: int, on_progress: Progress) -> None:
    """Tell how large the restored database has become; a restore itself says nothing."""
    async with connected(url) as connection:
        while True:
            on_progress(await connection.fetchval("SELECT pg_database_size(current_database())"), size)
            await asyncio.sleep(0.5)


def _bytes_in(directory: Path) -> int:
    if not directory.is_dir():
        return 0
    return sum(path.stat().st_size for path in directory.iterdir())


def _hashes(directory: Path) -> dict[str, str]:
    return {path.name: _sha256(path) for path in sorted(directory.iterdir()) if path.name != "SHA256SUMS"}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
