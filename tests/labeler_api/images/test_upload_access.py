"""Who may upload, at the beginning and at the end of an upload."""

from collections.abc import AsyncIterator

import pytest

from tests.fixtures.accounts import VIEWER
from tests.fixtures.api import Api
from tests.fixtures.pictures import image_rows, picture, upload

GOOD = ("good.jpg", picture(10, 10))


@pytest.mark.parametrize(
    ("account", "status"),
    [("stranger", 404), ("viewer", 403), ("annotator", 403), ("reviewer", 403), ("owner", 200), ("admin", 200)],
)
async def test_who_may_upload(api: Api, account: str, status: int) -> None:
    members = {name: name for name in ("viewer", "annotator", "reviewer")}
    dataset = await api.dataset(members=members)
    answer = await upload(await api.login(account), dataset, GOOD)
    assert answer.status_code == status
    assert len(await image_rows(api, dataset)) == (status == 200)


async def test_a_project_admin_may_upload_and_nobody_without_a_token(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "admin"})
    assert (await upload(await api.login("viewer"), dataset, GOOD)).status_code == 200
    assert (await upload(api.client(), dataset, GOOD)).status_code == 401
    assert (await upload(await api.login("owner"), "ds_nothing", GOOD)).status_code == 404


async def test_who_loses_the_role_while_uploading_adds_nothing(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "admin"})
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield part + picture()
        async with api.db.begin() as tx:
            await tx.execute(
                f"DELETE FROM project_permissions WHERE project_id = $1 AND user_id = {VIEWER.id}", dataset.project_id
            )
        yield b"\r\n--x--\r\n"

    client = await api.login("viewer")
    answer = await client.post(
        f"/api/v1/datasets/{dataset.id}/images",
        content=body(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 404
    assert await image_rows(api, dataset) == {}
