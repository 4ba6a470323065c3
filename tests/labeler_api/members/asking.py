"""What the tests of memberships ask the database and the API."""

from typing import Any

import httpx

from tests.fixtures.api import USER_IDS, Api, Made

ALL = {"reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
MEMBER_KEYS = {
    "id", "project_id", "user_id", "role", "granted_by", "granted_at", "user_name", "user_email", "user_badge_color",
    "granted_by_name", "granted_by_email",
}  # fmt: skip
PERMISSION_KEYS = MEMBER_KEYS - {"project_id"} | {"dataset_id"}


def members_url(made: Made, account: str | None = None, *, by_project: bool = False) -> str:
    reference = made.project_id if by_project else made.dataset_id
    return f"/api/v1/projects/{reference}/permissions" + (f"/{USER_IDS[account]}" if account else "")


def dataset_url(made: Made, account: str | None = None) -> str:
    return f"/api/v1/datasets/{made.dataset_id}/permissions" + (f"/{USER_IDS[account]}" if account else "")


async def roles(api: Api, made: Made) -> dict[int, str]:
    """The stored roles by user."""
    async with api.db.read() as connection:
        found = await connection.fetch(
            "SELECT user_id, role FROM project_permissions WHERE project_id = $1", made.project_id
        )
    return {row["user_id"]: row["role"] for row in found}


async def owners(api: Api, made: Made) -> tuple[list[int], int, int]:
    """Who owns: by the roles, by the project's column, by the dataset's."""
    async with api.db.read() as connection:
        row = await connection.fetchrow(
            "SELECT ARRAY(SELECT user_id FROM project_permissions WHERE project_id = p.id AND role = 'owner') AS roles,"
            " p.owner_id AS project, d.owner_id AS dataset"
            " FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id WHERE p.id = $1",
            made.project_id,
        )
    assert row is not None
    return row["roles"], row["project"], row["dataset"]


def refusal(answer: httpx.Response) -> tuple[int, Any]:
    """The status and the code of an answer."""
    return answer.status_code, answer.json()["code"]
