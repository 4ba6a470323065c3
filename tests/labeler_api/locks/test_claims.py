"""Many at once: whoever claims an image, exactly one holds it."""

import asyncio
from collections import Counter

from labeler_api.db.pool import Database
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

CLAIMANTS = 50


async def claim(
    db: Database, dataset: Dataset, image_ids: list[str], user_id: int, seconds: int = 300
) -> dict[str, bool]:
    """Claim images as a batch does."""
    async with db.begin() as tx:
        row = await tx.fetchrow(
            "SELECT * FROM claim_images_1($1, $2, $3, $4, $5)",
            dataset.project_id,
            dataset.id,
            image_ids,
            user_id,
            seconds,
        )
    assert row is not None
    return dict.fromkeys(row["mine"], True) | {lock["image_id"]: False for lock in row["refused"]}


async def holder(db: Database, dataset: Dataset, image_id: str) -> int:
    async with db.read() as connection:
        user_id: int = await connection.fetchval(
            "SELECT user_id FROM image_locks WHERE project_id = $1 AND image_id = $2", dataset.project_id, image_id
        )
    return user_id


async def test_fifty_claimants_of_a_free_image(api: Api) -> None:
    dataset = await api.dataset(images=1)
    (image_id,) = dataset.image_ids
    answers = await asyncio.gather(*(claim(api.db, dataset, [image_id], user) for user in range(1, CLAIMANTS + 1)))
    winners = [user for user, answer in enumerate(answers, 1) if answer[image_id]]
    assert winners == [await holder(api.db, dataset, image_id)]


async def test_fifty_claimants_of_an_expired_lock(api: Api) -> None:
    dataset = await api.dataset(images=1)
    (image_id,) = dataset.image_ids
    for _ in range(5):
        async with api.db.begin() as tx:
            await tx.execute("DELETE FROM image_locks")
            await tx.execute(
                "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
                " VALUES ($1, $2, 99, clock_timestamp() - interval '1 second')",
                dataset.project_id,
                image_id,
            )
        answers = await asyncio.gather(*(claim(api.db, dataset, [image_id], user) for user in range(1, CLAIMANTS + 1)))
        winners = [user for user, answer in enumerate(answers, 1) if answer[image_id]]
        assert winners == [await holder(api.db, dataset, image_id)]


async def test_claims_of_many_images_cross_without_a_deadlock(api: Api) -> None:
    dataset = await api.dataset(images=20)
    orders = [sorted(dataset.image_ids, reverse=bool(user % 2)) for user in range(1, 21)]
    answers = await asyncio.gather(*(claim(api.db, dataset, order, user) for user, order in enumerate(orders, 1)))
    held = Counter(image_id for answer in answers for image_id, mine in answer.items() if mine)
    assert held == dict.fromkeys(dataset.image_ids, 1)


async def test_requests_side_by_side(api: Api) -> None:
    accounts = {"owner": "owner", "admin": "admin", "reviewer": "reviewer", "annotator": "annotator"}
    dataset = await api.dataset(images=1, members={name: role for name, role in accounts.items() if name != "owner"})
    target = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}/acquire"
    clients = [await api.login(account) for account in accounts] * 12
    answers = [answer.json() for answer in await asyncio.gather(*(client.post(target) for client in clients))]
    words = Counter(answer["status"] for answer in answers)
    assert words["acquired"] == 1
    holders = {(answer["lock"] or answer["locked_by"])["user_id"] for answer in answers}
    assert holders == {await holder(api.db, dataset, dataset.image_ids[0])}
    assert words == {"acquired": 1, "refreshed": 11, "already_locked": 36}


async def test_release_and_acquire_in_either_order(api: Api) -> None:
    """After every save the frontend sends both; whatever lands last, neither fails and nobody else gets in between."""
    dataset = await api.dataset(images=1, members={"annotator": "annotator"})
    client = await api.login("annotator")
    target = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[0]}"
    for _ in range(20):
        await client.post(f"{target}/acquire")
        released, acquired = await asyncio.gather(client.delete(target), client.post(f"{target}/acquire"))
        assert released.json()["status"] in {"released", "not_locked"}
        assert acquired.json()["status"] in {"acquired", "refreshed"}
