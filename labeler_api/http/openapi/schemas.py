"""What the types leave unsaid in the schemas of requests: no text holds NUL, and files in forms are bytes."""

from collections.abc import Iterable
from typing import Any

_Schema = dict[str, Any]

_NO_NUL = r"^[^\x00]*$"
_FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_CLOSED = {"pattern", "enum", "const", "contentEncoding", "contentMediaType", "format"}


def refine(schemas: Iterable[_Schema], components: dict[str, _Schema]) -> None:
    """Refine the schemas of requests, and every component that they lead to, in place."""
    seen: set[str] = set()
    waiting: list[Any] = list(schemas)
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, list):
            waiting += schema
        elif isinstance(schema, dict):
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                waiting.append(components[name])
            _refine_one(schema)
            waiting += [value for key, value in schema.items() if key not in {"default", "enum", "const", "not"}]


def in_path(schema: _Schema, *, greedy: bool) -> _Schema:
    """Say of a path parameter what its segment can be."""
    if schema.get("type") != "string" or "pattern" in schema:
        return schema
    return {"minLength": 1, **schema, "pattern": r"^[^\x00]+$" if greedy else r"^[^/\x00]+$"}


def _refine_one(schema: _Schema) -> None:
    if schema.get("contentEncoding") == "base64":  # how msgspec says bytes
        schema.clear()
        schema.update(_FILE)
    elif schema.get("type") == "string" and not _CLOSED & schema.keys():
        schema["pattern"] = _NO_NUL
    elif schema.get("type") == "string" and not schema.get("pattern", "^").startswith("^"):
        schema["pattern"] = rf"^[^\x00]*{schema['pattern']}[^\x00]*$"
