"""The part of a statement that finds what a caller may know of a project.

A call that only reads asks for its rows and the access to them in one statement, which is one round trip; the service
then judges the row by `service.access_of`. Everything else asks `service.authorize`, which runs this part alone, or
locks with it.
"""

from collections.abc import Sequence

from msgspec import Struct

from labeler_api.db.one_and_rows import one_and_rows

# A project's id or the id of its dataset, by look-up and never by prefix: legacy ids may be UUIDs. Found from the
# dataset, so that one without a project is found, too; and by keys alone (an OR over two tables would scan both).
# $1 the reference, $2 the user. Gives `d`, `p` and `m`, the last two of which may be NULL.
FOUND = """
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
"""
# A deleted project has no dataset, so nothing finds it (`deletion.datasets.store`). A deleted dataset says so.
WHERE_FOUND = """
    WHERE d.id = COALESCE((SELECT dataset_id FROM annotation_projects WHERE id = $1), $1) AND d.deleted_at IS NULL
"""
# Keeps a project and a member's role in it until the transaction ends; $2 is NULL if no membership is needed. Shared:
# removing the member or changing their role waits. The project's row first, as everywhere else, and no more of it
# than a new row that refers to it would take.
HELD = """
    held AS (
        SELECT m.role = $3::text AS same
        FROM annotation_projects p JOIN project_permissions m ON m.project_id = p.id
        WHERE p.id = $1 AND m.user_id = $2::integer
        FOR KEY SHARE OF p FOR SHARE OF m
    ), project AS (
        SELECT true AS same FROM annotation_projects
        WHERE id = $1 AND dataset_id IS NOT NULL AND $2::integer IS NULL FOR KEY SHARE
    )
"""
IS_HELD = "COALESCE((SELECT same FROM held), (SELECT same FROM project), false)"
OUTCOME = "outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role"
"""What a function of the database that begins with `lock_project_1` says first (`service.access_held` judges it)."""
COLUMNS = "p.id AS project_id, d.id AS dataset_id, d.visibility, d.owner_id AS dataset_owner_id, m.role"


class Actor(Struct, frozen=True):
    """Who asks a function of the database to change which project; `bypass_role_check` needs none of the roles."""

    reference: str
    user_id: int
    roles: Sequence[str]
    bypass_role_check: bool


def reading(rows: str, order: str = "", *, also: str = "", joined: str = "", where: str = WHERE_FOUND) -> str:
    """Let one statement read rows and the access to them: a row at least where there is something to have access to.

    `rows` may ask for what the access has, as `found.dataset_id`; in the row of an access alone its columns are NULL.
    `also` are columns of the access, asked for once whatever the number of rows, and `joined` what they come from.
    Pass `where` if $1 is not the id of a project or a dataset.
    """
    columns = f"{COLUMNS}, {also}" if also else COLUMNS
    return one_and_rows(columns, f"{FOUND} {joined} {where}", rows, order)
