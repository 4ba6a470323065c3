"""Uploads that are wrong, by accident or on purpose: each file fails alone, each request with a clear answer."""

import time

import httpx
import psutil
import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import (
    counters,
    image_rows,
    picture,
    pixel_flood,
    stored_keys,
    upload,
)
from tests.fixtures.timing import check_within

GOOD = ("good.jpg", picture(10, 10))


async def failed_beside_a_good_one(api: Api, name: str, content: bytes) -> str:
    """Upload a bad file between two good ones; return the reason."""
    dataset = await api.dataset()
    answer = await upload(await api.login("owner"), dataset, GOOD, (name, content), ("last.jpg", picture()))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["images_uploaded"] == 2
    assert sorted(await image_rows(api, dataset)) == ["good", "last"]
    counted = await counters(api, dataset)
    assert counted.of_dataset == 2
    assert counted.of_project == 2
    assert [key[:5] for key in await stored_keys(api, dataset, "images")] == ["good.", "last."]
    [failed] = body["failed"]
    assert failed["filename"] == name
    reason: str = failed["reason"]
    return reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.jpg", b"this is no picture", "not a JPEG, PNG, WebP"),
        ("script.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not a JPEG"),
        ("page.jpg", b"<!doctype html><script>alert(1)</script>", "not a JPEG"),
        ("empty.jpg", b"", "is empty"),
        ("cut.jpg", picture(400, 400, colour="red")[:-600], "damaged"),
        ("cut.png", picture(400, 400, "PNG", colour="red")[:-100], "damaged"),
        ("head.jpg", picture(400, 400)[:30], "begins as a JPEG image and cannot be decoded"),
        ("pdf.jpg", b"%PDF-1.7\n" + b"x" * 500, "not a JPEG"),
        ("eps.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
        ("icon.jpg", picture(32, 32, "ICO"), "not a JPEG"),
        ("flood.png", pixel_flood(), "more than 350000000 pixels"),
        ("set.zip", b"PK\x03\x04 but no archive", "not a ZIP archive"),
    ],
)
async def test_a_bad_file_fails_alone(api: Api, name: str, content: bytes, reason: str) -> None:
    assert reason in await failed_beside_a_good_one(api, name, content)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../up.jpg", "points upwards"),
        ("a/../../up.jpg", "points upwards"),
        ("/etc/abs.jpg", "absolute"),
        ("C:/abs.jpg", "absolute"),
        (".hidden.jpg", "begins with a dot"),
        ("a/.git/x.jpg", "begins with a dot"),
        ("__MACOSX/a.jpg", "macOS"),
        ("a/ /b.jpg", "empty name"),
        ("folder/", "empty name"),
        ("a\x85b.jpg", "cannot be seen"),
        ("a\u2028b.jpg", "cannot be seen"),
        ("x" * 300 + ".jpg", "longer than 255 characters"),
    ],
)
async def test_a_bad_path_fails_alone(api: Api, name: str, reason: str) -> None:
    assert reason in await failed_beside_a_good_one(api, name, picture())


async def test_a_name_in_no_encoding_is_refused(api: Api) -> None:
    dataset = await api.dataset()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="\xff\xfe.jpg"\r\n\r\n'
        + picture()
        + b"\r\n--x--\r\n"
    )
    answer = await post(api, dataset, body)
    assert answer.json()["failed"] == [{"filename": "\ufffd\ufffd.jpg", "reason": "its name is not UTF-8"}]


async def test_a_pixel_flood_costs_nothing(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, GOOD)
    process = psutil.Process()
    before, started = process.memory_info().rss, time.monotonic()
    answer = await upload(owner, dataset, ("flood.png", pixel_flood()))
    assert answer.json()["images_uploaded"] == 0
    check_within(time.monotonic() - started, 5)
    assert process.memory_info().rss - before < 50 * 1024**2


async def test_a_file_over_its_limit_fails_alone(api: Api) -> None:
    limit = api.services.settings.max_upload_file_bytes
    reason = await failed_beside_a_good_one(api, "large.jpg", bytes(limit + 1))
    assert reason == f"it is larger than {limit} bytes"


async def test_one_file_too_many(api: Api) -> None:
    dataset = await api.dataset()
    content = picture(2, 2, "GIF")
    answer = await upload(await api.login("owner"), dataset, *((f"{number}.gif", content) for number in range(1001)))
    body = answer.json()
    assert answer.status_code == 400
    assert body["code"] == "too_many_files"
    # What came before it is kept, and the answer says how much that is.
    assert body["images_uploaded"] == len(await image_rows(api, dataset)) == (await counters(api, dataset)).of_dataset
    assert len(await stored_keys(api, dataset, "images")) == body["images_uploaded"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    answer = await owner.post(
        f"/api/v1/datasets/{dataset.id}/images",
        content=b"--x",
        headers={
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": str(api.services.settings.max_upload_bytes + 1),
        },
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def post(
    api: Api, dataset: Dataset, body: bytes, content_type: str = "multipart/form-data; boundary=x"
) -> httpx.Response:
    owner = await api.login("owner")
    return await owner.post(
        f"/api/v1/datasets/{dataset.id}/images", content=body, headers={"Content-Type": content_type}
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "application/json", 422, "not_multipart"),
        (b"", "multipart/form-data", 422, "not_multipart"),
        (b"", "multipart/form-data; boundary=x", 400, "bad_multipart"),
        (b"nonsense", "multipart/form-data; boundary=x", 400, "bad_multipart"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "invalid"),
        (b"--x\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 422, "invalid"),
        (b"", "multipart/form-data; boundary=" + "x" * 300, 400, "bad_multipart"),
    ],
)
async def test_a_body_that_is_no_form(api: Api, body: bytes, content_type: str, status: int, code: str) -> None:
    dataset = await api.dataset()
    answer = await post(api, dataset, body, content_type)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code, answer.text


async def test_a_form_that_breaks_off_keeps_what_was_whole(api: Api) -> None:
    dataset = await api.dataset()
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s.jpg"\r\n\r\n'
    whole = part % b"a" + picture() + b"\r\n" + part % b"b" + picture()[:100]
    answer = await post(api, dataset, whole)
    body = answer.json()
    assert answer.status_code == 400
    assert body["code"] == "bad_multipart"
    assert body["images_uploaded"] == 1
    assert "The image that came before it is stored" in body["detail"]
    assert list(await image_rows(api, dataset)) == ["a"]


async def test_other_fields_are_ignored_and_files_must_be_there(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    answer = await upload(owner, dataset, GOOD, field="pictures")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "files"]
    answer = await owner.post(
        f"/api/v1/datasets/{dataset.id}/images",
        data={"target": "x" * 100_000},
        files=[("files", GOOD), ("annotation_file", ("", b""))],
    )
    assert answer.status_code == 200
    assert answer.json()["images_uploaded"] == 1


@pytest.mark.parametrize("first", [True, False])
async def test_a_bad_annotation_file_is_refused_and_nothing_is_stored(api: Api, first: bool) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    annotations = ("annotation_file", ("coco.json", b"{}"))
    files = [("files", GOOD), ("files", ("b.jpg", picture()))]
    answer = await owner.post(
        f"/api/v1/datasets/{dataset.id}/images", files=[annotations, *files] if first else [*files, annotations]
    )
    body = answer.json()
    assert answer.status_code == 422
    assert body["code"] == "annotation_file_unreadable"
    assert body["images_uploaded"] == 0
    assert 'neither "annotations" nor "images"' in body["detail"]
    assert await image_rows(api, dataset) == {}
