"""The proof that the gateway's database role could not write, whatever it said to the database.

`default_transaction_read_only` is a habit that any session may drop, so the proof reads privileges, not settings.
"""

from collections.abc import Sequence
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_ATTRIBUTES = """
SELECT 'the role attribute ' || attribute
FROM pg_roles,
     LATERAL (VALUES ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
                     ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)) AS a (attribute, held)
WHERE rolname IN (session_user, current_user) AND held
"""

# A member may SET ROLE to what it is a member of; the privileges there would have to be proven as well.
_MEMBERSHIPS = """
SELECT 'membership in the role ' || quote_ident(rolname)
FROM pg_roles
WHERE pg_has_role(session_user, oid, 'MEMBER') AND rolname <> session_user
"""

# Owners may grant themselves anything. 'o' = owner, PostgreSQL's documentation of pg_shdepend.
_OWNED = """
SELECT 'ownership of ' || count(*) || ' object(s)'
FROM pg_shdepend
WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(quote_ident(session_user)) AND deptype = 'o'
HAVING count(*) > 0
"""

_DATABASE = """
SELECT privilege || ' on the database ' || quote_ident(current_database())
FROM unnest(ARRAY['CREATE', 'TEMPORARY']) AS privilege
WHERE has_database_privilege(current_database(), privilege)
"""

_SCHEMAS = """
SELECT 'CREATE on the schema ' || quote_ident(nspname)
FROM pg_namespace
WHERE has_schema_privilege(oid, 'CREATE')
"""

# pg_settings is a view whose UPDATE is SET: everybody has it, and it writes nothing.
_TABLES = """
SELECT privilege || ' on ' || c.oid::regclass::text
FROM pg_class AS c, unnest($1::text[]) AS privilege
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> 'pg_catalog.pg_settings'::regclass
  AND (has_table_privilege(c.oid, privilege)
       OR privilege IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(c.oid, privilege))
"""

_SEQUENCES = """
SELECT privilege || ' on the sequence ' || oid::regclass::text
FROM pg_class, unnest(ARRAY['USAGE', 'UPDATE']) AS privilege
WHERE relkind = 'S' AND has_sequence_privilege(oid, privilege)
"""

# Large objects belong to whoever makes them: these functions write without any grant on a table.
# lo_open is among them because it opens for writing too.
_LARGE_OBJECTS = """
SELECT 'EXECUTE on ' || oid::regprocedure::text
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_open', 'lo_put', 'lo_truncate',
                  'lo_truncate64', 'lo_unlink', 'lowrite')
  AND has_function_privilege(oid, 'EXECUTE')
"""

# A SECURITY DEFINER function does what its owner may do.
_DEFINERS = """
SELECT 'EXECUTE on the SECURITY DEFINER function ' || p.oid::regprocedure::text
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname <> 'pg_catalog'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
"""

_FOREIGN = """
SELECT 'USAGE on the foreign server ' || quote_ident(srvname)
FROM pg_foreign_server
WHERE has_server_privilege(oid, 'USAGE')
"""

_TABLE_PRIVILEGES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_MAINTAIN_SINCE = 17  # the PostgreSQL version that made VACUUM, REINDEX and the like grantable
# One statement, one round trip: ten of them in a row took longer than a start may where the database is far away.
_EVERYTHING = "UNION ALL".join(
    (
        _ATTRIBUTES,
        _MEMBERSHIPS,
        _OWNED,
        _DATABASE,
        _SCHEMAS,
        _TABLES,
        _SEQUENCES,
        _LARGE_OBJECTS,
        _DEFINERS,
        _FOREIGN,
    )
)
_SHOWN = 8  # findings in the message; a superuser has thousands


class NotReadOnly(Exception):
    """The role could write. The text says what to take from it."""

    def __init__(self, privileges: Sequence[str]) -> None:
        more = f" and {len(privileges) - _SHOWN} more" if len(privileges) > _SHOWN else ""
        super().__init__(
            f"the role of USER_DB_URL could write to the User DB: it has {'; '.join(privileges[:_SHOWN])}{more}. "
            "Use a role with SELECT only (`labeler db roles users` prints the grants), or set "
            "USER_DB_ALLOW_WRITABLE=1 in development."
        )
        self.privileges = list(privileges)


async def write_privileges(connection: Connection) -> list[str]:
    """List everything that the session's role could write with; an empty list is the proof."""
    table_privileges = list(_TABLE_PRIVILEGES)
    if connection.get_server_version().major >= _MAINTAIN_SINCE:
        table_privileges.append("MAINTAIN")
    return [row[0] for row in await connection.fetch(_EVERYTHING, table_privileges)]
