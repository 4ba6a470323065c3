"""What `labeler up` was asked for: options of the command line and variables of the environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labeler_api import settings as api_settings
from labeler_api.settings import database_url
from labeler_ops.errors import StackError
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.store_variables import read_store
from service_kit.settings import SettingsError

DEFAULT_HOME = Path(".labeler")
_API_PORT = 8001
_GATEWAY_PORT = 50051
_LAST_PORT = 65_535


@dataclass(frozen=True)
class StackSettings:
    """Immutable.

    `given` are databases (labeler, users, platform) that exist and are used as they are; `environ` is what the parts
    inherit.
    """

    home: Path
    ephemeral: bool
    demo: bool
    ready_file: Path | None
    api_port: int
    gateway_port: int
    given: Mapping[str, str]
    given_storage: StorageAccess | None
    origins: Sequence[str]
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
    given = _given_databases(environ)
    return StackSettings(
        home=chosen.expanduser().absolute(),
        ephemeral=ephemeral,
        demo=demo,
        ready_file=ready_file.expanduser().absolute() if ready_file else None,
        api_port=_port(environ, "API_PORT", _API_PORT),
        gateway_port=_port(environ, "USER_GATEWAY_PORT", _GATEWAY_PORT),
        given=given,
        given_storage=_given_storage(environ),
        origins=_api_settings(environ).origins,
        environ=_shielded(environ, embeds_postgres=len(given) < len(_DATABASES)),
    )


def _shielded(environ: Mapping[str, str], *, embeds_postgres: bool) -> dict[str, str]:
    """Give the environment without what is meant for servers elsewhere, for our own process and the parts.

    PostgreSQL's own variables (PGSSLMODE, PGHOST …) go when a database is embedded; proxies are not asked for this
    machine's addresses. Every client library heeds both.
    """
    kept = {name: value for name, value in environ.items() if not (embeds_postgres and name.startswith("PG"))}
    for name in ("no_proxy", "NO_PROXY"):
        kept[name] = ",".join(filter(None, (environ.get(name), "127.0.0.1", "localhost")))
    return kept


def _api_settings(environ: Mapping[str, str]) -> api_settings.Settings:
    """Read the API's settings now, so that a wrong variable is named before anything starts."""
    ours = {"LABELER_DB_URL": "postgresql://labeler@localhost/labeler", "S3_ENDPOINT": "http://localhost"}
    # Made at the first start where they are not set; here it counts that they are there.
    secrets = dict.fromkeys(("JWT_SECRET_KEY", "MEDIA_LINK_KEYS", "USER_GATEWAY_TOKEN"), "x" * 48)
    given = {name: value for name, value in environ.items() if name not in {"PORT", *ours} and value}
    try:
        return api_settings.load({**secrets, **given, **ours})
    except SettingsError as error:
        raise StackError(str(error)) from error


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
    if not environ.get("S3_ENDPOINT"):
        return None
    missing = [name for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY") if not environ.get(name)]
    if missing:
        raise StackError(f"{' and '.join(missing)}: missing; S3_ENDPOINT is given, so its keys are needed too")
    try:
        return read_store(environ)
    except StorageError as error:
        raise StackError(str(error)) from error
