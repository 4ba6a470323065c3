"""What msgspec says of a value, in words for the person who sent it: the one place that knows msgspec's messages.

A phrase is read behind the name of what it is about, which `labeler_api.errors.invalid` puts in front: "is missing".
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from labeler_api.text.counted_nouns import counted
from labeler_api.text.patterns import REFUSALS

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "names with values, in braces",
    "datetime": "a time",
}
_PATTERNS = {repr(pattern): phrase for pattern, phrase in REFUSALS.items()}
_FORM = re.compile(r"Expected `(?P<kind>\w+)[^`]*` matching regex (?P<pattern>.*)", re.DOTALL)
_LENGTH = re.compile(r"Expected `(?P<kind>\w+)[^`]*` of length (?P<sign>[<>]=)? ?(?P<number>\d+)")
_BOUND = re.compile(r"Expected `\w+[^`]*` (?P<sign>[<>]=?) (?P<number>\S+)")
_KIND = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_BYTE = re.compile(r" \(byte (\d+)\)")
_BOUNDS = {
    ">=": "has to be {} or more",
    ">": "has to be more than {}",
    "<=": "has to be {} or less",
    "<": "has to be less than {}",
}
_UNITS = {"str": ("character", "characters", "is empty"), "array": ("entry", "entries", "has no entries")}
_FIXED = {
    "Invalid RFC3339 encoded datetime": "is not a time such as 2026-11-30T09:00:00Z",
    "Number out of range": "is out of range",
    "Integer value out of range": "is out of range",
}
_SYNTAX = {
    "expected ':'": "a colon is missing",
    "expected ',' or '}'": "a comma or the closing brace is missing",
    "expected ',' or ']'": "a comma or the closing bracket is missing",
    "expected '\"'": "a name in quotation marks is missing",
    "object keys must be strings": "a name is not in quotation marks",
    "trailing comma in object": "there is a comma behind the last value",
    "trailing comma in array": "there is a comma behind the last value",
    "trailing characters": "something stands behind its end",
    "invalid number": "a number is not written as JSON writes it",
    "invalid escape character in string": "a text holds an escape that JSON does not have",
    "invalid escaped character": "a text holds an escape that JSON does not have",
    "invalid control character in string": "a text holds a control character that is not escaped",
    "invalid character": "a character is not allowed where it stands",
}


def phrase(message: str, choices: Callable[[], Sequence[object]]) -> str:
    """Say in words what msgspec says of a value; `choices` finds the values that it may have, where they are few."""
    if (match := _FORM.match(message)) is not None:
        return _PATTERNS.get(match["pattern"], "does not have the form that it needs")
    if (match := _LENGTH.match(message)) is not None:
        return _length(match["kind"], match["sign"], int(match["number"]))
    if (match := _BOUND.match(message)) is not None:
        return _BOUNDS[match["sign"]].format(_number(match["number"]))
    if (match := _KIND.match(message)) is not None:
        return _kind(match["wanted"], match["got"])
    if message.startswith("Invalid enum value"):
        some = ", ".join(str(choice) for choice in choices())
        return f"has to be one of {some}" if some else "is none of the values that it may have"
    return _FIXED.get(message, "does not have the form that it needs")


def malformed(error: Exception) -> str:
    """Say in words why msgspec cannot read a JSON text."""
    message = str(error)
    if "truncated" in message:
        return "it is cut off"
    at = _BYTE.search(message)
    text = _BYTE.sub("", message).removeprefix("JSON is malformed: ")
    said = _SYNTAX.get(text, "it does not follow JSON's rules")
    return f"{said}, at byte {at[1]}" if at else said


def choices(kind: Any, steps: Sequence[str | int]) -> list[object]:
    """Find the values that may stand at a place of a type, where the type names them."""
    if kind is None:
        return []
    found = [msgspec.inspect.type_info(kind)]
    for step in steps:
        found = [inner for one in _plain(found) for inner in _inside(one, step)]
    return [
        value
        for one in _plain(found)
        if isinstance(one, msgspec.inspect.LiteralType | msgspec.inspect.EnumType)
        for value in (one.values if isinstance(one, msgspec.inspect.LiteralType) else [item.value for item in one.cls])
    ]


def _plain(types: Sequence[msgspec.inspect.Type]) -> list[msgspec.inspect.Type]:
    """Look through what stands around a type: what is said of it, and alternatives."""
    plain: list[msgspec.inspect.Type] = []
    for one in types:
        if isinstance(one, msgspec.inspect.Metadata):
            plain += _plain([one.type])
        elif isinstance(one, msgspec.inspect.UnionType):
            plain += _plain(one.types)
        else:
            plain.append(one)
    return plain


def _inside(one: msgspec.inspect.Type, step: str | int) -> list[msgspec.inspect.Type]:
    if isinstance(one, msgspec.inspect.StructType):
        return [field.type for field in one.fields if field.encode_name == step]
    if isinstance(one, msgspec.inspect.DictType):
        return [one.value_type]
    if isinstance(one, msgspec.inspect.ListType):
        return [one.item_type]
    return []


def _length(kind: str, sign: str | None, number: int) -> str:
    one, many, nothing = _UNITS.get(kind, _UNITS["array"])
    length = counted(number, one, many)
    if sign is None:
        return f"needs exactly {length}"
    if sign == ">=":
        return nothing if number == 1 else f"has fewer than {length}"
    return f"is longer than {length}" if kind == "str" else f"has more than {length}"


def _kind(wanted: str, got: str) -> str:
    words = [_KINDS[one] for one in wanted.split(" | ") if one in _KINDS]
    if not words:
        return "does not have the form that it needs"
    return f"has to be {' or '.join(words)}" + (", and may not be left empty" if got == "null" else "")


def _number(text: str) -> str:
    value = float(text)
    return f"{int(value)}" if value.is_integer() else text
