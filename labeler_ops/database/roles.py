"""The roles of the three databases, as SQL that may be printed, reviewed, and applied again and again.

The User DB and the Platform DB are read by roles that can SELECT named columns and do nothing else, whatever a session
says: no TEMP, no CREATE, no large objects, no memberships. The Labeler DB belongs to its own role.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from labeler_ops.connecting import Connection, connected
from labeler_ops.database.own_objects import literal, quoted

Database = Literal["labeler", "users", "platform"]

DATABASES: Sequence[Database] = get_args(Database)

ROLES: Mapping[Database, str] = {
    "labeler": "labeler",
    "users": "user_readonly",
    "platform": "platform_readonly",
}
"""The role of each database, unless another name is given."""

READABLE: Mapping[Database, Mapping[str, Sequence[str]]] = {
    "labeler": {},
    "users": {
        "users": (
            "id",
            "email",
            "hashed_password",
            "full_name",
            "company",
            "division",
            "department",
            "organization_id",
            "system_role",
            "is_active",
            "avatar_name",
            "badge_color",
            "created_at",
            "updated_at",
        ),
        "profiles": (
            "user_id",
            "full_name",
            "company",
            "division",
            "department",
            "organization_id",
            "system_role",
            "avatar_name",
            "badge_color",
            "created_at",
            "updated_at",
        ),
    },
    "platform": {
        "organizations": (
            "id",
            "name",
            "company",
            "division",
            "max_users",
            "max_storage_gb",
            "max_gpu_hours_per_month",
            "created_at",
            "updated_at",
        ),
        "workspaces": ("id", "organization_id", "name", "description", "created_at", "updated_at"),
    },
}
"""The columns that the read-only roles may read. Never password_reset_token, phone_number or bio."""

# Anybody who may run these writes large objects without a grant on any table.
_LARGE_OBJECT_FUNCTIONS = (
    "lo_creat(integer)",
    "lo_create(oid)",
    "lo_from_bytea(oid, bytea)",
    "lo_import(text)",
    "lo_import(text, oid)",
    "lo_open(oid, integer)",
    "lo_put(oid, bigint, bytea)",
    "lo_truncate(integer, integer)",
    "lo_truncate64(integer, bigint)",
    "lo_unlink(oid)",
    "lowrite(integer, bytea)",
)

# Since PostgreSQL 17 a table has one more privilege, which older servers do not know: it locks the table against all.
_NO_MAINTENANCE = (
    "DO $$ BEGIN IF current_setting('server_version_num')::int >= 170000 "
    "THEN REVOKE MAINTAIN ON ALL TABLES IN SCHEMA public FROM PUBLIC; END IF; END $$"
)

_COLUMNS = """
SELECT c.relname, a.attname
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname = ANY ($1)
  AND a.attnum > 0 AND NOT a.attisdropped
"""


def roles_sql(
    database: Database,
    *,
    database_name: str | None = None,
    role: str | None = None,
    password: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """List the statements for one database, in order, to be run by a superuser (Railway's `postgres` is one).

    `columns` names the tables and columns that exist; without it, all that this project knows. Without a password an
    existing one stays.
    """
    role = role or ROLES[database]
    names = _Names(quoted(role), literal(role), quoted(database_name or database))
    statements = [*_login(names), *([_password(names, password)] if password else [])]
    if database == "labeler":
        return statements + _owner(names)
    return statements + _reader(names, READABLE[database] if columns is None else columns)


async def apply_roles(
    dsn: str, database: Database, *, role: str | None = None, password: str | None = None
) -> list[str]:
    """Run the statements in one transaction as the user of `dsn`; return them, without the password.

    Only columns that exist are granted. Raises DatabaseError when the database cannot be reached, and what asyncpg
    raises, with nothing changed.
    """
    async with connected(dsn) as connection:
        name = await connection.fetchval("SELECT current_database()")
        columns = await existing_columns(connection, database)
        async with connection.transaction():
            # Roles belong to the whole server: two of these at once would trip over each other.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('labeler db roles'))")
            for statement in roles_sql(database, database_name=name, role=role, password=password, columns=columns):
                await connection.execute(statement)
    return roles_sql(database, database_name=name, role=role, columns=columns)


class _Names:
    """The role as an identifier and as a string, and the database as an identifier."""

    def __init__(self, role: str, role_text: str, database: str) -> None:
        self.role = role
        self.role_text = role_text
        self.database = database


async def existing_columns(connection: Connection, database: Database) -> Mapping[str, Sequence[str]]:
    """Find which of the tables and columns that this project reads are there."""
    wanted = READABLE[database]
    there = {(row[0], row[1]) for row in await connection.fetch(_COLUMNS, list(wanted))}
    return {
        table: present
        for table, columns in wanted.items()
        if (present := [column for column in columns if (table, column) in there])
    }


def _login(names: _Names) -> list[str]:
    missing = f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {names.role_text})"
    return [
        f"DO $$ BEGIN {missing} THEN CREATE ROLE {names.role} LOGIN; END IF; END $$",
        f"ALTER ROLE {names.role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
        f"GRANT CONNECT ON DATABASE {names.database} TO {names.role}",
    ]


def _password(names: _Names, password: str) -> str:
    return f"ALTER ROLE {names.role} PASSWORD {literal(password)}"


def _owner(names: _Names) -> list[str]:
    return [
        f"ALTER DATABASE {names.database} OWNER TO {names.role}",
        f"REVOKE ALL ON DATABASE {names.database} FROM PUBLIC",
        f"ALTER SCHEMA public OWNER TO {names.role}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ]


def _reader(names: _Names, columns: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        *_harmless(names),
        f"GRANT USAGE ON SCHEMA public TO {names.role}",
        *(
            f"GRANT SELECT ({', '.join(map(quoted, granted))}) ON TABLE public.{quoted(table)} TO {names.role}"
            for table, granted in columns.items()
        ),
        f"ALTER ROLE {names.role} IN DATABASE {names.database} SET default_transaction_read_only = on",
    ]


def _harmless(names: _Names) -> list[str]:
    """Take away all that the role has, and what everybody has and could write with."""
    everybody = f"PUBLIC, {names.role}"
    large_objects = ", ".join(f"pg_catalog.{function}" for function in _LARGE_OBJECT_FUNCTIONS)
    memberships = (
        "SELECT m.roleid::regrole FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member "  # noqa: S608 - a quoted literal
        f"WHERE r.rolname = {names.role_text}"
    )
    return [
        f"DO $$ DECLARE parent text; BEGIN FOR parent IN {memberships} "
        f"LOOP EXECUTE format('REVOKE %s FROM %s', parent, {literal(names.role)}); END LOOP; END $$",
        f"REVOKE CREATE, TEMPORARY ON DATABASE {names.database} FROM {everybody}",
        f"REVOKE CREATE ON SCHEMA public FROM {everybody}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {names.role}",
        "REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA public FROM PUBLIC",
        _NO_MAINTENANCE,
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {everybody}",
        f"REVOKE EXECUTE ON FUNCTION {large_objects} FROM {everybody}",
    ]
