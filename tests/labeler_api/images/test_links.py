"""Which links are good, for whom, and for how long."""

import httpx
import msgspec

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.api import Api
from tests.fixtures.pictures import image_rows, media_path, picture, upload
from tests.labeler_api.images.test_media import CONTENT, forget, links, one_image


async def test_a_missing_object_is_a_404(api: Api) -> None:
    dataset = await api.dataset(images=1)
    image, thumbnail = await links(api, dataset)
    for path in (image, thumbnail):
        answer = await api.client().get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "object_not_found"
        assert answer.headers["cache-control"] == "no-store"
    assert api.services.objects.open_streams == 0


async def test_a_link_that_was_changed_is_a_404(api: Api) -> None:
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    path, _, query = image.partition("?")
    given = dict(httpx.QueryParams(query).items())
    changes = [{"v": "0" * 16}, {"u": "3"}, {"e": str(int(given["e"]) + 1)}, {"s": "A" * 43}, {"s": ""}]
    for change in changes:
        answer = await api.client().get(path, params=given | change)
        assert answer.status_code == 404
        assert answer.json()["code"] == "link_invalid"
    assert (await api.client().get(path.replace("/images/", "/thumbnails/", 1), params=given)).status_code == 404
    assert (await api.client().get(path)).status_code == 422


async def test_a_link_to_a_replaced_version_is_a_404(api: Api) -> None:
    dataset = await one_image(api)
    old = await links(api, dataset)
    assert (await api.client().get(old[0])).status_code == 200
    await upload(await api.login("owner"), dataset, ("a b/한 1.jpg", picture(5, 5)))
    for path in old:
        answer = await api.client().get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "image_replaced"
    image, thumbnail = await links(api, dataset)
    assert (await api.client().get(image)).content == picture(5, 5)
    assert (await api.client().get(thumbnail)).status_code == 200


async def test_a_member_who_was_removed_loses_the_images(api: Api) -> None:
    dataset = await one_image(api, members={"viewer": "viewer"})
    paths = await links(api, dataset, "viewer")
    assert [(await api.client().get(path)).status_code for path in paths] == [200, 200]
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM project_permissions WHERE user_id = $1", USER_IDS["viewer"])
    forget(api)
    assert [(await api.client().get(path)).status_code for path in paths] == [404, 404]
    assert (await api.client().get((await links(api, dataset))[0])).status_code == 200


async def test_caches_of_membership_live_for_five_seconds(api: Api) -> None:
    for cache in (api.services.caches.images, api.services.caches.viewers):
        assert cache._seconds <= 5


async def test_system_admins_and_viewers_of_public_datasets_may_see(api: Api) -> None:
    dataset = await one_image(api, visibility="public")
    for account in ("admin", "stranger"):
        image, _ = await links(api, dataset, account)
        forget(api)
        assert (await api.client().get(image)).content == CONTENT


async def test_an_object_that_was_replaced_before_its_row_is_shown_but_not_kept(api: Api) -> None:
    """What a crash between object and row leaves."""
    dataset = await one_image(api)
    image, _ = await links(api, dataset)
    key = (await image_rows(api, dataset))["a b/한 1"]["s3_key"]
    await api.services.objects.put("datasets", key, picture(9, 9), "image/jpeg", {"sha256": "0" * 64})
    answer = await api.client().get(image)
    assert answer.status_code == 200
    assert answer.content == picture(9, 9)
    assert answer.headers["cache-control"] == "no-store"


async def test_legacy_rows_have_links_and_types_too(api: Api) -> None:
    dataset = await one_image(api)
    key = (await image_rows(api, dataset))["a b/한 1"]["s3_key"]
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET content_sha256 = NULL, content_type = NULL, thumbnail_key = NULL")
    for kind, served in (("image/jpeg", "image/jpeg"), ("image/svg+xml", "application/octet-stream")):
        await api.services.objects.put("datasets", key, CONTENT, kind)
        listed = (await (await api.login("owner")).get(f"/api/v1/projects/{dataset.project_id}/images")).json()
        assert listed["images"][0]["thumbnail_url"] is None
        answer = await api.client().get(media_path(listed["images"][0]["url"]))
        assert answer.content == CONTENT
        assert answer.headers["content-type"] == served
        assert answer.headers["content-disposition"].startswith("inline" if served == kind else "attachment")


async def test_presigned_links_lead_to_the_store(api: Api) -> None:
    dataset = await one_image(api)
    object.__setattr__(
        api.services, "settings", msgspec.structs.replace(api.services.settings, image_delivery="presigned")
    )
    owner, path = await api.login("owner"), f"/api/v1/projects/{dataset.project_id}/images"
    answer = await owner.get(path)
    [image] = answer.json()["images"]
    unchanged = await owner.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status_code == 304
    assert image["url"].startswith(api.services.settings.storage_url + "/datasets/")
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(image["url"])).content == CONTENT
        assert (await browser.get(image["thumbnail_url"])).status_code == 200
