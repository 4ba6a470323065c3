"""Everything in a database that is not a row: definitions as PostgreSQL itself spells them, compared word for word."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping

import msgspec

from labeler_ops.database.normalized_sql import normalize_definition
from labeler_ops.database.verify.definitions import OF_A_SERVER, QUERIES
from labeler_ops.database.verify.session import Side
from labeler_ops.database.verify.tables import LEFT_OUT

_MAINTAINS = 17  # the major since which a table has one more privilege
# What an owner may do without a grant, in a table's grants and in those of tables that are made later.
_OWNER_S = re.compile(r".* to its owner|of (.+?)( in .+)? on tables to \1")
Definitions = Mapping[str, Mapping[str, str]]
"""Kind to name to definition."""


class DefinitionDifference(msgspec.Struct, frozen=True):
    """A definition that one side lacks (None) or spells in another way."""

    kind: str
    name: str
    source: str | None
    target: str | None

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.kind} {self.name} is missing on the target (source: {self.source})"
        if self.source is None:
            return f"{self.kind} {self.name} is only on the target ({self.target})"
        return f"{self.kind} {self.name}: {self.source} on the source, {self.target} on the target"


class Roles(msgspec.Struct, frozen=True):
    """What is expected of owners and grants: the same ones, under the new name where the source's role has another.

    With it everything in OF_A_SERVER is compared; a difference that `on_purpose` names is none.
    """

    renamed: Mapping[str, str] = {}
    on_purpose: Callable[[DefinitionDifference], bool] = lambda _: False


async def compare(source: Side, target: Side, roles: Roles | None = None) -> list[DefinitionDifference]:
    """List every definition that is not on both sides alike; owners and grants where it is said what is expected."""
    ours, theirs = await asyncio.gather(read(source, roles), read(target, Roles() if roles else None))
    if roles and source.version < _MAINTAINS <= target.version:
        theirs = {**theirs, **{kind: _as_older(theirs[kind]) for kind in ("grant", "default privilege")}}
    return [one for one in differences(ours, theirs) if not (roles and roles.on_purpose(one))]


def differences(ours: Definitions, theirs: Definitions) -> list[DefinitionDifference]:
    """Compare what was read of two databases."""
    return [
        DefinitionDifference(kind, name.removeprefix("public."), ours[kind].get(name), theirs[kind].get(name))
        for kind in ours
        for name in sorted(ours[kind].keys() | theirs[kind].keys())
        if ours[kind].get(name) != theirs[kind].get(name)
    ]


def _as_older(grants: Mapping[str, str]) -> Mapping[str, str]:
    """Leave out what an owner may do on a newer server; to anybody else it was granted."""
    return {name: said.replace("MAINTAIN, ", "") if _OWNER_S.fullmatch(name) else said for name, said in grants.items()}


async def read(side: Side, roles: Roles | None = None) -> Definitions:
    """Read every definition of a side; with `roles` also owners and grants, the roles called as the other side does."""
    queries = {**QUERIES, **OF_A_SERVER} if roles else QUERIES
    renamed = json.dumps(dict(roles.renamed) if roles else {})
    found = await asyncio.gather(*(_read(side, query, renamed) for query in queries.values()))
    return dict(zip(queries, found, strict=True))


async def _read(side: Side, query: str, renamed: str) -> dict[str, str]:
    found = await side.fetch(query, *((renamed,) if "$1" in query else ()))
    rows = [(row[0], normalize_definition(row[1])) for row in found]
    return {name: definition for name, definition in rows if not name.startswith(tuple(LEFT_OUT))}
