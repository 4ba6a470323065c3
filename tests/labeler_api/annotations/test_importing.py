"""While an import is at work on an image, nobody confirms what is on it: 423, which says whose import it is."""

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import MEMBERS, at, box, create_annotation
from tests.fixtures.api import Api

_MARK = (
    "INSERT INTO importing_images (project_id, image_id, import_id, user_id)"
    " VALUES ($1, $2, $3::text::xid8::text::bigint, $4)"
)


async def test_an_image_that_is_imported_is_not_confirmed(api: Api) -> None:
    dataset = await api.dataset(images=2, tasks=["detection"], members=MEMBERS)
    client = await api.login("reviewer")
    there, elsewhere = (
        await create_annotation(client, box(dataset, 0)),
        await create_annotation(client, box(dataset, 1)),
    )
    of_image = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}"
    calls = [f"{place}/{word}" for place in (at(there), of_image) for word in ("confirm", "unconfirm")]
    async with api.db.begin() as importing:
        number = await importing.fetchval("SELECT pg_current_xact_id()::text")
        async with api.db.begin() as tx:
            await tx.execute(_MARK, dataset.project_id, dataset.image_ids[0], number, USER_IDS["admin"])
        for call in calls:
            answer = await client.post(call, json={})
            assert answer.status_code == 423, (call, answer.text)
            assert answer.json()["lock"]["user_id"] == USER_IDS["admin"]
            assert "An import of" in answer.json()["detail"]
        assert (await client.post(at(elsewhere, "/confirm"), json={})).status_code == 200
    # Its transaction has ended, however that was, and the mark with it.
    for call in calls:
        answer = await client.post(call, json={})
        assert answer.status_code == 200, (call, answer.text)
