"""Path, query and body into typed values; what does not fit becomes a 422 that says where."""

import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from labeler_api.errors import Invalid, TooLarge, invalid
from labeler_api.http.input import json_pieces, json_rules, sentences

T = TypeVar("T")

_WHERE = re.compile(r"^(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
# Of a body of 2 MiB. The most that any operation can use are the 350 000 numbers of one digit in a geometry of 1 MiB.
MOST_VALUES = 400_000
_KEY = re.compile(r"[!-~]{1,255}")  # the width of the column
_MISSING = re.compile(r"missing required field `(.+?)`")


async def read_json(request: Request, limit: int) -> bytes:
    """Read a JSON body of at most `limit` bytes, and leave it undecoded. Raises TooLarge or Invalid."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid("has to be application/json", "header", "content-type", code="not_json")
    return await _read(request, limit)


def decode_json(body: bytes, decoder: msgspec.json.Decoder[T], most_values: int = MOST_VALUES) -> T:
    """Decode a JSON body into its type. Raises Invalid.

    A long one is judged first, in pieces: then the decoder meets nothing that it takes long for.
    """
    try:
        if len(body) > json_rules.SHORT_BYTES:
            json_rules.check_count(body, most_values)
        body.decode()  # decoders do not look into what they skip
        if len(body) > json_rules.SHORT_BYTES:
            json_pieces.check_all(body)
            return _decoded(body, decoder)
        value = _decoded(body, decoder)
        json_rules.judge(body)
    except msgspec.ValidationError as error:
        raise from_validation(error, "body", decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(_safe(json_rules.why_malformed(body, error)), "body", code="json_invalid") from None
    except json_rules.Broken as fault:
        raise invalid(_safe(str(fault)), "body", code="json_invalid") from None
    return value


def idempotency_key(request: Request) -> str | None:
    """Read the header Idempotency-Key, or None. Raises Invalid."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise invalid("has to be 1 to 255 visible ASCII characters, such as a UUID", "header", "idempotency-key")
    return key


def query_values(request: Request) -> dict[str, str]:
    """Read the query string; of equal names the last counts. Raises Invalid."""
    try:
        text = request.scope["query_string"].decode("ascii")
        if "%" not in text and "+" not in text:  # nothing to decode: most queries, at a quarter of the time
            return {name: value for name, _, value in (part.partition("=") for part in text.split("&") if part)}
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except ValueError:  # a UnicodeDecodeError, or more parameters than anybody sends
        raise invalid("is not percent-encoded UTF-8", "query") from None


def convert(values: dict[str, Any], kind: type[T], place: str) -> T:
    """Convert strings of a path, a query or a form. Raises Invalid with `[place, name]`."""
    for name, value in values.items():
        if isinstance(value, str) and "\0" in value:
            raise invalid("holds the character NUL, which cannot be stored", place, name.replace("\0", "")[:100])
    try:
        return msgspec.convert(values, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise from_validation(error, place, kind) from None


def from_validation(error: Exception, place: str, kind: Any = None) -> Invalid:
    """Turn msgspec's sentence into a location and words; `kind`, the type that was asked for, says what is allowed."""
    match = _WHERE.match(_safe(str(error)))
    message, path = (match["message"], match["path"] or "") if match else (str(error), "")
    steps: list[str | int] = [name or (int(at) if at.isdigit() else at) for name, at in _STEP.findall(path)]
    if missing := _MISSING.search(message):
        return invalid("is missing", place, *steps, missing[1])
    return invalid(sentences.phrase(message, lambda: sentences.choices(kind, steps)), place, *steps)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        # JSON has one kind of number, and 3.0 is a whole one.
        return decoder.decode(json_rules.with_whole_numbers(body))


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
