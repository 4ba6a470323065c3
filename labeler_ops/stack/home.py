"""The directory where the stack keeps its data, secrets, ports and logs (`.labeler/`)."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labeler_ops.errors import StackError
from labeler_ops.files import write_variables, write_whole

_SECRET_NAMES = (
    "postgres_superuser",
    "labeler",
    "user_readonly",
    "platform_readonly",
    "jwt_secret_key",
    "user_gateway_token",
    "media_link_key",
    "s3_access_key",
    "s3_secret_key",
)


class Home:
    """Paths and small files of one home directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.postgres_data = root / "postgres"
        self.storage_data = root / "storage"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process. Raises StackError when another `labeler up` has it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"{self.root} cannot be made ({error.strerror}): choose another --home") from error
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = _read(lock.name)
                raise StackError(
                    f"{self.root} is in use by `labeler up` (pid {holder or 'unknown'}):"
                    " stop that one, or start beside it with --home DIR, API_PORT=0 and USER_GATEWAY_PORT=0"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def postgres_major(self) -> int | None:
        """Read which PostgreSQL made the data; None when there is none yet."""
        try:
            return int((self.postgres_data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def log(self, part: str) -> Path:
        """Give the path of a part's log."""
        return self.logs / f"{part}.log"

    def secrets(self) -> dict[str, str]:
        """Read the secrets, made at the first start. Raises StackError when they do not fit the data."""
        path = self.root / "secrets.json"
        known = self._read_json(path)
        if not known and (self.postgres_data / "PG_VERSION").exists():
            raise StackError(
                f"{path} is gone, and the data in {self.root} needs it: put it back, or start anew with another --home"
            )
        if not set(_SECRET_NAMES) <= known.keys():
            known = {name: known.get(name) or secrets.token_urlsafe(36) for name in _SECRET_NAMES}
            write_json(path, known)
        return known

    def recall(self, name: str) -> dict[str, Any]:
        """Read what an earlier start remembered under `name`; empty when there is nothing, or nothing readable."""
        try:
            return self._read_json(self.root / f"{name}.json")
        except StackError:
            return {}

    def remember(self, name: str, value: dict[str, Any]) -> None:
        """Write something small down for the next start."""
        write_json(self.root / f"{name}.json", value)

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Write the variables with which other programs reach this system, for a shell: `set -a; . environment`."""
        write_variables(self.root / "environment", variables)

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            value = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StackError(
                f"{path} cannot be read ({error}): put it back as it was, or start anew with another --home"
            ) from error
        return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON as `write_private` writes."""
    write_private(path, json.dumps(value, indent=2))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; a reader sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def _read(name: str) -> str:
    try:
        return Path(name).read_text().strip()
    except OSError:
        return ""
