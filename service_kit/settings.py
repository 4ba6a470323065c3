"""What both services say of their settings."""

from urllib.parse import unquote, urlsplit

EXIT_CONFIGURATION = 78
"""The exit status where a setting is missing or wrong: EX_CONFIG of sysexits.h. Starting again will not help."""


class SettingsError(Exception):
    """A variable is missing or wrong; the text names it and the form expected."""


def database_url(url: str, name: str) -> str:
    """Accept what SQLAlchemy and Railway write; asyncpg wants the plain scheme. `name` is the variable, for the error.

    Raises SettingsError for what is no URL of PostgreSQL with a host and a database's name.
    """
    scheme, _, rest = url.partition("://")
    normal = f"postgresql://{rest}"
    try:
        parts = urlsplit(normal)
        complete = bool(parts.hostname) and (parts.port or 1) > 0 and bool(unquote(parts.path.lstrip("/")))
    except ValueError:
        complete = False
    if scheme.partition("+")[0] not in {"postgresql", "postgres"} or not complete:
        raise SettingsError(
            f"{name}: expected postgresql://user:password@host:port/name, with a host and a database name"
        )
    return normal
