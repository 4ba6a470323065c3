"""A request whose header fields are found at once. Starlette goes through all of them for each that is asked for."""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request


class Fields(Headers):
    """Header fields; of equal names the first counts."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._by_name = dict(reversed(raw))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field, or the default."""
        value = self._by_name.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class EndpointRequest(Request):
    """Starlette's, with such fields."""

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if not hasattr(self, "_headers"):
            self._headers = Fields(self.scope["headers"])
        return self._headers
