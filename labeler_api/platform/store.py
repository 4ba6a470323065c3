"""SQL on the Platform DB, with the columns that `labeler db roles platform` grants."""

from labeler_api.db.pool import ReadConnection, Row

# The total comes with the page, also with one beyond the end. $1 is the one organization to show, or null for all.
_ORGANIZATIONS = """
    SELECT counted.total, page.*
    FROM (SELECT count(*)::int AS total FROM organizations WHERE id = $1::int OR $1::int IS NULL) AS counted
    LEFT JOIN LATERAL (
        SELECT id, name, company, division, max_users, max_storage_gb, max_gpu_hours_per_month, created_at, updated_at
        FROM organizations
        WHERE id = $1::int OR $1::int IS NULL
        ORDER BY name, id
        LIMIT $2 OFFSET $3
    ) AS page ON true
    ORDER BY page.name, page.id
"""

_ORGANIZATION = """
    SELECT id, name, company, division, max_users, max_storage_gb, max_gpu_hours_per_month, created_at, updated_at
    FROM organizations
    WHERE id = $1
"""

# No row where there is no such organization.
_WORKSPACES = """
    SELECT (SELECT count(*)::int FROM workspaces WHERE organization_id = o.id) AS total, page.*
    FROM organizations AS o
    LEFT JOIN LATERAL (
        SELECT id, organization_id, name, description, created_at, updated_at
        FROM workspaces
        WHERE organization_id = o.id
        ORDER BY name, id
        LIMIT $2 OFFSET $3
    ) AS page ON true
    WHERE o.id = $1
    ORDER BY page.name, page.id
"""


async def organizations(
    connection: ReadConnection, only: int | None, *, limit: int, offset: int
) -> tuple[int, list[Row]]:
    """Return the number of organizations and a page of them; of `only` this one when it is given."""
    rows = await connection.fetch(_ORGANIZATIONS, only, limit, offset)
    return rows[0]["total"], [row for row in rows if row["id"] is not None]


async def organization(connection: ReadConnection, organization_id: int) -> Row | None:
    """Return one organization."""
    return await connection.fetchrow(_ORGANIZATION, organization_id)


async def workspaces(
    connection: ReadConnection, organization_id: int, *, limit: int, offset: int
) -> tuple[int, list[Row]] | None:
    """Return the number of an organization's workspaces and a page of them; None when there is no such organization."""
    rows = await connection.fetch(_WORKSPACES, organization_id, limit, offset)
    if not rows:
        return None
    return rows[0]["total"], [row for row in rows if row["id"] is not None]
