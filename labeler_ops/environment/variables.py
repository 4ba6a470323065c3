"""What a variable is: its name, who reads it, its form and default, and what people are told about it."""

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from labeler_api.settings import Settings
from user_gateway.settings import Variables

Service = Literal["api", "gateway", "ops"]
SERVICES: Sequence[Service] = get_args(Service)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is declared by hand, in variables.toml. `example` stands in .env.example where the default would mislead.

    `local` puts the variable into .env.local.example; `fallback` means that it is read only where another one is unset.
    `form` and `default` are for variables that are no field of the services' settings.
    """

    english: str
    korean: str
    name: str = ""
    secret: bool = False
    url: bool = False
    example: str | None = None
    local: str | None = None
    fallback: bool = False
    form: str = ""
    default: str = ""
    also: tuple[Service, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """Variables that belong together, with the services that read them."""

    title: str
    korean: str
    services: tuple[Service, ...]
    texts: Sequence[Text]


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One variable, complete."""

    name: str
    services: tuple[Service, ...]
    form: str
    default: str
    required: bool
    text: Text

    @property
    def secret(self) -> bool:
        """Whether its value must never be printed."""
        return self.text.secret


def complete(groups: Sequence[Group]) -> Mapping[str, Variable]:
    """Add forms and defaults from the settings of the services, which are the truth about them."""
    fields = _fields()
    return {text.name: _variable(text, group, fields.get(text.name)) for group in groups for text in group.texts}


def _fields() -> Mapping[str, Any]:
    gateway = {field.encode_name: field for field in msgspec.structs.fields(Variables)}
    return gateway | {field.name.upper(): field for field in msgspec.structs.fields(Settings)}


def _variable(text: Text, group: Group, field: Any) -> Variable:
    services = tuple(service for service in SERVICES if service in {*group.services, *text.also})
    form, default, required = text.form, text.default, False
    if field is not None:
        form = form or describe(field.type)
        # A secret's default is nobody's to copy, not even a development one.
        default = default or ("" if text.secret else written(field.default))
        required = field.required
    return Variable(
        name=text.name, services=services, form=form or "text", default=default, required=required, text=text
    )


def written(value: object) -> str:
    """Write a default as it would stand in the environment."""
    if value is msgspec.NODEFAULT or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def describe(kind: Any) -> str:
    """Say in words what a field's type takes."""
    if get_origin(kind) is typing.Annotated:
        inner, *metas = get_args(kind)
        return " ".join([describe(inner), *(bounds for meta in metas if (bounds := _bounds(meta)))])
    if get_origin(kind) is Literal:
        return " | ".join(str(value) for value in get_args(kind))
    if get_origin(kind) in {types.UnionType, typing.Union}:
        return describe(next(part for part in get_args(kind) if part is not type(None)))
    names = {bool: "true | false", int: "integer", float: "number", Path: "path of a file", str: "text"}
    return names[kind]


def _bounds(meta: Meta) -> str:
    low = f"≥ {written(meta.ge)}" if meta.ge is not None else f"> {written(meta.gt)}" if meta.gt is not None else ""
    return f"{low}{'' if meta.le is None else f', ≤ {written(meta.le)}'}"
