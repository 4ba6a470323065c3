"""SQL of project members."""

# ruff: noqa: S608 - the only text put into the statements is constants

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS, FOUND, WHERE_FOUND
from labeler_api.members.policy import ProjectLock

_ACCESS = f"SELECT {COLUMNS} {FOUND} {WHERE_FOUND}"


def _access_and_lock(strength: str) -> str:
    """Access and lock at once.

    Only who has one of the roles $3 gets the locks. Unauthorised callers take none, and wait for none.
    $4: without being a member. `held` is the role as it is once the lock was got.
    """
    return f"""
        WITH found AS (SELECT {COLUMNS} {FOUND} {WHERE_FOUND}), held AS (
            SELECT m.role
            FROM annotation_projects p JOIN project_permissions m ON m.project_id = p.id
            WHERE p.id = (SELECT project_id FROM found WHERE role = ANY ($3::text[])) AND m.user_id = $2
            FOR {strength} OF p FOR SHARE OF m
        ), project AS (
            SELECT id FROM annotation_projects
            WHERE $4::boolean AND id = (SELECT project_id FROM found) AND dataset_id IS NOT NULL
            FOR {strength}
        )
        SELECT found.*, (SELECT role FROM held) AS held, (SELECT id FROM project) AS locked FROM found
    """


_ACCESS_AND_ROLE = _access_and_lock("KEY SHARE")


_ACCESS_AND_CHANGE = _access_and_lock("NO KEY UPDATE")


_ACCESS_EXCLUSIVE = _access_and_lock("UPDATE")


_ACCESS_LOCKED = {
    ProjectLock.ROLE: _ACCESS_AND_ROLE,
    ProjectLock.CHANGE: _ACCESS_AND_CHANGE,
    ProjectLock.EXCLUSIVE: _ACCESS_EXCLUSIVE,
}


async def access(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Find the project or dataset behind a reference, with the caller's stored role."""
    return await connection.fetchrow(_ACCESS, reference, user_id)


async def access_locked(
    tx: WriteTransaction,
    reference: str,
    user_id: int,
    roles: Sequence[str],
    *,
    bypass_role_check: bool,
    lock: ProjectLock,
) -> Row | None:
    """Return what `access` does, and lock the project and the member's row: for one of the roles, or for anybody.

    `held` is the member's role now, `locked` the project's id where it was locked for anybody.
    """
    return await tx.fetchrow(_ACCESS_LOCKED[lock], reference, user_id, roles, bypass_role_check)
