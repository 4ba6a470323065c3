"""Whether a database may be upgraded: an empty one, one of ours, or one that is what production is."""

from collections.abc import Iterable

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from labeler_api.migrations import DIRECTORY, HEAD, PRODUCTION
from labeler_ops.database import catalog
from labeler_ops.errors import DatabaseError

_SHOWN = 40  # differences; a wrong database has hundreds


def alembic() -> Config:
    """Where Alembic finds the revisions."""
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def examine(connection: Connection, revision: str | None) -> list[str]:
    """Look at the database before anything is changed; what is worth noting. Raises DatabaseError."""
    if revision is None:
        return _require_empty(connection)
    known = {script.revision: script for script in ScriptDirectory.from_config(alembic()).walk_revisions()}
    if revision not in known:
        raise DatabaseError(
            f"the database stands at revision {revision!r}, which this program does not know. A database of the old "
            f"backend has to be at its last revision, {PRODUCTION}: run the old backend's migrations first. A database "
            f"of a newer release (this one ends at {HEAD}) needs that release."
        )
    if revision != PRODUCTION:
        return []
    first = known[PRODUCTION].module
    return _require_production(connection, (*first.TABLES, *first.INDEXES))


def _require_empty(connection: Connection) -> list[str]:
    found = [name for kind, name in catalog.read(connection) if kind == "table"]
    if found:
        raise DatabaseError(
            f"the database is not empty ({_listed(found)}), and no alembic_version says what it is. For a copy of "
            f"production, restore alembic_version too (it holds {PRODUCTION}); for a new system, give an empty one."
        )
    return []


def _require_production(connection: Connection, statements: Iterable[str]) -> list[str]:
    def build(scratch: Connection) -> None:
        for statement in statements:
            scratch.exec_driver_sql(statement)

    with catalog.expected(connection, build) as wanted:
        differences = catalog.compare(wanted, catalog.read(connection))
    refused = [d for d in differences if not _harmless(d)]
    if refused:
        lines = "\n".join(f"  {difference}" for difference in refused[:_SHOWN])
        more = f"\n  … and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise DatabaseError(
            f"the database says it is at production's revision {PRODUCTION}, but its catalog is another one. Nothing "
            f"was changed. Mend these by hand, then run the upgrade again:\n{lines}{more}"
        )
    return [str(difference) for difference in differences]


def _harmless(difference: catalog.SchemaDifference) -> bool:
    """Whether a difference can neither lose a row nor stop a revision: plain indexes, and tables that are not ours."""
    unique = any("UNIQUE" in (side or "") for side in (difference.expected, difference.found))
    if difference.kind == "index":
        return not unique
    ours = difference.name.startswith("quarantine_") or difference.name == "migration_report"
    return difference.kind == "table" and difference.expected is None and not ours


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004 - enough to know it by
