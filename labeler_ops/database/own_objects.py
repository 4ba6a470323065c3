"""Which objects of a database are its users' own, neither PostgreSQL's nor an extension's: pieces of SQL, and quoting.

In each piece `n` is the schema's row of pg_namespace and `c` a relation's of pg_class.
"""

USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

THIS_DATABASE = "(SELECT * FROM pg_database WHERE datname = current_database())"


def not_of_an_extension(alias: str, catalog: str) -> str:
    """Say that an object of a catalog is not an extension's: numbers of objects are those of their catalog alone."""
    return (
        f"NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass"
        f" AND e.objid = {alias}.oid AND e.deptype = 'e')"
    )


OWN_RELATIONS = f"""
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {USER_SCHEMA} AND {not_of_an_extension("c", "pg_class")}"""
"""Tables, views, sequences and whatever else is a relation; a kind is added by `AND c.relkind …`."""


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for a command that takes no parameters."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    # E'' so that a backslash means itself whatever standard_conforming_strings says.
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"
