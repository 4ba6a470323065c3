"""The queries that read everything in a database that is not a row, as PostgreSQL itself spells it.

Each gives (name, definition). Where `$1` stands, names of roles are translated: a JSON object of old and new names.
What an extension owns is the extension's, and is said by its version. Publications, subscriptions and slots are the
plumbing between servers, and passwords and memberships belong to a server's roles: neither is in a database's copy.
"""

from collections.abc import Mapping

from labeler_ops.database.own_objects import OWN_RELATIONS, THIS_DATABASE, USER_SCHEMA, not_of_an_extension

_RELATION = f"{OWN_RELATIONS} AND c.relpersistence <> 't'"
_OF_OUR_RELATION = f"{USER_SCHEMA} AND {not_of_an_extension('c', 'pg_class')}"
_NAME = "n.nspname || '.' || c.relname"
_FIRST_OF_USERS = 16384  # what initdb makes has a smaller oid


def _called(classid: str, oid: str, part: str = "0") -> str:
    """Name any object: a relation or a column by its name alone, everything else with its kind."""
    address = f"pg_identify_object({classid}, {oid}, {part})"
    return (
        f"(SELECT CASE WHEN {classid} = 'pg_class'::regclass THEN o.identity ELSE o.type || ' ' || o.identity END"
        f" FROM {address} o)"
    )


def _role(oid: str) -> str:
    """Name a role as the other side calls it."""
    return (
        f"CASE {oid} WHEN 0 THEN 'PUBLIC' ELSE"
        f" coalesce($1::jsonb ->> pg_get_userbyid({oid})::text, pg_get_userbyid({oid})) END"
    )


def _privileges(acl: str) -> str:
    """Spell what an ACL's entries allow; an asterisk: may be passed on."""
    return (
        f"string_agg(DISTINCT {acl}.privilege_type || CASE WHEN {acl}.is_grantable THEN '*' ELSE '' END, ', '"
        f" ORDER BY {acl}.privilege_type || CASE WHEN {acl}.is_grantable THEN '*' ELSE '' END)"
    )


# Every major has other columns in these catalogs, so they are asked by name: to_jsonb(row) ->> 'column'.
_COLLATED = """
    concat_ws(' ', CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
              coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale', l.collcollate),
              nullif(l.collctype, l.collcollate), to_jsonb(l) ->> 'collicurules',
              CASE WHEN NOT l.collisdeterministic THEN 'not deterministic' END)"""
_AGGREGATE = """
    concat_ws(' ', 'aggregate', a.aggkind::text, a.aggtransfn::regproc, a.aggtranstype::regtype,
              'start ' || a.agginitval, 'final ' || nullif(a.aggfinalfn::oid, 0)::regproc,
              'combine ' || nullif(a.aggcombinefn::oid, 0)::regproc,
              'moving ' || nullif(a.aggmtransfn::oid, 0)::regproc, 'sorts by ' || nullif(a.aggsortop, 0)::regoperator,
              'gives ' || format_type(p.prorettype, NULL), 'parallel ' || p.proparallel::text)"""
_TYPE = """
    CASE t.typtype
    WHEN 'e' THEN 'enum ' || (SELECT string_agg(v.enumlabel, ', ' ORDER BY v.enumsortorder)
                              FROM pg_enum v WHERE v.enumtypid = t.oid)
    WHEN 'c' THEN 'composite ' || coalesce(
        (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
         FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '')
    WHEN 'r' THEN 'range of ' || (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid)
    ELSE 'domain ' || format_type(t.typbasetype, t.typtypmod)
         || coalesce((SELECT ' COLLATE ' || l.collname FROM pg_collation l
                      JOIN pg_type b ON b.oid = t.typbasetype
                      WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
         || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
         || coalesce(' DEFAULT ' || t.typdefault, '') END"""
_OUR_TYPE = f"""
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE {USER_SCHEMA} AND {not_of_an_extension("t", "pg_type")}
      AND (t.typtype IN ('d', 'e', 'r') OR (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')"""

# What there is of the rarer kinds. Their definitions are functions of C or lists of other objects' numbers.
_RARE = (
    "pg_operator",
    "pg_opclass",
    "pg_opfamily",
    "pg_conversion",
    "pg_language",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_transform",
    "pg_ts_parser",
    "pg_ts_template",
)


def _there(catalog: str) -> str:
    name = _called(f"'{catalog}'::regclass", "o.oid")
    ours = f"o.oid >= {_FIRST_OF_USERS} AND {not_of_an_extension('o', catalog)}"
    return f"SELECT {name}, 'there' FROM {catalog} o WHERE {ours}"


QUERIES: Mapping[str, str] = {
    "schema": f"SELECT n.nspname AS name, 'schema' AS definition FROM pg_namespace n WHERE {USER_SCHEMA}",
    "extension": "SELECT extname, extversion FROM pg_extension",
    "relation": f"""
        SELECT {_NAME}, c.relkind::text || c.relpersistence::text || ' row security ' || c.relrowsecurity
               || ' forced ' || c.relforcerowsecurity || ' options ' || coalesce(c.reloptions::text, '')
               || ' partition ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
               || coalesce((SELECT ' inherits ' || string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno)
                            FROM pg_inherits h WHERE h.inhrelid = c.oid), '')
        {_RELATION} AND c.relkind IN ('r', 'p', 'f')""",
    "column": f"""
        SELECT {_NAME} || '.' || a.attname,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                         'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'IDENTITY ' || nullif(a.attidentity::text, ''),
                         'GENERATED ' || nullif(a.attgenerated::text, ''), 'COLLATE ' || nullif(l.collname, 'default'),
                         'STORAGE ' || CASE WHEN a.attstorage <> y.typstorage THEN
                             CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external'
                                               WHEN 'm' THEN 'main' ELSE 'extended' END END,
                         'COMPRESSION ' || nullif(a.attcompression::text, ''),
                         'STATISTICS ' || nullif(a.attstattarget, -1), 'OPTIONS ' || a.attoptions::text)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type y ON y.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE {_OF_OUR_RELATION} AND c.relkind IN ('r', 'p', 'f')""",
    # PostgreSQL 18 lists NOT NULL as constraints too; here it is a column's, or a domain's.
    "constraint": f"""
        SELECT coalesce({_NAME}, n.nspname || '.' || t.typname) || '.' || o.conname,
               pg_get_constraintdef(o.oid) || CASE WHEN o.convalidated THEN '' ELSE ' (not validated)' END
        FROM pg_constraint o LEFT JOIN pg_class c ON c.oid = o.conrelid LEFT JOIN pg_type t ON t.oid = o.contypid
        JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, t.typnamespace)
        WHERE {USER_SCHEMA} AND o.contype <> 'n' AND {not_of_an_extension("o", "pg_constraint")}
          AND (c.oid IS NULL OR {not_of_an_extension("c", "pg_class")})
          AND (t.oid IS NULL OR {not_of_an_extension("t", "pg_type")})""",
    "index": f"""
        SELECT n.nspname || '.' || x.relname,
               pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
               || CASE WHEN i.indisclustered THEN ' (clustered)' ELSE '' END
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OF_OUR_RELATION}""",
    "trigger": f"""
        SELECT {_NAME} || '.' || g.tgname, pg_get_triggerdef(g.oid) || ' enabled ' || g.tgenabled::text
        FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMA} AND NOT g.tgisinternal AND g.tgname <> 'maintenance_fence'""",
    "event trigger": f"""
        SELECT v.evtname, concat_ws(' ', v.evtevent, v.evtfoid::regproc, 'enabled', v.evtenabled::text, v.evttags::text)
        FROM pg_event_trigger v WHERE {not_of_an_extension("v", "pg_event_trigger")}""",
    "rule": f"""
        SELECT {_NAME} || '.' || w.rulename, pg_get_ruledef(w.oid) || ' enabled ' || w.ev_enabled::text
        FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OF_OUR_RELATION} AND w.rulename <> '_RETURN'""",
    "statistics": f"""
        SELECT n.nspname || '.' || s.stxname, pg_get_statisticsobjdef(s.oid)
               || coalesce(' target ' || nullif(s.stxstattarget, -1), '')
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {USER_SCHEMA}""",
    "view": f"""
        SELECT {_NAME}, pg_get_viewdef(c.oid) || coalesce(' options ' || c.reloptions::text, '')
               || CASE WHEN c.relispopulated THEN '' ELSE ' (not populated)' END
        {_RELATION} AND c.relkind IN ('v', 'm')""",
    "function": f"""
        SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
               CASE p.prokind WHEN 'a' THEN (SELECT {_AGGREGATE} FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
               ELSE pg_get_functiondef(p.oid) END
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {USER_SCHEMA} AND p.proname <> 'maintenance_fence' AND {not_of_an_extension("p", "pg_proc")}""",
    "type": f"SELECT n.nspname || '.' || t.typname, {_TYPE} {_OUR_TYPE}",
    "cast": f"""
        SELECT format_type(s.castsource, NULL) || ' AS ' || format_type(s.casttarget, NULL),
               concat_ws(' ', s.castmethod::text, s.castcontext::text, nullif(s.castfunc, 0)::regprocedure)
        FROM pg_cast s WHERE s.oid >= {_FIRST_OF_USERS} AND {not_of_an_extension("s", "pg_cast")}""",
    "collation": f"""
        SELECT n.nspname || '.' || l.collname, {_COLLATED}
        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
        WHERE {USER_SCHEMA} AND {not_of_an_extension("l", "pg_collation")}""",
    "text search configuration": f"""
        SELECT n.nspname || '.' || f.cfgname, r.prsname || ': ' || coalesce(
               (SELECT string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary, ', '
                                  ORDER BY m.maptokentype, m.mapseqno)
                FROM pg_ts_config_map m WHERE m.mapcfg = f.oid), 'no words')
        FROM pg_ts_config f JOIN pg_namespace n ON n.oid = f.cfgnamespace JOIN pg_ts_parser r ON r.oid = f.cfgparser
        WHERE {USER_SCHEMA} AND {not_of_an_extension("f", "pg_ts_config")}""",
    "text search dictionary": f"""
        SELECT n.nspname || '.' || i.dictname, concat_ws(' ', m.tmplname, i.dictinitoption)
        FROM pg_ts_dict i JOIN pg_namespace n ON n.oid = i.dictnamespace JOIN pg_ts_template m ON m.oid = i.dicttemplate
        WHERE {USER_SCHEMA} AND {not_of_an_extension("i", "pg_ts_dict")}""",
    "object": " UNION ALL ".join(_there(catalog) for catalog in _RARE),
    "policy": f"""
        SELECT {_NAME} || '.' || y.polname, concat_ws(' ', y.polcmd::text, y.polpermissive::text,
               pg_get_expr(y.polqual, y.polrelid), pg_get_expr(y.polwithcheck, y.polrelid), 'for',
               (SELECT string_agg({_role("r")}, ', ' ORDER BY {_role("r")}) FROM unnest(y.polroles) r))
        FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}""",
    # Of everything that a dump holds. The schema public has a comment from initdb, until somebody makes it again.
    "comment": f"""
        SELECT {_called("d.classoid", "d.objoid", "d.objsubid")}, d.description FROM pg_description d
        WHERE d.classoid NOT IN ('pg_publication'::regclass, 'pg_subscription'::regclass)
          AND (d.objoid >= {_FIRST_OF_USERS} OR ((d.classoid, d.objoid) = ('pg_namespace'::regclass, 2200)
               AND d.description <> 'standard public schema'))
          AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid
                          AND e.deptype = 'e')""",
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

# Everything that has an owner: its name, its owner, its privileges, and what those are where none were given.
_THINGS = f"""
    SELECT {_called("'pg_class'::regclass", "c.oid")} AS name, c.relowner AS owner,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl
        {_RELATION} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT {_called("'pg_proc'::regclass", "p.oid")}, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {USER_SCHEMA} AND p.proname <> 'maintenance_fence' AND {not_of_an_extension("p", "pg_proc")}
    UNION ALL
    SELECT {_called("'pg_type'::regclass", "t.oid")}, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
        {_OUR_TYPE}
    UNION ALL
    SELECT {_called("'pg_namespace'::regclass", "n.oid")}, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
        FROM pg_namespace n WHERE {USER_SCHEMA} AND {not_of_an_extension("n", "pg_namespace")}
    UNION ALL
    SELECT 'large object ' || b.oid, b.lomowner, coalesce(b.lomacl, acldefault('L', b.lomowner))
        FROM pg_largeobject_metadata b
    UNION ALL
    SELECT 'database', d.datdba, coalesce(d.datacl, acldefault('d', d.datdba)) FROM {THIS_DATABASE} d"""
_COLUMN_GRANTS = f"""
    SELECT {_called("'pg_class'::regclass", "c.oid", "a.attnum")}, c.relowner, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OF_OUR_RELATION} AND a.attacl IS NOT NULL"""

# What belongs to a server as much as to its database: who owns what and who may do what, and what its log says of a
# changed row. A copy may be made without them, and a move by replication changes the last on its source for a while.
# They are compared when asked for.
OF_A_SERVER: Mapping[str, str] = {
    "replica identity": f"""
        SELECT {_NAME}, CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' ELSE 'index '
               || coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i
                            WHERE i.indrelid = c.oid AND i.indisreplident), 'that is gone') END
        {_RELATION} AND c.relkind IN ('r', 'p') AND c.relreplident <> 'd'""",
    "owner": f"SELECT t.name, {_role('t.owner')} FROM ({_THINGS}) t",
    # What its owner may do is said once for every owner: so another owner is one difference, and not two.
    "grant": f"""
        SELECT t.name || ' to ' || CASE WHEN x.grantee = t.owner THEN 'its owner' ELSE {_role("x.grantee")} END,
               {_privileges("x")}
        FROM ({_THINGS} UNION ALL {_COLUMN_GRANTS}) t(name, owner, acl) CROSS JOIN LATERAL aclexplode(t.acl) x
        GROUP BY 1""",
    "default privilege": f"""
        SELECT 'of ' || {_role("d.defaclrole")} || coalesce(' in ' || n.nspname, '') || ' on '
               || CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                  WHEN 'T' THEN 'types' ELSE 'schemas' END || ' to ' || {_role("x.grantee")}, {_privileges("x")}
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
        CROSS JOIN LATERAL aclexplode(d.defaclacl) x GROUP BY 1""",
    "role setting": f"""
        SELECT {_role("r.setrole")} || '.' || split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
        FROM pg_db_role_setting r CROSS JOIN unnest(r.setconfig) s
        WHERE r.setrole <> 0
          AND r.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
}
