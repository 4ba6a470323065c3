"""Where values come from: a file, or the environment of this process."""

import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values

from labeler_ops.environment.declaration import VARIABLES
from labeler_ops.environment.variables import Service, Variable
from labeler_ops.errors import OperatorError
from labeler_ops.runs import redacted

State = Literal["set", "default", "unset"]
_SHOWN_CHARACTERS = 60


class EnvironmentUnreadable(OperatorError):
    """The file of variables cannot be read; the text says why."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one variable. `value` is never a secret: those say how long they are."""

    name: str
    services: Sequence[Service]
    state: State
    source: str
    value: str
    form: str
    default: str
    secret: bool
    overruled_by: str | None = None


def read(file: Path | None) -> Mapping[str, str]:
    """Read the variables: of a file alone, or of this process. Raises EnvironmentUnreadable."""
    if file is None:
        return dict(os.environ)
    try:
        # Without interpolation, as Docker and Railway read them: a password may hold a dollar sign.
        values = dotenv_values(stream=StringIO(file.read_text(encoding="utf-8")), interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentUnreadable(f"{file} cannot be read: {error}") from error
    if broken := [name for name, value in values.items() if value is None]:
        raise EnvironmentUnreadable(f"{file}: expected NAME=value lines; without a value: {', '.join(broken)}")
    return {name: value or "" for name, value in values.items()}


def set_otherwise(file: Path | None) -> list[str]:
    """Name the variables whose line means another value where it is set as it stands, with quotes or a comment."""
    if file is None:
        return []
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines() if "=" in line)
    raw = {name.strip().removeprefix("export "): value for name, _, value in pairs if not name.startswith("#")}
    return [name for name, value in read(file).items() if raw.get(name, value) != value]


def rows(environ: Mapping[str, str], services: Sequence[Service], source: str) -> list[Row]:
    """List the variables of some services, as they stand."""
    wanted = [variable for variable in VARIABLES.values() if set(variable.services) & set(services)]
    return [_row(variable, environ, source) for variable in wanted]


def _row(variable: Variable, environ: Mapping[str, str], source: str) -> Row:
    value = environ.get(variable.name, "")
    state: State = "set" if value else "default" if variable.default else "unset"
    return Row(
        name=variable.name,
        services=variable.services,
        state=state,
        source=source if value else state,
        value=_shown(variable, value) if value else variable.default,
        form=variable.form,
        default=variable.default,
        secret=variable.secret,
        overruled_by=overruled(variable.name, environ) if value else None,
    )


def _shown(variable: Variable, value: str) -> str:
    if variable.text.url:
        return _place(value)
    if variable.secret:
        return f"secret, {len(value.encode())} bytes"
    value = redacted(value)
    return value if len(value) <= _SHOWN_CHARACTERS else f"{value[: _SHOWN_CHARACTERS - 1]}…"


def _place(url: str) -> str:
    """Show a URL without its password; a broken one may have it anywhere, so nothing is shown of that."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "secret, not a URL"
    # A / or # in a password ends the host early: what follows is the password's rest.
    if not parts.scheme or not parts.hostname or ("@" in url and "@" not in parts.netloc):
        return "secret, not a URL"
    return f"{parts.scheme}://{parts.username or ''}@{parts.hostname}{port}{parts.path}"


def overruled(name: str, environ: Mapping[str, str]) -> str | None:
    """Name the variable that is read in place of this one, which is set in vain; None when it counts."""
    prefix, _, part = name.rpartition("_")
    if prefix in {"LABELER_DB", "USER_DB", "PLATFORM_DB"} and part in {"HOST", "PORT", "NAME", "USER", "PASSWORD"}:
        return _first(environ, f"{prefix}_URL")
    ranking = ("LABELER_DB_URL", "LABELER_DB_HOST", "DATABASE_UNPOOLED_URL", "DATABASE_URL", "PGHOST")
    key = "PGHOST" if name.startswith("PG") else name
    if key in ranking[2:]:
        return _first(environ, *ranking[: ranking.index(key)])
    return _first(environ, "PORT") if name == "API_PORT" else None


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((name for name in names if environ.get(name)), None)
