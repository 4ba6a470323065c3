"""ZIP archives: expanded, and refused before they are expanded."""

import io
import struct
import zipfile

import pytest

from labeler_api.errors import FileRejected
from labeler_api.images.upload import archives, session
from tests.fixtures.api import Api
from tests.fixtures.pictures import archive, image_rows, picture, upload
from tests.labeler_api.images.test_hostile import GOOD, failed_beside_a_good_one


async def test_an_archive_that_is_too_much_is_refused_before_it_is_expanded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = archive({f"{number}.bmp": bytes(10 * 1024**2) for number in range(5)})
    assert "more than 100 times its size" in await failed_beside_a_good_one(api, "bomb.zip", bomb)
    many = archive({f"{number}.jpg": b"x" for number in range(20_001)}, zipfile.ZIP_STORED)
    assert "more than 20000 entries" in await failed_beside_a_good_one(api, "many.zip", many)
    monkeypatch.setattr(archives, "_MAX_TOTAL_BYTES", 1024)
    large = archive({"a.jpg": bytes(range(256)) * 5}, zipfile.ZIP_STORED)
    assert "MiB unpacked" in await failed_beside_a_good_one(api, "large.zip", large)


async def test_an_archive_that_lies_about_its_count_is_found_out_before_it_is_read(api: Api) -> None:
    content = bytearray(archive({f"{number}.jpg": b"" for number in range(20_001)}, zipfile.ZIP_STORED))
    end = content.rindex(b"PK\x05\x06")
    struct.pack_into("<HH", content, end + 8, 1, 1)
    with pytest.raises(FileRejected, match="more than 20000 entries"):
        archives._check_end_record(io.BytesIO(content), 20_000)
    assert "more than 20000 entries" in await failed_beside_a_good_one(api, "lie.zip", bytes(content))


async def test_the_archives_of_a_request_share_a_number_of_entries(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_MAX_ENTRIES", 5)
    dataset = await api.dataset()
    three = [archive({f"{name}/{number}.jpg": picture() for number in range(3)}) for name in "ab"]
    sent = [("a.zip", three[0]), ("b.zip", three[1]), ("c.zip", archive({"c/1.jpg": picture()}))]
    answer = (await upload(await api.login("owner"), dataset, *sent)).json()
    assert [(one["filename"], "another request" in one["reason"]) for one in answer["failed"]] == [("b.zip", True)]
    assert sorted(await image_rows(api, dataset)) == ["a/0", "a/1", "a/2", "c/1"]


async def test_the_first_hundred_refusals_of_archives_are_named_and_the_rest_are_counted(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    refused = {f"../{number}.jpg": b"" for number in range(150)}
    files = [("a.zip", archive(refused | {"good.jpg": picture()})), ("b.zip", archive(refused)), ("x.txt", b"text")]
    answer = await upload(owner, dataset, *files)
    body = answer.json()
    assert answer.status_code == 200
    assert len(body["failed"]) == 100
    assert body["failed_total"] == 301
    assert body["failed"][98] == {"filename": "a.zip: ../98.jpg", "reason": "its path points upwards (..)"}
    assert body["failed"][99]["filename"] == "x.txt"  # a file of the form is always named

    nothing = await upload(owner, dataset, *files[1:])
    body = nothing.json()
    assert nothing.status_code == 422
    assert body["code"] == "nothing_stored"
    assert body["images_uploaded"] == 0
    assert len(body["failed"]) == 100
    assert body["failed_total"] == 151
    assert len(body["errors"]) == 100
    assert body["detail"] == (
        "Nothing was stored of any of the 151 files. b.zip: ../0.jpg: its path points upwards (..); "
        "b.zip: ../1.jpg: its path points upwards (..); b.zip: ../2.jpg: its path points upwards (..); and 148 more."
    )


async def test_an_archive_that_lies_about_sizes_is_found_out(api: Api) -> None:
    content = bytearray(archive({"a.bmp": bytes(5_000_000)}))
    directory = content.rindex(b"PK\x01\x02")
    struct.pack_into("<L", content, directory + 24, 1000)  # the uncompressed size, in the central directory
    dataset = await api.dataset()
    answer = (await upload(await api.login("owner"), dataset, ("lie.zip", bytes(content)), GOOD)).json()
    assert answer["images_uploaded"] == 1
    assert answer["failed"][0]["filename"] == "lie.zip: a.bmp"
    assert "damaged inside the archive" in answer["failed"][0]["reason"]


async def test_bad_entries_of_an_archive_fail_alone(api: Api) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("good.jpg", picture())
        target.writestr("lzma.jpg", picture(), zipfile.ZIP_LZMA)
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        target.writestr(link, "/etc/passwd")
        target.writestr("secret.jpg", picture())
        target.writestr("nested.zip", archive({"a.jpg": picture()}))
    content = bytearray(out.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the bit "encrypted" of secret.jpg
        name_at = content.index(b"secret.jpg") if signature == b"PK\x03\x04" else content.rindex(b"secret.jpg")
        entry = content.rindex(signature, 0, name_at)
        content[entry + offset] |= 1
    dataset = await api.dataset()
    answer = (await upload(await api.login("owner"), dataset, ("set.zip", bytes(content)))).json()
    assert {failed["filename"].removeprefix("set.zip: "): failed["reason"] for failed in answer["failed"]} == {
        "lzma.jpg": "it is packed with a method other than deflate",
        "link.jpg": "it is a link and no file",
        "secret.jpg": "it is encrypted",
        "nested.zip": "it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image",
    }
    assert list(await image_rows(api, dataset)) == ["good"]


async def test_korean_names_of_windows_archives_are_read(api: Api) -> None:
    content = archive({"XXXX/XXXX.jpg": picture()}, zipfile.ZIP_STORED)
    korean = content.replace(b"XXXX/XXXX", "한글/사진".encode("cp949"))
    dataset = await api.dataset()
    await upload(await api.login("owner"), dataset, ("set.zip", korean))
    assert list(await image_rows(api, dataset)) == ["한글/사진"]
