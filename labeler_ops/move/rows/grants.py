"""Owners and grants of a database of the platform: its own services write there, and no dump makes their roles."""

from typing import TypeAlias

import asyncpg

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.roles import ROLES, Database

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_EXTENSION_S = "EXISTS (SELECT FROM pg_depend e WHERE e.objid = {}.oid AND e.deptype = 'e')"
# Who owns something, may do something, gave it, or is named by a policy. PostgreSQL's own roles are on every server.
_ROLES = f"""
    WITH things AS (
        SELECT c.relowner AS owner, c.relacl AS acl FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT {_EXTENSION_S.format("c")}
        UNION ALL
        SELECT c.relowner, a.attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS} AND a.attacl IS NOT NULL
        UNION ALL
        SELECT p.proowner, p.proacl FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {_OURS} AND p.proname <> 'maintenance_fence' AND NOT {_EXTENSION_S.format("p")}
        UNION ALL
        SELECT t.typowner, t.typacl FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE {_OURS} AND t.typtype IN ('d', 'e') AND NOT {_EXTENSION_S.format("t")}
        UNION ALL SELECT n.nspowner, n.nspacl FROM pg_namespace n WHERE {_OURS}
        UNION ALL SELECT d.defaclrole, d.defaclacl FROM pg_default_acl d
    ), named AS (
        SELECT owner AS role FROM things
        UNION SELECT unnest(ARRAY[x.grantee, x.grantor]) FROM things CROSS JOIN aclexplode(things.acl) x
        UNION SELECT x.grantee FROM pg_database b CROSS JOIN aclexplode(b.datacl) x WHERE b.datname = current_database()
        UNION SELECT unnest(y.polroles) FROM pg_policy y
    )
    SELECT r.rolname FROM named JOIN pg_roles r ON r.oid = named.role WHERE r.rolname !~ '^pg_' ORDER BY 1
"""  # noqa: S608 - constants of ours
_OF_DATABASE = """
    SELECT x.privilege_type, x.is_grantable,
           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END AS grantee
    FROM pg_database b CROSS JOIN aclexplode(b.datacl) x
    WHERE b.datname = current_database() AND x.grantee <> b.datdba
"""
_MISSING_READER = "SELECT format('CREATE ROLE %I NOLOGIN', $1::text) WHERE to_regrole(quote_ident($1)) IS NULL"


async def missing(source: Connection, target: Connection, database: Database) -> list[str]:
    """Name the roles of the source that the target's server has not; our reader is made by the move."""
    wanted = {row[0] for row in await source.fetch(_ROLES)} - {ROLES[database]}
    there = {row[0] for row in await target.fetch("SELECT rolname FROM pg_roles")}
    return sorted(wanted - there)


async def make_reader(target: str, database: Database) -> None:
    """Make the role that our services read by, without a login yet: grants of the source name it."""
    connection = await asyncpg.connect(target, timeout=20)
    try:
        if statement := await connection.fetchval(_MISSING_READER, ROLES[database]):
            await connection.execute(statement)
    except asyncpg.DuplicateObjectError:  # somebody else was quicker
        pass
    finally:
        await connection.close(timeout=5)


async def carry_database_s(source: str, target: str) -> int:
    """Give the target what the source's database itself grants, such as CONNECT, which no dump holds; how much."""
    ours = await asyncpg.connect(source, timeout=20)
    try:
        granted = await ours.fetch(_OF_DATABASE)
        usual = await ours.fetchval("SELECT datacl IS NULL FROM pg_database WHERE datname = current_database()")
    finally:
        await ours.close(timeout=5)
    if usual:
        return 0
    theirs = await asyncpg.connect(target, timeout=20)
    try:
        name = await theirs.fetchval("SELECT format('%I', current_database())")
        async with theirs.transaction():
            await theirs.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            for row in granted:
                option = " WITH GRANT OPTION" if row["is_grantable"] else ""
                await theirs.execute(f"GRANT {row['privilege_type']} ON DATABASE {name} TO {row['grantee']}{option}")
    except asyncpg.PostgresError as error:
        raise DatabaseRefused(f"the grants of the source's database cannot be given to the target: {error}") from error
    finally:
        await theirs.close(timeout=5)
    return len(granted)
