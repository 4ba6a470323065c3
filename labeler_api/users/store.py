"""SQL that the search for users needs: who need not be found."""

from labeler_api.db.pool import ReadConnection

# One row where the project (or dataset, by either id) exists and the caller may see it: a member, everybody when it
# is public, a system admin. Membership itself stands to the right of users, so its service cannot be asked.
_MEMBERS = """
    SELECT ARRAY(SELECT m.user_id FROM project_permissions m WHERE m.project_id = p.id) || d.owner_id AS user_ids
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    WHERE d.id = COALESCE((SELECT dataset_id FROM annotation_projects WHERE id = $1), $1) AND d.deleted_at IS NULL
      AND ($3::boolean OR d.visibility = 'public' OR d.owner_id = $2
           OR EXISTS (SELECT FROM project_permissions m WHERE m.project_id = p.id AND m.user_id = $2))
"""


async def members(connection: ReadConnection, reference: str, user_id: int, *, is_admin: bool) -> list[int] | None:
    """Return the ids of a project's members; None where the caller may not know of the project."""
    user_ids: list[int] | None = await connection.fetchval(_MEMBERS, reference, user_id, is_admin)
    return user_ids
