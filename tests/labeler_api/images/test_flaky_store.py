"""Uploads to a store that fails now and then: patience first, then the picture fails alone, and the batch goes on."""

import pytest

from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.api import storage_environment
from tests.fixtures.cut_uploads import running
from tests.fixtures.pictures import image_rows, noise, picture, upload
from tests.fixtures.users import RunningGateway
from tests.labeler_api.images.flaky import flaky, sometimes

PICTURES = 40


@pytest.mark.parametrize("share", [0.05, 0.2])
async def test_a_store_that_fails_now_and_then_costs_nothing_but_time(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer, share: float
) -> None:
    files = [(f"{number}.jpg", picture(10 + number, 10)) for number in range(PICTURES)]
    async with flaky(object_store.access.endpoint, sometimes(share, seed=7)) as url:
        store = storage_environment(object_store) | {"S3_ENDPOINT": url}
        async with running(labeler_dsn, gateway, store) as api:
            owner = await api.login("owner")
            for _ in range(2):
                dataset = await api.dataset()
                answer = await upload(owner, dataset, *files)
                assert answer.status_code == 200, answer.text
                assert answer.json().get("failed") == [], answer.text
                assert len(await image_rows(api, dataset)) == PICTURES


async def test_a_large_picture_travels_in_parts_and_each_of_them_is_tried_again(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer
) -> None:
    content = noise(400, 300) + bytes(40 * 1024 * 1024)  # five parts; what follows a JPEG's end is nobody's concern
    async with flaky(object_store.access.endpoint, sometimes(0.3, seed=7)) as url:
        store = storage_environment(object_store) | {"S3_ENDPOINT": url, "MAX_UPLOAD_FILE_BYTES": str(2**28)}
        async with running(labeler_dsn, gateway, store) as api:
            dataset = await api.dataset()
            answer = await upload(await api.login("owner"), dataset, ("large.jpg", content))
            assert answer.status_code == 200, answer.text
            assert answer.json().get("failed") == [], answer.text
            assert (await image_rows(api, dataset))["large"]["size"] == len(content)


async def test_a_picture_that_the_store_never_takes_fails_alone(
    labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer
) -> None:
    async with flaky(object_store.access.endpoint, lambda request: "/bad." in request.path) as url:
        store = storage_environment(object_store) | {"S3_ENDPOINT": url}
        async with running(labeler_dsn, gateway, store) as api:
            dataset = await api.dataset()
            owner = await api.login("owner")
            answer = await upload(owner, dataset, ("a.jpg", picture()), ("bad.jpg", picture()), ("c.jpg", picture()))
            body = answer.json()
            assert answer.status_code == 200
            assert body["images_uploaded"] == 2
            assert body["failed_total"] == 1
            assert body["failed"][0]["filename"] == "bad.jpg"
            assert sorted(await image_rows(api, dataset)) == ["a", "c"]
            # Alone, it is nothing that was wrong with the request: it may be sent again.
            answer = await upload(owner, dataset, ("bad.jpg", picture()))
            assert answer.status_code == 503
            assert answer.json()["code"] == "storage_unavailable"
