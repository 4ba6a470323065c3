"""Uploads: what is stored, under which id, and what is said about it."""

import asyncio
import hashlib
import io
import re
import unicodedata

import pytest
from PIL import Image

from labeler_api.images.upload import session
from tests.fixtures.api import Api
from tests.fixtures.pictures import (
    Counters,
    archive,
    counters,
    image_rows,
    media_path,
    noise,
    picture,
    rotated,
    stored_keys,
    upload,
)


async def test_an_upload_stores_bytes_row_and_thumbnail(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    content = picture(640, 320, colour="red")
    answer = await upload(owner, dataset, ("train/good/001.jpg", content))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "images_uploaded": 1,
        "annotations_imported": 0,
        "import_report": None,
        "storage_bytes_used": len(content),
        "folder_structure": {"train/good": 1},
        "failed": [],
        "failed_total": 0,
        "images": [
            {
                "id": "train/good/001",
                "file_name": "001.jpg",
                "width": 640,
                "height": 320,
                "size": len(content),
                "replaced": False,
            }
        ],
    }
    row = (await image_rows(api, dataset))["train/good/001"]
    assert row["content_sha256"] == hashlib.sha256(content).hexdigest()
    assert row["content_type"] == "image/jpeg"
    assert row["folder_path"] == "train/good"
    assert row["size"] == len(content)
    assert re.fullmatch(rf"datasets/{dataset.id}/images/train/good/001\.[0-9a-f]{{16}}\.jpg", row["s3_key"])
    assert await counters(api, dataset) == Counters(of_dataset=1, of_project=1, revision=1)
    async with api.services.objects.open("datasets", row["s3_key"]) as stream:
        assert await stream.read() == content
        assert stream.content_type == "image/jpeg"
    async with api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
        thumbnail = Image.open(io.BytesIO(await stream.read()))
    assert thumbnail.size == (256, 128)
    assert thumbnail.format == "JPEG"
    assert await stored_keys(api, dataset, "images") == [row["s3_key"].partition("/images/")[2]]


@pytest.mark.parametrize("rows_at_once", [1, 1000])
async def test_ids_and_answers_follow_the_form_whichever_picture_is_decoded_first(
    api: Api, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_WAITING_ROWS", rows_at_once)
    monkeypatch.setattr(session, "_BATCH", rows_at_once)
    dataset = await api.dataset()
    owner = await api.login("owner")
    slow, quick = noise(5000, 4000), picture(8, 8, "PNG")
    files = [("a.jpg", slow), *((f"{name}.png", quick) for name in "abcdefghijkl"), ("a.jpg", slow)]
    answer = (await upload(owner, dataset, *files)).json()
    assert [image["id"] for image in answer["images"]] == ["a", "a.png", *"bcdefghijkl"]


async def test_each_format_is_known_by_its_bytes(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
    files = [(f"{kind}.dat", picture(20, 10, kind)) for kind in kinds]
    answer = (await upload(owner, dataset, *files, ("lies.png", picture(20, 10, "JPEG")))).json()
    assert answer["failed"] == []
    found = {name: row["content_type"] for name, row in (await image_rows(api, dataset)).items()}
    assert found == {kind: f"image/{kind.lower()}" for kind in kinds} | {"lies": "image/jpeg"}


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_sizes_and_thumbnails_are_as_browsers_draw_them(api: Api, orientation: int) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    [image] = (await upload(owner, dataset, ("a.jpg", rotated(400, 200, orientation)))).json()["images"]
    sideways = orientation >= 5
    assert image["width"] == (200 if sideways else 400)
    assert image["height"] == (400 if sideways else 200)
    row = (await image_rows(api, dataset))["a"]
    async with api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
        thumbnail = Image.open(io.BytesIO(await stream.read())).convert("RGB")
    assert thumbnail.size == ((128, 256) if sideways else (256, 128))
    # Where the red half (left, before) is drawn: EXIF 2.32, 4.6.4, Orientation.
    red_at = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}[orientation]
    width, height = thumbnail.size
    spots = {
        "left": (5, height // 2),
        "right": (width - 5, height // 2),
        "top": (width // 2, 5),
        "bottom": (width // 2, height - 5),
    }
    red, _, blue = thumbnail.getpixel(spots[red_at])  # type: ignore[misc]
    assert red > 200
    assert blue < 60


async def test_what_is_seen_through_is_white_and_small_ones_are_not_enlarged(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("a.png", picture(30, 20, "PNG", mode="RGBA", colour=(255, 0, 0, 0))))
    row = (await image_rows(api, dataset))["a"]
    async with api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
        thumbnail = Image.open(io.BytesIO(await stream.read())).convert("RGB")
    assert thumbnail.size == (30, 20)
    assert thumbnail.getpixel((3, 3)) == (255, 255, 255)


async def test_a_repeated_path_replaces_and_is_counted_once(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("a/1.jpg", picture(10, 10)))
    first = (await image_rows(api, dataset))["a/1"]
    content = picture(30, 20, colour="blue")
    answer = (await upload(owner, dataset, ("a/1.jpg", content))).json()
    assert answer["images_uploaded"] == 1
    assert answer["images"][0]["replaced"] is True
    second = (await image_rows(api, dataset))["a/1"]
    assert second["width"] == 30
    assert second["height"] == 20
    assert second["size"] == len(content)
    assert second["uploaded_at"] == first["uploaded_at"]
    assert second["last_modified"] > first["last_modified"]
    assert await counters(api, dataset) == Counters(of_dataset=1, of_project=1, revision=2)
    assert second["s3_key"] != first["s3_key"]  # what becomes of the old objects: test_replacing.py


async def test_the_same_path_twice_in_one_request_the_later_wins(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    last = picture(30, 20)
    answer = (await upload(owner, dataset, *(("a.jpg", picture(10 + n, 10)) for n in range(5)), ("a.jpg", last))).json()
    assert answer["images_uploaded"] == 1
    assert [image["width"] for image in answer["images"]] == [30]
    row = (await image_rows(api, dataset))["a"]
    assert row["content_sha256"] == hashlib.sha256(last).hexdigest()
    async with api.services.objects.open("datasets", row["s3_key"]) as stream:
        assert await stream.read() == last
    assert await counters(api, dataset) == Counters(of_dataset=1, of_project=1, revision=1)


async def test_equal_stems_get_ids_of_their_own(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    jpeg, png, again = picture(10, 10), picture(11, 10, "PNG"), picture(12, 10, "PNG")
    one = (await upload(owner, dataset, ("d/a.jpg", jpeg), ("d/a.png", png))).json()
    assert sorted(image["id"] for image in one["images"]) in (["d/a", "d/a.png"], ["d/a", "d/a.jpg"])
    before = {row["file_name"]: name for name, row in (await image_rows(api, dataset)).items()}
    two = (await upload(owner, dataset, ("d/a.png", again), ("d/a.webp", picture(13, 10, "WEBP")))).json()
    after = await image_rows(api, dataset)
    assert {row["file_name"]: name for name, row in after.items()}.items() >= before.items()
    assert len(after) == 3
    assert {image["id"]: image["replaced"] for image in two["images"]} == {
        before["a.png"]: True,
        "d/a.webp": False,
    }
    assert await counters(api, dataset) == Counters(of_dataset=3, of_project=3, revision=2)


async def test_an_id_that_another_image_holds_is_refused(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("a.jpg", picture()))
    await upload(owner, dataset, ("a.png.jpg", picture()))
    answer = await upload(owner, dataset, ("a.png", picture(kind="PNG")))
    assert answer.status_code == 422
    assert answer.json()["code"] == "nothing_stored"
    [failed] = answer.json()["failed"]
    assert failed["filename"] == "a.png"
    assert "belongs to another image" in failed["reason"]
    assert sorted(await image_rows(api, dataset)) == ["a", "a.png"]


async def test_two_datasets_may_hold_the_same_path(api: Api) -> None:
    one, two = await api.dataset(), await api.dataset()
    owner = await api.login("owner")
    await upload(owner, one, ("a.jpg", picture(10, 10)))
    await upload(owner, two, ("a.jpg", picture(20, 10)))
    assert (await image_rows(api, one))["a"]["width"] == 10
    assert (await image_rows(api, two))["a"]["width"] == 20


async def test_uploads_of_one_path_at_once_agree_in_the_end(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    contents = [picture(10 + number, 10) for number in range(8)]
    for _ in range(3):
        answers = await asyncio.gather(*(upload(owner, dataset, ("a.jpg", content)) for content in contents))
        assert [answer.status_code for answer in answers] == [200] * 8
        row = (await image_rows(api, dataset))["a"]
        async with api.services.objects.open("datasets", row["s3_key"]) as stream:
            content = await stream.read()
        assert hashlib.sha256(content).hexdigest() == row["content_sha256"]
        assert Image.open(io.BytesIO(content)).width == row["width"]
        async with api.services.objects.open("datasets", row["thumbnail_key"]) as stream:
            assert Image.open(io.BytesIO(await stream.read())).width == row["width"]
    counted = await counters(api, dataset)
    assert counted.of_dataset == 1
    assert counted.of_project == 1


async def test_uploads_of_many_paths_at_once_are_all_counted(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await asyncio.gather(
        *(
            upload(owner, dataset, *((f"{batch}/{number}.jpg", picture(8, 8)) for number in range(10)))
            for batch in range(6)
        )
    )
    assert len(await image_rows(api, dataset)) == 60
    counted = await counters(api, dataset)
    assert counted.of_dataset == 60
    assert counted.of_project == 60


@pytest.mark.parametrize(
    "name",
    ["한글/사진 1.jpg", "100%/a?b#c.jpg", "a b/ä ö.jpg", "%2F/..jpg.jpg"[:4] + "x.jpg", "image", "a.b/c"],
)
async def test_odd_names_are_kept_and_found(api: Api, name: str) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    content = picture(10, 10)
    [image] = (await upload(owner, dataset, (name, content))).json()["images"]
    folder, slash, base = name.rpartition("/")
    assert image["id"] == folder + slash + (base.rpartition(".")[0] or base)
    listed = (await owner.get(f"/api/v1/projects/{dataset.project_id}/images")).json()["images"]
    assert [(found["id"], found["file_name"], found["folder_path"]) for found in listed] == [
        (image["id"], name, folder or None)
    ]
    stranger = api.client()
    assert (await stranger.get(media_path(listed[0]["url"]))).content == content
    assert (await stranger.get(media_path(listed[0]["thumbnail_url"]))).status_code == 200


async def test_names_are_normalised(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    decomposed = unicodedata.normalize("NFD", "한글.jpg")
    await upload(owner, dataset, (decomposed, picture()))
    await upload(owner, dataset, ("한글.jpg", picture()))
    assert list(await image_rows(api, dataset)) == ["한글"]


async def test_an_archive_is_expanded_at_its_members_paths(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    content = archive(
        {
            "train/": b"",
            "train/1.jpg": picture(10, 10),
            "train/2.png": picture(20, 10, "PNG"),
            "__MACOSX/train/._1.jpg": b"resource fork",
            "train/.DS_Store": b"x",
            "../up.jpg": picture(),
            "notes.txt": b"hello",
        }
    )
    answer = (await upload(owner, dataset, ("folder/set.ZIP", content), ("single.jpg", picture(30, 10)))).json()
    assert answer["images_uploaded"] == 3
    assert answer["folder_structure"] == {"train": 2}
    assert {failed["filename"] for failed in answer["failed"]} == {
        "folder/set.ZIP: __MACOSX/train/._1.jpg",
        "folder/set.ZIP: train/.DS_Store",
        "folder/set.ZIP: ../up.jpg",
        "notes.txt",
    }
    assert sorted(await image_rows(api, dataset)) == ["single", "train/1", "train/2"]


async def test_statements_do_not_grow_with_the_files(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    spent = []
    for number in (1, 10, 90):
        with api.count() as counted:
            await upload(owner, dataset, *((f"{number}/{n}.jpg", picture(8, 8)) for n in range(number)))
        spent.append(counted.value)
    assert len(set(spent)) == 1
    assert spent[0] <= 6


async def test_a_project_id_names_its_dataset(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    assert (await upload(owner, dataset.project_id, ("a.jpg", picture()))).status_code == 200
    assert list(await image_rows(api, dataset)) == ["a"]
