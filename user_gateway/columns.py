"""Which types of columns the gateway can answer with, and how each is read."""

import msgspec

WHOLE_NUMBERS = ("smallint", "integer", "bigint")
_MOMENTS = ("timestamp without time zone", "timestamp with time zone", "date")
_NUMBERS = ("id", "organization_id")
_TIMES = ("created_at", "updated_at")


class Column(msgspec.Struct, frozen=True):
    """A column as the catalog describes it; `type` is PostgreSQL's name, of the base type where it is a domain."""

    name: str
    type: str
    readable: bool
    required: bool = False
    """NOT NULL."""


def expected(name: str) -> str:
    """Name the types that fit, for a message."""
    if name in (*_NUMBERS, "user_id"):
        return "smallint, integer or bigint"
    if name in _TIMES:
        return "timestamp, timestamptz or date"
    return "boolean" if name == "is_active" else "text"


def expression(table: str, column: Column) -> str | None:
    """Give the SQL that reads the column of `table` as the wire wants it; None where the type does not fit."""
    source, kind = f"{table}.{column.name}", column.type
    if column.name in _NUMBERS:
        return source if kind in WHOLE_NUMBERS else None
    if column.name in _TIMES:
        return _moment(source, kind) if kind in _MOMENTS else None
    if column.name == "is_active":
        if kind == "boolean":
            return source
        return f"({source} <> 0)" if kind in WHOLE_NUMBERS else None  # as platforms without booleans write it
    if kind == "bytea":
        return None
    return f"{source}::text"  # system_role may be an enum, an address citext


def _moment(source: str, kind: str) -> str:
    """Times that neither Python nor google.protobuf.Timestamp can say are unset: BC, after 9999, infinity."""
    cast = "::timestamp" if kind == "date" else ""
    # One row with such a time failed everybody in its batch.
    return f"CASE WHEN {source} >= '0001-01-02' AND {source} < '9999-12-31' THEN {source}{cast} END"
