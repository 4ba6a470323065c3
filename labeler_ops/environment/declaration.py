"""The one declaration of every variable; the check, the examples and the documents are made from it."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

import msgspec

from labeler_ops.environment.variables import Group, Service, Text, Variable, complete

_POSTGRES = "postgresql://user:password@host:port/name"


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    """A group as it stands in the file: its variables by their names."""

    title: str
    korean: str
    services: tuple[Service, ...]
    variables: dict[str, Text]

    def group(self) -> Group:
        """Give the variables their names; an address of a database holds a password, and has one form."""
        texts = [
            msgspec.structs.replace(
                text, name=name, secret=text.secret or text.url, form=text.form or (_POSTGRES if text.url else "")
            )
            for name, text in self.variables.items()
        ]
        return Group(self.title, self.korean, self.services, texts)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    groups: list[_Section]


def _read() -> list[Group]:
    content = files(__package__).joinpath("variables.toml").read_bytes()
    return [section.group() for section in msgspec.toml.decode(content, type=_File).groups]


GROUPS: Sequence[Group] = _read()
"""In the order in which the documents list them."""

VARIABLES: Mapping[str, Variable] = complete(GROUPS)
