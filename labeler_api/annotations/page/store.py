"""SQL of the page of a project's annotations: one statement reads it, or only what was written since it was read."""

# ruff: noqa: S608 - the only text put into the statements is lists of columns

from dataclasses import dataclass

from labeler_api.annotations.editing.store import JSON, PLAIN
from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.members.authorization.access import COLUMNS as ACCESS
from labeler_api.members.authorization.access import FOUND, WHERE_FOUND
from labeler_api.projects.waiting_counters import REVISION

_OWN = tuple(column for column in PLAIN if column != "project_id")

_IF_FRESH = [f"CASE WHEN is_fresh THEN {column} END AS {column}" for column in (*JSON, "notes")]

# The caller's access, and the number that every change of the project's annotations bumps.
_VIEW = f"SELECT {ACCESS}, {REVISION} AS revision {FOUND} {WHERE_FOUND}"

# $6 and $7: the project and the revision that are known; if they still hold, no row is read. $8: the oldest transaction
# that was under way when the page was read. Rows that an older one wrote have not changed: only their ids are read. $1
# has to be the project's id; for a dataset's id there are no rows.
# The function makes settings of its own, each time that it is called: a quarter of the statement's time where nothing
# is to be read. It takes the project from `found`, so it can only come behind that, once for a row that is left of it.
_PAGE = f"""
    WITH found AS MATERIALIZED (
        SELECT {ACCESS}, {REVISION} AS revision, pg_snapshot_xmin(pg_current_snapshot())::xid AS horizon
        {FOUND} {WHERE_FOUND}
    ),
    present AS MATERIALIZED (
        SELECT {", ".join(f"page.{column}" for column in _OWN)}, is_fresh, {", ".join(_IF_FRESH)}
        FROM found CROSS JOIN LATERAL project_page_1(found.project_id, $3, $4, $5, $8::xid) page
        WHERE found.project_id = $1 AND (found.project_id, found.revision) IS DISTINCT FROM ($6::varchar, $7::bigint)
    ),
    listed AS MATERIALIZED (
        SELECT array_agg(id ORDER BY id) AS ids, min(id) FILTER (WHERE is_fresh) AS first_fresh FROM present
    )
    SELECT read.*, found.*, CASE WHEN read.id IS NOT DISTINCT FROM listed.first_fresh THEN listed.ids END AS ids
    FROM found CROSS JOIN listed LEFT JOIN LATERAL ({
    page_bytes.page(
        f"SELECT {', '.join((*_OWN, *JSON, 'notes'))} FROM present WHERE is_fresh ORDER BY id",
        "id",
        kept=_OWN,
        json=JSON,
        text=("notes",),
    )
}) read ON true ORDER BY read.id
"""


@dataclass(frozen=True, slots=True)
class PagePosition:
    """Which page, of a project by its id. By its dataset's the access is found, and no rows."""

    reference: str
    after_id: int
    limit: int
    skip: int


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What is known of a page. `horizon` is that of its reading, None where it has to be read whole."""

    project_id: str
    revision: int
    horizon: int | None


@dataclass(frozen=True, slots=True)
class Read:
    """The user's access with `revision` and `horizon`; the page's ids; rows that are not known; if bytes ended it.

    Of a revision that is known there is neither an id nor a row.
    """

    found: Row | None
    ids: list[int]
    rows: list[Row]
    is_cut: bool


async def view(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Return the user's access and the project's `revision`."""
    return await connection.fetchrow(_VIEW, reference, user_id)


async def page(connection: ReadConnection, place: PagePosition, user_id: int, known: KnownPage | None) -> Read:
    """Return annotations of a project by id, with the user's access to it."""
    given = (known.project_id, known.revision, known.horizon) if known else (None, None, None)
    found = await connection.fetch(_PAGE, place.reference, user_id, place.after_id, place.limit, place.skip, *given)
    if not found:
        return Read(None, [], [], False)
    rows, is_cut = page_bytes.taken([row for row in found if row["id"] is not None])
    return Read(found[0], found[0]["ids"] or [], rows, is_cut)
