"""A request whose header fields are found at once. Starlette goes through all of them for each that is asked for."""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

Raw = list[tuple[bytes, bytes]]


def by_name(raw: Raw) -> dict[bytes, bytes]:
    """Header fields by their names; of equal names the first counts."""
    return dict(reversed(raw))


class Fields(Headers):
    """Header fields, which are found by name."""

    def __init__(self, raw: Raw, found: dict[bytes, bytes]) -> None:
        super().__init__(raw=raw)
        self._by_name = found

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field, or the default."""
        value = self._by_name.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class EndpointRequest(Request):
    """Starlette's, with such fields; the layer around the routes has them by name already."""

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if not hasattr(self, "_headers"):
            raw = self.scope["headers"]
            self._headers = Fields(raw, self.scope.get("fields") or by_name(raw))
        return self._headers
