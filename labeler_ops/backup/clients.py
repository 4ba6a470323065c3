"""pg_dump and pg_restore of the right major version, run with the password out of sight."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from labeler_ops.errors import DatabaseError, StackError
from labeler_ops.runs import redacted
from labeler_ops.stack.postgres_install import find_install
from labeler_ops.stack.processes import dying_with_parent

_DEBIAN = Path("/usr/lib/postgresql")
# How often a running tool's progress is looked at, seconds: a bar needs no more.
_POLL_SECONDS = 0.2
_LINES_KEPT = 20


@dataclass(frozen=True)
class Clients:
    """The programs of one PostgreSQL."""

    bin_dir: Path
    major: int

    async def run(self, program: str, *arguments: str, url: str, progress: Callable[[], None] | None = None) -> None:
        """Run one to its end. Raises DatabaseError with what it said last when it fails; stops it when cancelled."""
        process = await asyncio.create_subprocess_exec(
            *dying_with_parent(signal.SIGTERM),  # one that wrote on would meet the next attempt
            self.bin_dir / program,
            *arguments,
            env={**os.environ, **environment(url)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said = asyncio.create_task(process.communicate())
            while not said.done():
                await asyncio.wait({said}, timeout=_POLL_SECONDS)
                if progress:
                    progress()
            lines = (await said)[1].decode(errors="replace").splitlines()[-_LINES_KEPT:]
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if process.returncode:
            raise DatabaseError(redacted(f"{program} {_how(process.returncode)}:\n" + "\n".join(lines)))


def _how(code: int) -> str:
    """Say how a program failed: a full quota or too little memory come as a signal and without a word."""
    if code > 0:
        return f"failed with {code}"
    return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"


def find(major: int) -> Clients:
    """Find the client programs of one major version. Raises DatabaseError with what to install.

    pg_dump reads older servers, and refuses newer ones; what pg_dump 17 writes, servers up to 16 do not take
    (`SET transaction_timeout`). So the client's version is the target's.
    """
    found = {clients.major: clients for clients in _installed(major)}
    if major not in found:
        raise DatabaseError(
            f"pg_dump and pg_restore of PostgreSQL {major} are needed, the target's version; here there is "
            f"{', '.join(map(str, sorted(found))) or 'none'}. On Debian: apt-get install postgresql-client-{major}"
        )
    return found[major]


def _installed(major: int) -> Sequence[Clients]:
    places = [Path(directory) for directory in os.environ.get("PATH", "").split(os.pathsep) if directory]
    places += sorted(_DEBIAN.glob("*/bin"))
    with suppress(StackError):  # the system's own are looked at above; the embedded one is an addition
        places.append(find_install(os.environ, major=major).bin_dir)
    found = [(place, _major(place / "pg_dump")) for place in places if shutil.which("pg_restore", path=str(place))]
    return [Clients(place, major) for place, major in found if major]


def _major(program: Path) -> int | None:
    if not program.is_file():
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"(\d+)\.", said)
    return int(number[1]) if number else None


def environment(url: str) -> Mapping[str, str]:
    """Libpq's variables for a URL: a password on a command line is everybody's who may list processes."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    variables = {
        "PGHOST": options.get("host", parts.hostname or ""),
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
        "PGSSLMODE": options.get("sslmode", "prefer"),
        "PGCONNECT_TIMEOUT": "20",
        "PGAPPNAME": "labeler move",
        # What the person's own configuration may say must not decide how the copy is written.
        "PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=60000 -c idle_in_transaction_session_timeout=0",
    }
    if root := options.get("sslrootcert"):
        variables["PGSSLROOTCERT"] = root
    return variables
