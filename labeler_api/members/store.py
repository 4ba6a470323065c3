"""SQL of project members."""

from collections.abc import Mapping
from typing import Any

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

# A project's id or the id of its dataset, by look-up and never by prefix: legacy ids may be UUIDs. Found from the
# dataset, so that one without a project is found, too; and by keys alone (an OR over two tables would scan both).
_ACCESS = """
    SELECT p.id AS project_id, d.id AS dataset_id, d.visibility, d.owner_id AS dataset_owner_id, m.role
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
    WHERE d.id = COALESCE((SELECT dataset_id FROM annotation_projects WHERE id = $1), $1)
"""

_LIST = """
    SELECT id, project_id, user_id, role, granted_by, granted_at
    FROM project_permissions WHERE project_id = $1
    ORDER BY granted_at, id
"""

_ADD = """
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT uq_project_user DO NOTHING
    RETURNING id, project_id, user_id, role, granted_by, granted_at
"""


async def access(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Find the project or dataset behind a reference, with the caller's stored role."""
    return await connection.fetchrow(_ACCESS, reference, user_id)


async def page(connection: ReadConnection, project_id: str) -> list[Row]:
    """Return every member of a project, the earliest first."""
    return await connection.fetch(_LIST, project_id)


async def add(
    tx: WriteTransaction, project_id: str, user_id: int, role: str, granted_by: int
) -> Mapping[str, Any] | None:
    """Add a member; None when they are one already."""
    return await tx.fetchrow(_ADD, project_id, user_id, role, granted_by)
