"""The proof that a database role could not write, whatever a session says to the database.

`default_transaction_read_only` is only a default that any session can change. So the proof reads privileges, not
settings.
"""

from typing import Any

# One row for each thing that the session's role could write with. What each part is about: attributes that stand above
# all grants; membership in roles, which SET ROLE would reach; ownership, since owners grant themselves anything; CREATE
# and TEMPORARY; tables and columns (pg_settings is a view whose UPDATE is SET: everybody has it, and it writes
# nothing); sequences; large objects, which belong to whoever makes them; functions that do what their owner may do;
# foreign servers.
_PROOF = """
    SELECT 'the role attribute ' || attribute AS privilege
    FROM pg_roles,
         LATERAL (VALUES ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
                         ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)) AS a (attribute, held)
    WHERE rolname IN (session_user, current_user) AND held
    UNION ALL
    SELECT 'membership in the role ' || quote_ident(rolname) FROM pg_roles
    WHERE pg_has_role(session_user, oid, 'MEMBER') AND rolname <> session_user
    UNION ALL
    SELECT 'ownership of ' || count(*) || ' object(s)' FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(quote_ident(session_user)) AND deptype = 'o'
    HAVING count(*) > 0
    UNION ALL
    SELECT privilege || ' on the database' FROM unnest(ARRAY['CREATE', 'TEMPORARY']) AS privilege
    WHERE has_database_privilege(current_database(), privilege)
    UNION ALL
    SELECT 'CREATE on the schema ' || quote_ident(nspname) FROM pg_namespace
    WHERE has_schema_privilege(oid, 'CREATE')
    UNION ALL
    SELECT privilege || ' on ' || c.oid::regclass::text FROM pg_class AS c, unnest($1::text[]) AS privilege
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> 'pg_catalog.pg_settings'::regclass
      AND (has_table_privilege(c.oid, privilege)
           OR privilege IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(c.oid, privilege))
    UNION ALL
    SELECT privilege || ' on the sequence ' || oid::regclass::text
    FROM pg_class, unnest(ARRAY['USAGE', 'UPDATE']) AS privilege
    WHERE relkind = 'S' AND has_sequence_privilege(oid, privilege)
    UNION ALL
    SELECT 'EXECUTE on ' || oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_open', 'lo_put', 'lo_truncate',
                      'lo_truncate64', 'lo_unlink', 'lowrite')
      AND has_function_privilege(oid, 'EXECUTE')
    UNION ALL
    SELECT 'EXECUTE on the SECURITY DEFINER function ' || p.oid::regprocedure::text
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname <> 'pg_catalog'
      AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
    UNION ALL
    SELECT 'USAGE on the foreign server ' || quote_ident(srvname) FROM pg_foreign_server
    WHERE has_server_privilege(oid, 'USAGE')
"""

_TABLE_PRIVILEGES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_MAINTAIN_SINCE = 17  # the PostgreSQL version that made VACUUM, REINDEX and the like grantable
SHOWN = 8  # findings in a message; a superuser has thousands


class RoleCanWrite(Exception):
    """A role that has to be read-only could write; the text says with what."""


async def write_privileges(connection: Any, most: int | None = None) -> list[str]:
    """List what the session's role could write with, up to a limit; an empty list is the proof.

    One statement, one round trip: ten in a row took longer than a start may where the database is far away.
    """
    privileges = list(_TABLE_PRIVILEGES)
    if connection.get_server_version().major >= _MAINTAIN_SINCE:
        privileges.append("MAINTAIN")
    return [row["privilege"] for row in await connection.fetch(f"{_PROOF} LIMIT $2", privileges, most)]
