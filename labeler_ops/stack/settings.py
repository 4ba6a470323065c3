"""What `labeler up` was asked for: options of the command line and variables of the environment."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from labeler_api.settings import SettingsError, database_url
from labeler_ops.stack.errors import StackError
from labeler_ops.storage.access import StorageAccess

DEFAULT_HOME = Path(".labeler")
_API_PORT = 8001
_GATEWAY_PORT = 50051
_LAST_PORT = 65_535


@dataclass(frozen=True)
class StackSettings:
    """Immutable; `given` are databases (labeler, users, platform) that exist and are used as they are."""

    home: Path
    ephemeral: bool
    demo: bool
    ready_file: Path | None
    api_port: int
    gateway_port: int
    given: Mapping[str, str]
    given_storage: StorageAccess | None
    environ: Mapping[str, str]

    @property
    def embeds_postgres(self) -> bool:
        """Whether at least one database is ours."""
        return len(self.given) < len(_DATABASES)


_DATABASES = {"labeler": "LABELER_DB", "users": "USER_DB", "platform": "PLATFORM_DB"}


def load(
    *,
    home: Path | None = None,
    ephemeral: bool = False,
    demo: bool = True,
    ready_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> StackSettings:
    """Read the settings. Raises StackError naming the variable that is wrong and the form expected."""
    chosen = home or Path(environ.get("LABELER_HOME") or DEFAULT_HOME)
    return StackSettings(
        home=chosen.expanduser().absolute(),
        ephemeral=ephemeral,
        demo=demo,
        ready_file=ready_file.expanduser().absolute() if ready_file else None,
        api_port=_port(environ, "API_PORT", _API_PORT),
        gateway_port=_port(environ, "USER_GATEWAY_PORT", _GATEWAY_PORT),
        given=_given_databases(environ),
        given_storage=_given_storage(environ),
        environ=dict(environ),
    )


def shield_embedded(settings: StackSettings, environ: MutableMapping[str, str]) -> None:
    """Take PostgreSQL's own variables (PGSSLMODE, PGHOST …) out of the environment when a database is embedded.

    They are meant for other servers, and every client library heeds them.
    """
    if settings.embeds_postgres:
        for name in [name for name in environ if name.startswith("PG")]:
            del environ[name]


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        raise StackError(
            f"{variable}: expected a port number from 1 to {_LAST_PORT}, or 0 for any free one; got {text!r}"
        )
    return int(text)


def _given_databases(environ: Mapping[str, str]) -> dict[str, str]:
    given = {}
    for name, prefix in _DATABASES.items():
        if environ.get(f"{prefix}_URL") or environ.get(f"{prefix}_HOST"):
            try:
                given[name] = database_url(environ, prefix)
            except SettingsError as error:
                raise StackError(str(error)) from error
    return given


def _given_storage(environ: Mapping[str, str]) -> StorageAccess | None:
    endpoint = environ.get("S3_ENDPOINT")
    if not endpoint:
        return None
    if "://" not in endpoint:
        secure = environ.get("S3_USE_SSL", "").lower() in {"1", "true", "yes", "on"}
        endpoint = f"{'https' if secure else 'http'}://{endpoint}"
    if not urlsplit(endpoint).hostname:
        raise StackError(f"S3_ENDPOINT: expected http://host:port or https://host, got {endpoint!r}")
    missing = [name for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY") if not environ.get(name)]
    if missing:
        raise StackError(f"{' and '.join(missing)}: missing; S3_ENDPOINT is given, so its keys are needed too")
    return StorageAccess(
        endpoint,
        environ["S3_ACCESS_KEY"],
        environ["S3_SECRET_KEY"],
        environ.get("S3_REGION") or "us-east-1",
        environ.get("S3_BUCKET_DATASETS") or "datasets",
        environ.get("S3_BUCKET_ANNOTATIONS") or "annotations",
    )
