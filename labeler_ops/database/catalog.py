"""What a schema holds, as PostgreSQL itself spells it, and how two schemas differ.

What is expected is built for real, in a schema of its own inside a transaction that is rolled back: so both sides are
read from the same catalog in the same words, and nothing has to be guessed from a type's or a constraint's text.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from labeler_api.db import functions
from labeler_ops.database.normalized_sql import normalize_definition
from labeler_ops.database.own_objects import not_of_an_extension
from labeler_ops.errors import DatabaseError

SCHEMA = "public"
_SCRATCH = "labeler_expected_schema"

# Tables that are not ours, by the start of their names: Alembic's own, and those of job queues in the same database.
FOREIGN_PREFIXES = ("alembic_version", "procrastinate_", "pgqueuer")

_RELATIONS = f"""
    SELECT 'table' AS kind, NULL AS parent, c.relname AS name,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                          WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END AS definition
      FROM pg_class c
     WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND {not_of_an_extension("c", "pg_class")}"""  # noqa: S608 - constants
_COLUMNS = """
    SELECT 'column', c.relname, c.relname || '.' || a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                     'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attidentity <> '' THEN 'IDENTITY' END)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p')"""
# PostgreSQL 18 lists NOT NULL as constraints too; here it is a column's.
_CONSTRAINTS = """
    SELECT 'constraint', c.relname, c.relname || '.' || o.conname, pg_get_constraintdef(o.oid)
      FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
     WHERE c.relnamespace = CAST(:schema AS regnamespace) AND o.contype <> 'n'"""
_INDEXES = """
    SELECT 'index', c.relname, x.relname,
           pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
     WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x'))"""
_SEQUENCES = """
    SELECT 'sequence', t.relname, s.relname, format_type(q.seqtypid, NULL) || ' of ' || t.relname || '.' || a.attname
      FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid
      JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') AND d.classid = CAST('pg_class' AS regclass)
      JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
     WHERE s.relnamespace = CAST(:schema AS regnamespace)"""
_TRIGGERS = """
    SELECT 'trigger', c.relname, c.relname || '.' || g.tgname, pg_get_triggerdef(g.oid)
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
     WHERE c.relnamespace = CAST(:schema AS regnamespace) AND NOT g.tgisinternal AND g.tgname <> 'maintenance_fence'"""

# Those that this version calls; those of the version before may be there, too.
_FUNCTIONS = """
    SELECT 'function', NULL, f.proname,
           concat_ws(' ', pg_get_function_arguments(f.oid), 'RETURNS', pg_get_function_result(f.oid),
                     f.provolatile, array_to_string(f.proconfig, ', '), md5(f.prosrc))
      FROM pg_proc f
     WHERE f.pronamespace = CAST(:schema AS regnamespace) AND f.proname = ANY (:functions)"""

Catalog = dict[tuple[str, str], "CatalogEntry"]


class CatalogEntry(msgspec.Struct, frozen=True):
    """One object: its table (None for a table itself) and its definition."""

    table: str | None
    definition: str


class SchemaDifference(msgspec.Struct, frozen=True):
    """An object that one side lacks (None) or has in another form."""

    kind: str
    name: str
    table: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.kind} {self.name} is missing; expected: {self.expected}"
        if self.expected is None:
            return f"{self.kind} {self.name} is not expected; found: {self.found}"
        return f"{self.kind} {self.name}: expected {self.expected}; found {self.found}"


def read(connection: Connection, schema: str = SCHEMA) -> Catalog:
    """Read everything in a schema that is not an extension's or another tool's."""
    union = " UNION ALL ".join((_RELATIONS, _COLUMNS, _CONSTRAINTS, _INDEXES, _SEQUENCES, _TRIGGERS, _FUNCTIONS))
    found: Catalog = {}
    given = {"schema": schema, "functions": list(functions.NAMES)}
    for kind, parent, name, definition in connection.execute(text(union), given):
        if not (parent or name).startswith(FOREIGN_PREFIXES):
            found[kind, name] = CatalogEntry(parent, _normal(definition, schema))
    return found


@contextmanager
def expected(connection: Connection, build: Callable[[Connection], Any]) -> Iterator[Catalog]:
    """Build the expected schema next to the live one, read it, and remove it again."""
    with connection.begin_nested() if connection.in_transaction() else connection.begin() as transaction:
        try:
            connection.execute(text(f"CREATE SCHEMA {_SCRATCH}"))
            connection.execute(text(f"SET LOCAL search_path = {_SCRATCH}"))
            build(connection)
            yield read(connection, _SCRATCH)
        except DBAPIError as error:
            if isinstance(getattr(error.orig, "__cause__", None), asyncpg.InsufficientPrivilegeError):
                raise DatabaseError(
                    "the expected schema is built beside the live one and rolled back: run this as the database's owner"
                ) from error
            raise
        finally:
            transaction.rollback()


def compare(wanted: Catalog, found: Catalog) -> list[SchemaDifference]:
    """List every difference, both ways. What hangs on a table that is missing or not expected is not listed again."""
    differences = []
    for kind, name in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get((kind, name)), found.get((kind, name))
        entry = want or have
        if entry is None or (want and have and want.definition == have.definition):
            continue
        if entry.table and not (("table", entry.table) in wanted and ("table", entry.table) in found):
            continue
        differences.append(
            SchemaDifference(
                kind,
                name,
                table=entry.table or name,
                expected=want.definition if want else None,
                found=have.definition if have else None,
            )
        )
    return differences


def _normal(definition: str, schema: str) -> str:
    """Take the schema's name out, write now() one way, and sort the values of an IN list."""
    unqualified = normalize_definition(definition).replace(f"{schema}.", "").replace("CURRENT_TIMESTAMP", "now()")
    return re.sub(r"ARRAY\[(.*?)\]", lambda m: f"ARRAY[{', '.join(sorted(m[1].split(', ')))}]", unqualified)
