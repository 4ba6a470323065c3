"""SQL of project members."""

from collections.abc import Mapping, Sequence
from typing import Any

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import COLUMNS, FOUND, WHERE_FOUND

_ACCESS = f"SELECT {COLUMNS} {FOUND} {WHERE_FOUND}"

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

_ROLE = "SELECT role FROM project_permissions WHERE project_id = $1 AND user_id = $2"

# $4: the roles that the caller may change. The row as it is at this very moment decides, not one read before.
_CHANGE = """
    UPDATE project_permissions SET role = $3
    WHERE project_id = $1 AND user_id = $2 AND role = ANY ($4::text[])
    RETURNING id, project_id, user_id, role, granted_by, granted_at
"""

# Shared: whoever removes the member or changes their role waits for this transaction to end. The project's row first,
# as everywhere else, and no more of it than a new row that refers to it would take.
_HOLD = """
    SELECT m.role = $3::text
    FROM annotation_projects p JOIN project_permissions m ON m.project_id = p.id
    WHERE p.id = $1 AND m.user_id = $2
    FOR KEY SHARE OF p FOR SHARE OF m
"""

_REMOVE = "DELETE FROM project_permissions WHERE project_id = $1 AND user_id = $2 AND role = ANY ($3::text[])"

# A statement of its own, so that it sees the locks which the member took while the removal waited for them.
_FREE_IMAGES = "DELETE FROM image_locks WHERE project_id = $1 AND user_id = $2"

# The project's row first, then the dataset's, as uploads take them; of two transfers at once the second waits here.
_MOVE_OWNER = """
    WITH project AS (
        UPDATE annotation_projects SET owner_id = $2, last_updated_by = $3, updated_at = clock_timestamp()
        WHERE id = $1
        RETURNING dataset_id
    )
    UPDATE datasets d SET owner_id = $2, updated_at = clock_timestamp()
    FROM project WHERE d.id = project.dataset_id
"""

# Before the next one is made: the index of owners allows one at a time.
_RESIGN = """
    UPDATE project_permissions SET role = $3 WHERE project_id = $1 AND user_id = $2 AND role = 'owner'
"""

_MAKE_OWNER = """
    UPDATE project_permissions SET role = 'owner' WHERE project_id = $1 AND user_id = $2
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


async def role(connection: ReadConnection, project_id: str, user_id: int) -> str | None:
    """Find the role of a member; None for who is none."""
    found: str | None = await connection.fetchval(_ROLE, project_id, user_id)
    return found


async def change(
    tx: WriteTransaction, project_id: str, user_id: int, wanted: str, present: Sequence[str]
) -> Row | None:
    """Give a member another role; None when they are no member, or their role is not among those in `present`."""
    return await tx.fetchrow(_CHANGE, project_id, user_id, wanted, list(present))


async def remove(tx: WriteTransaction, project_id: str, user_id: int, present: Sequence[str]) -> bool:
    """Remove a member, and their locks; False as `change` answers None."""
    if not await tx.execute(_REMOVE, project_id, user_id, list(present)):
        return False
    await tx.execute(_FREE_IMAGES, project_id, user_id)
    return True


async def hold(tx: WriteTransaction, project_id: str, user_id: int, role: str) -> bool:
    """Keep a member's role as it is until the transaction ends; False when it is another one now, or none."""
    return bool(await tx.fetchval(_HOLD, project_id, user_id, role))


async def move_owner(tx: WriteTransaction, project_id: str, user_id: int, actor: int) -> None:
    """Write the new owner into the project's row and the dataset's."""
    await tx.execute(_MOVE_OWNER, project_id, user_id, actor)


async def resign(tx: WriteTransaction, project_id: str, user_id: int, role: str) -> bool:
    """Give the owner another role; False when they are not the owner any more."""
    return await tx.execute(_RESIGN, project_id, user_id, role) > 0


async def make_owner(tx: WriteTransaction, project_id: str, user_id: int) -> Row | None:
    """Make a member the owner; None when they are no member. The former one has to have resigned."""
    return await tx.fetchrow(_MAKE_OWNER, project_id, user_id)
