"""What the tests of invitations send, and what the database then holds."""

from typing import Any

import httpx

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

URL = "/api/v1/invitations"
KEYS = {
    "id", "project_id", "inviter_user_id", "invitee_user_id", "invitee_email", "role", "status", "token", "created_at",
    "expires_at", "accepted_at", "cancelled_at", "inviter_name", "invitee_name", "project_name",
}  # fmt: skip


def body(dataset: Dataset, account: str = "viewer", role: str = "annotator", **changed: Any) -> dict[str, Any]:
    """The body that the frontend sends."""
    return {"project_id": dataset.id, "invitee_user_id": USER_IDS[account], "role": role} | changed


async def invited(client: httpx.AsyncClient, dataset: Dataset, account: str = "viewer", role: str = "annotator") -> Any:
    """Invite somebody; the request is expected to be accepted."""
    answer = await client.post(URL, json=body(dataset, account, role))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def received(api: Api, account: str = "viewer", **params: str) -> list[Any]:
    """What the account sees among its received invitations."""
    answer = await (await api.login(account)).get(URL, params=params)
    assert answer.status_code == 200, answer.text
    invitations: list[Any] = answer.json()["invitations"]
    assert answer.json()["total"] == len(invitations)
    return invitations


async def token_of(api: Api, account: str = "viewer") -> str:
    """The token of the newest invitation that the account received."""
    token: str = (await received(api, account))[0]["token"]
    return token


async def lapse(api: Api) -> None:
    """Let every invitation be past its time."""
    async with api.db.begin() as tx:
        await tx.execute("UPDATE invitations SET expires_at = now() - interval '1 second'")


async def members(api: Api, dataset: Dataset) -> dict[int, str]:
    """The stored roles by user, the owner's aside."""
    found = await rows(
        api,
        "SELECT user_id, role FROM project_permissions WHERE project_id = $1 AND role <> 'owner'",
        dataset.project_id,
    )
    return {row["user_id"]: row["role"] for row in found}
