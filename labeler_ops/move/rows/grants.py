"""Owners and grants that go along with a copy: other services use the database as well, and no dump makes their roles.

The User DB and the Platform DB are copied with their owners and grants; what no dump holds, the database's own, is
carried here. The Labeler DB gets a new owner, the role that serves: what others might do before is given to them again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from labeler_ops.backup import db_settings
from labeler_ops.connecting import Connection, connected
from labeler_ops.database.own_objects import OWN_RELATIONS, THIS_DATABASE, USER_SCHEMA, not_of_an_extension
from labeler_ops.database.roles import ROLES, Database
from labeler_ops.database.verify.structure import DefinitionDifference
from labeler_ops.errors import DatabaseError

_NAME = "(pg_identify_object('{}'::regclass, {}.oid, 0)).identity"
_OF_A_COLUMN = "EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))"
THINGS = f"""
    things AS (
        SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
               {_NAME.format("pg_class", "c")} AS name, '' AS part, c.relowner AS owner, c.relacl AS acl,
               c.relkind = 'S' AND {_OF_A_COLUMN} AS goes_along
        {OWN_RELATIONS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        UNION ALL
        SELECT 'TABLE', {_NAME.format("pg_class", "c")}, format('(%I)', a.attname), c.relowner, a.attacl, true
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMA} AND a.attacl IS NOT NULL
        UNION ALL
        SELECT 'ROUTINE', {_NAME.format("pg_proc", "p")}, '', p.proowner, p.proacl, false
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {USER_SCHEMA} AND p.proname <> 'maintenance_fence' AND {not_of_an_extension("p", "pg_proc")}
        UNION ALL
        SELECT 'TYPE', {_NAME.format("pg_type", "t")}, '', t.typowner, t.typacl, false
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE {USER_SCHEMA} AND t.typtype IN ('d', 'e') AND {not_of_an_extension("t", "pg_type")}
        UNION ALL
        SELECT 'SCHEMA', format('%I', n.nspname), '', n.nspowner, n.nspacl, n.nspname = 'public'
        FROM pg_namespace n WHERE {USER_SCHEMA} AND {not_of_an_extension("n", "pg_namespace")}
        UNION ALL SELECT 'DATABASE', '', '', b.datdba, b.datacl, true FROM {THIS_DATABASE} b
    )"""  # noqa: S608 - constants of ours
"""Everything that has an owner and may have grants, as GRANT calls it: `part` is a column of it.

A sequence of a column gets its owner with its table, as a column does; others give the database and its public schema.
"""
# Who owns something, may do something, gave it, is named by a policy or has settings here. PostgreSQL's own roles are
# on every server.
_ROLES = f"""
    WITH {THINGS}, given AS (
        SELECT owner, acl FROM things UNION ALL SELECT defaclrole, defaclacl FROM pg_default_acl
    ), named AS (
        SELECT owner AS role, true AS owns FROM given
        UNION SELECT unnest(ARRAY[x.grantee, nullif(x.grantor, owner)]), false
              FROM given CROSS JOIN aclexplode(acl) x WHERE x.grantee <> owner
        UNION SELECT unnest(y.polroles), false FROM pg_policy y
        UNION SELECT s.setrole, true FROM pg_db_role_setting s JOIN {THIS_DATABASE} b ON b.oid = s.setdatabase
    )
    SELECT r.rolname FROM named JOIN pg_roles r ON r.oid = named.role
    WHERE r.rolname !~ '^pg_' AND (NOT owns OR $1) GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - constants of ours
_GRANTEE = "CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END"
_OPTION = "CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
_OF_DATABASE = f"""
    SELECT format('ALTER DATABASE %I OWNER TO %I', $1::text, pg_get_userbyid(b.datdba)) FROM {THIS_DATABASE} b
    UNION ALL
    SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $1) FROM {THIS_DATABASE} b WHERE b.datacl IS NOT NULL
    UNION ALL
    SELECT format('GRANT %s ON DATABASE %I TO %s%s', x.privilege_type, $1, {_GRANTEE}, {_OPTION})
    FROM {THIS_DATABASE} b CROSS JOIN aclexplode(b.datacl) x WHERE x.grantee <> b.datdba
"""  # noqa: S608 - constants of ours
_OF_ROLES = f"""
    SELECT quote_ident(pg_get_userbyid(r.setrole)) AS role, split_part(s, '=', 1) AS name,
           substr(s, strpos(s, '=') + 1) AS value
    FROM pg_db_role_setting r JOIN {THIS_DATABASE} b ON b.oid = r.setdatabase CROSS JOIN unnest(r.setconfig) s
    WHERE r.setrole <> 0 AND pg_get_userbyid(r.setrole) <> $1
"""  # noqa: S608 - constants of ours
# What the owners gave to others. Everybody may execute a function unless that was taken back. On the database itself
# and to everybody on the schema public, the role that serves decides.
_GIVEN = f"""
    WITH {THINGS}, defaults AS (
        SELECT coalesce('IN SCHEMA ' || quote_ident(n.nspname), '') AS place, d.defaclacl AS acl, d.defaclrole AS owner,
               CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
                                    WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END AS kind
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    )
    SELECT format('REVOKE ALL ON %s %s FROM PUBLIC', kind, name) FROM things
    WHERE kind IN ('ROUTINE', 'TYPE') AND acl IS NOT NULL
    UNION ALL
    SELECT format('GRANT %s%s ON %s %s TO %s%s', x.privilege_type, part, kind, name, {_GRANTEE}, {_OPTION})
    FROM things CROSS JOIN aclexplode(acl) x
    WHERE x.grantee <> owner AND kind <> 'DATABASE' AND (kind, name, x.grantee) <> ('SCHEMA', 'public', 0)
    UNION ALL
    SELECT format('GRANT %s ON DATABASE %I TO %s%s', x.privilege_type, $1::text, {_GRANTEE}, {_OPTION})
    FROM things CROSS JOIN aclexplode(acl) x WHERE x.grantee NOT IN (0, owner) AND kind = 'DATABASE'
    UNION ALL
    SELECT format('GRANT CONNECT ON DATABASE %I TO %s', $1, {_GRANTEE})
    FROM things CROSS JOIN aclexplode(acl) x
    WHERE x.grantee NOT IN (0, owner) AND has_database_privilege(x.grantee, current_database(), 'CONNECT')
    UNION ALL
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE ALL ON %s FROM PUBLIC', $2::text, kind)
    FROM defaults WHERE kind IN ('ROUTINES', 'TYPES') AND place = ''
    UNION ALL
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s GRANT %s ON %s TO %s%s',
                  $2, place, x.privilege_type, kind, {_GRANTEE}, {_OPTION})
    FROM defaults CROSS JOIN aclexplode(acl) x WHERE x.grantee <> owner
"""  # noqa: S608 - constants of ours
_TARGET = "SELECT datname::text, pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
_MISSING_READER = "SELECT format('CREATE ROLE %I NOLOGIN', $1::text) WHERE to_regrole(quote_ident($1)) IS NULL"

# What everybody loses where a role of ours may only read: `labeler db roles` takes it away. A role that may use a
# sequence may write with it.
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"})
_TAKEN = {"database": frozenset({"CREATE", "TEMPORARY"}), "schema public": frozenset({"CREATE"})}


async def missing(source: Connection, target: Connection, database: Database) -> list[str]:
    """Name the roles of the source that the target's server has not; ours is made by the move.

    Of the Labeler DB those that own something may be missing: another role owns it afterwards.
    """
    wanted = {row[0] for row in await source.fetch(_ROLES, database != "labeler")} - {ROLES[database]}
    there = {row[0] for row in await target.fetch("SELECT rolname FROM pg_roles")}
    return sorted(wanted - there)


async def make_reader(target: str, database: Database) -> None:
    """Make the role that our services read by, without a login yet: grants of the source name it."""
    async with connected(target) as connection:
        with suppress(asyncpg.DuplicateObjectError):  # somebody else was quicker
            if statement := await connection.fetchval(_MISSING_READER, ROLES[database]):
                await connection.execute(statement)


async def carry_database_s(source: str, target: str, database: Database) -> None:
    """Give the target what belongs to the source's database itself, and is in no dump.

    That is its owner, its grants such as CONNECT, and what its roles have set for themselves in it.
    """
    async with _both(source, target) as (ours, theirs):
        name, _ = await theirs.fetchrow(_TARGET) or ("", "")
        for (statement,) in await ours.fetch(_OF_DATABASE, name):
            await theirs.execute(statement)
        for row in await ours.fetch(_OF_ROLES, ROLES[database]):
            await db_settings.put(theirs, {row["name"]: row["value"]}, role=row["role"])


async def give_again(source: str, target: str) -> list[str]:
    """Let others do with a Labeler DB what they may do with its source, once it has its owner.

    Returns the grants of what there is no more after an upgrade. Raises DatabaseError.
    """
    gone = []
    async with _both(source, target) as (ours, theirs):
        for (statement,) in await ours.fetch(_GIVEN, *(await theirs.fetchrow(_TARGET) or ())):
            try:
                async with theirs.transaction():
                    await theirs.execute(statement)
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError):
                gone.append(statement)
    return gone


@asynccontextmanager
async def _both(source: str, target: str) -> AsyncIterator[tuple[Connection, Connection]]:
    """Connect to both, and do everything on the target or nothing. Raises DatabaseError."""
    async with connected(source) as ours, connected(target) as theirs:
        try:
            async with theirs.transaction():
                yield ours, theirs
        except asyncpg.PostgresError as error:
            raise DatabaseError(f"the grants of the source cannot be given to the target: {error}") from error


def is_on_purpose(found: DefinitionDifference, database: Database) -> bool:
    """Whether the role that our services read by makes this difference.

    It gets grants and settings of its own, and everybody loses what it could write with as everybody may.
    """
    reader = ROLES[database]
    if found.kind == "role setting":
        return found.name.startswith(f"{reader}.")
    what, _, who = found.name.rpartition(" to ")
    if found.kind != "grant" or who not in {reader, "PUBLIC"}:
        return False
    before, after = [set(side.split(", ")) if side else set() for side in (found.source, found.target)]
    is_sequence = "USAGE" in before and " " not in what
    return who == reader or (after <= before and (is_sequence or before - after <= _TAKEN.get(what, _WRITES)))
