"""Path, query and body into typed values; what does not fit becomes a 422 that says where."""

import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from labeler_api.errors import Invalid, TooLarge, invalid

T = TypeVar("T")

_WHERE = re.compile(r"^(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"missing required field `(.+?)`")


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], limit: int) -> T:
    """Read a JSON body of at most `limit` bytes. Raises TooLarge or Invalid."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid(f"expected application/json, got {kind[:100]}", "header", "content-type", code="not_json")
    body = await _read(request, limit)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise from_validation(error, "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = "is empty" if not body else f"is not valid JSON: {_safe(str(error))}"
        raise invalid(text, "body", code="json_invalid") from None


def convert(values: dict[str, Any], kind: type[T], place: str) -> T:
    """Convert strings of a path or a query. Raises Invalid with `[place, name]`."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise from_validation(error, place) from None


def from_validation(error: Exception, place: str) -> Invalid:
    """Turn msgspec's sentence into a location and a message."""
    match = _WHERE.match(_safe(str(error)))
    message, path = (match["message"], match["path"] or "") if match else (str(error), "")
    loc: list[str | int] = [place]
    for name, index in _STEP.findall(path):
        loc.append(name or (int(index) if index.isdigit() else index))
    if missing := _MISSING.search(message):
        loc.append(missing[1])
        message = "is missing"
    return invalid(message, *loc)


async def _read(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over the limit of {limit} bytes.", code="body_too_large")


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:500]
