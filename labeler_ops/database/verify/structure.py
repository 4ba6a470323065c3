"""Everything in a database that is not a row: definitions as PostgreSQL itself spells them, compared word for word."""

from collections.abc import Mapping

import msgspec

from labeler_ops.database.spelling import plain
from labeler_ops.database.verify.session import Side
from labeler_ops.database.verify.tables import LEFT_OUT, NOT_OF_AN_EXTENSION, USER_SCHEMA

_RELATION = f"""
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {USER_SCHEMA} AND {NOT_OF_AN_EXTENSION} AND c.relpersistence <> 't'"""
_NAME = "n.nspname || '.' || c.relname"

# Kind to a query of (name, definition). Owners and grants are left out: the target's are made by `labeler db roles`.
QUERIES: Mapping[str, str] = {
    "schema": f"SELECT n.nspname AS name, 'schema' AS definition FROM pg_namespace n WHERE {USER_SCHEMA}",
    "extension": "SELECT extname, extversion FROM pg_extension",
    "relation": f"""
        SELECT {_NAME}, c.relkind::text || c.relpersistence::text || ' row security ' || c.relrowsecurity
               || ' forced ' || c.relforcerowsecurity || ' options ' || coalesce(c.reloptions::text, '')
               || ' partition ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
        {_RELATION} AND c.relkind IN ('r', 'p', 'f')""",
    "column": f"""
        SELECT {_NAME} || '.' || a.attname,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                         'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'IDENTITY ' || nullif(a.attidentity::text, ''),
                         'GENERATED ' || nullif(a.attgenerated::text, ''), 'COLLATE ' || nullif(l.collname, 'default'))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE {USER_SCHEMA} AND {NOT_OF_AN_EXTENSION} AND c.relkind IN ('r', 'p', 'f')""",
    # PostgreSQL 18 lists NOT NULL as constraints too; here it is a column's.
    "constraint": f"""
        SELECT {_NAME} || '.' || o.conname,
               pg_get_constraintdef(o.oid) || CASE WHEN o.convalidated THEN '' ELSE ' (not validated)' END
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA} AND o.contype <> 'n'""",
    "index": f"""
        SELECT n.nspname || '.' || x.relname,
               pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMA} AND {NOT_OF_AN_EXTENSION}""",
    "trigger": f"""
        SELECT {_NAME} || '.' || g.tgname, pg_get_triggerdef(g.oid) || ' enabled ' || g.tgenabled::text
        FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMA} AND NOT g.tgisinternal AND g.tgname <> 'maintenance_fence'""",
    "view": f"SELECT {_NAME}, pg_get_viewdef(c.oid) {_RELATION} AND c.relkind IN ('v', 'm')",
    "function": f"""
        SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
               pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {USER_SCHEMA} AND p.prokind IN ('f', 'p') AND p.proname <> 'maintenance_fence'
          AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e')""",
    "type": f"""
        SELECT n.nspname || '.' || t.typname,
               CASE t.typtype
               WHEN 'e' THEN 'enum ' || (SELECT string_agg(v.enumlabel, ', ' ORDER BY v.enumsortorder)
                                         FROM pg_enum v WHERE v.enumtypid = t.oid)
               ELSE 'domain ' || format_type(t.typbasetype, t.typtypmod)
                    || coalesce(' DEFAULT ' || t.typdefault, '') END
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE {USER_SCHEMA} AND t.typtype IN ('e', 'd')
          AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = t.oid AND e.deptype = 'e')""",
    "policy": f"""
        SELECT {_NAME} || '.' || y.polname, concat_ws(' ', y.polcmd::text, y.polpermissive::text,
               pg_get_expr(y.polqual, y.polrelid), pg_get_expr(y.polwithcheck, y.polrelid))
        FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}""",
    "comment": f"""
        SELECT {_NAME} || CASE d.objsubid WHEN 0 THEN '' ELSE '.' || (SELECT a.attname FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum = d.objsubid) END, d.description
        FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE d.classoid = 'pg_class'::regclass AND {USER_SCHEMA}""",
    # A session's TimeZone and the like, as the database sets them for everybody who connects.
    "setting": """
        SELECT split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
        FROM pg_db_role_setting r CROSS JOIN unnest(r.setconfig) s
        WHERE r.setrole = 0
          AND r.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    "database": """
        SELECT 'encoding', pg_encoding_to_char(encoding) FROM pg_database
        WHERE datname = current_database()""",
    "large object": "SELECT oid::text, md5(lo_get(oid)) FROM pg_largeobject_metadata",
}


class Difference(msgspec.Struct, frozen=True):
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


async def compare(source: Side, target: Side) -> list[Difference]:
    """List every definition that is not on both sides alike."""
    found = []
    for kind, query in QUERIES.items():
        ours, theirs = [await _read(side, query) for side in (source, target)]
        found += [
            Difference(kind, name.removeprefix("public."), ours.get(name), theirs.get(name))
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
    return found


async def _read(side: Side, query: str) -> dict[str, str]:
    rows = [(row[0], plain(row[1])) for row in await side.fetch(query)]
    return {name: definition for name, definition in rows if not name.startswith(tuple(LEFT_OUT))}
