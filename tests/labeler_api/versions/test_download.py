import re
from email.message import Message

import pytest

from tests.fixtures.accounts import VIEWER
from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.versions import CLASSES, annotate, annotation, downloaded, published


async def _dataset(api: Api, **members: str) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], images=1, classes=CLASSES, members=members)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    return dataset


async def test_the_link_downloads_the_format_asked_for(api: Api) -> None:
    dataset = await _dataset(api)
    owner = await api.login("owner")

    coco = await downloaded(api, await published(owner, dataset, export_format="coco"))
    dice = await downloaded(api, await published(owner, dataset, export_format="dice"))

    assert set(coco.json()) == {"info", "licenses", "images", "annotations", "categories"}
    assert dice.json()["format_version"] == "1.0"
    assert coco.headers["content-disposition"] == 'attachment; filename="Dataset_1_detection_v1.0_coco.json"'
    assert dice.headers["content-disposition"] == 'attachment; filename="Dataset_1_detection_v2.0_dice.json"'
    assert int(coco.headers["content-length"]) == len(coco.content)
    assert coco.headers["content-type"] == "application/json"
    assert coco.headers["x-content-type-options"] == "nosniff"
    assert coco.headers["referrer-policy"] == "no-referrer"
    assert coco.headers["access-control-allow-origin"] == ORIGIN


async def test_a_name_in_another_script_is_told_in_both_forms(api: Api) -> None:
    dataset = await _dataset(api)
    async with api.db.begin() as tx:
        name = '지퍼 검사 100% "최종"/2\n'
        await tx.execute("UPDATE annotation_projects SET name = $2 WHERE id = $1", dataset.project_id, name)

    answer = await downloaded(api, await published(await api.login("owner"), dataset))

    header = answer.headers["content-disposition"]
    assert re.match(r'attachment; filename="[ -!#-~]+"; filename\*=UTF-8', header)
    message = Message()
    message["Content-Disposition"] = header.partition("; ")[0] + "; " + header.rpartition("; ")[2]
    assert message.get_filename() == "지퍼_검사_100%_최종_2_detection_v1.0_dice.json"


async def test_ranges_and_revalidation(api: Api) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)
    async with api.client() as browser:
        whole = await browser.get(version["download_url"])
        part = await browser.get(version["download_url"], headers={"Range": "bytes=5-14"})
        again = await browser.get(version["download_url"], headers={"If-None-Match": whole.headers["etag"]})
        beyond = await browser.get(version["download_url"], headers={"Range": "bytes=9999999-"})

    assert part.status_code == 206
    assert part.content == whole.content[5:15]
    assert again.status_code == 304
    assert beyond.status_code == 416


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"v=v1\.0", "v=v2.0"),
        (r"u=\d+", "u=1"),
        (r"e=\d+", "e=99999999999"),
        (r"s=.", "s=_"),
        (r"/exports/\d+", "/exports/1999"),
    ],
)
async def test_a_link_that_was_changed_is_not_found(api: Api, old: str, new: str) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)
    changed = re.sub(old, new, version["download_url"])
    assert changed != version["download_url"]

    answer = await downloaded(api, {"download_url": changed})

    assert answer.status_code == 404
    assert answer.json()["code"] == "link_invalid"


async def test_a_link_to_another_number_of_the_version_is_not_found(api: Api) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)

    other = api.services.links.export(version["id"], "v9.0", 2)

    assert (await downloaded(api, {"download_url": other})).status_code == 404


async def test_a_link_gives_no_more_than_its_holder_has_now(api: Api) -> None:
    dataset = await _dataset(api, viewer="viewer")
    await published(await api.login("owner"), dataset)
    page = (await (await api.login("viewer")).get(f"/api/v1/projects/{dataset.project_id}/versions")).json()
    assert (await downloaded(api, page["versions"][0])).status_code == 200

    async with api.db.begin() as tx:
        await tx.execute(
            f"DELETE FROM project_permissions WHERE project_id = $1 AND user_id = {VIEWER.id}", dataset.project_id
        )

    assert (await downloaded(api, page["versions"][0])).status_code == 404


async def test_an_attempt_has_no_file(api: Api) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_versions SET version_type = 'publishing' WHERE id = $1", version["id"])

    assert (await downloaded(api, version)).status_code == 404


async def test_a_row_of_the_system_before_downloads_its_dice_file(api: Api) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_versions SET file_size_bytes = NULL, content_sha256 = NULL, export_format = NULL"
            " WHERE id = $1",
            version["id"],
        )

    answer = await downloaded(api, version)

    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith('_v1.0_dice.json"')


async def test_a_file_that_is_gone_is_a_404(api: Api) -> None:
    dataset = await _dataset(api)
    version = await published(await api.login("owner"), dataset)
    await api.services.objects.delete_many(api.services.settings.s3_bucket_annotations, [version["export_path"]])

    answer = await downloaded(api, version)

    assert answer.status_code == 404
    assert answer.json()["detail"]
