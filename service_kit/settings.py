"""What both services say of their settings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

T = TypeVar("T")

EXIT_CONFIGURATION = 78
"""The exit status where a setting is missing or wrong: EX_CONFIG of sysexits.h. Starting again will not help."""


class SettingsError(Exception):
    """A variable is missing or wrong; the text names it and the form expected."""


class Problems:
    """What is wrong with settings, a line each. Whoever mends one should see the others at the same time."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Note what is wrong with a variable."""
        self._lines.append(line)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what a SettingsError of the block says, and go on."""
        try:
            yield
        except SettingsError as error:
            self._lines += str(error).splitlines()

    def read(self, read: Callable[[], T], otherwise: T) -> T:
        """Return what `read` returns; where that is wrong, note it and return something to go on with."""
        with self.noted():
            return read()
        return otherwise

    def refuse(self) -> None:
        """Raise SettingsError with all that was noted, if anything was."""
        if self._lines:
            raise SettingsError("\n".join(self._lines))


def url_parts(url: str) -> SplitResult:
    """Take a URL apart. Of what is none, such as `http://[`, there are no parts."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


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
