"""Names of files as programs spell them: in parts of forms, in archives, and what is refused of them."""

import unicodedata
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from labeler_api.errors import FileRejected
from labeler_api.http.forms.disposition import disposition
from labeler_api.images.paths import image_path, normal
from tests.files.made_archives import DOS, UNIX, UTF8, Member, unicode_path, zipped
from tests.fixtures.api import Api
from tests.fixtures.pictures import archive, image_rows, picture, upload

KOREAN = "데이터/불량_0001.jpg"
ESCAPED = quote(KOREAN, safe="")
PICTURE = picture()

# One spelling of paths


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("train\\good\\1.jpg", "train/good/1.jpg"),
        ("train\\good/1.jpg", "train/good/1.jpg"),
        ("train\\\\good\\\\1.jpg", "train/good/1.jpg"),
        (".\\1.jpg", "1.jpg"),
        ("./a/1.jpg", "a/1.jpg"),
        ("././1.jpg", "1.jpg"),
        ("a/./1.jpg", "a/1.jpg"),
        ("a//1.jpg", "a/1.jpg"),
        (".//a///1.jpg", "a/1.jpg"),
        (unicodedata.normalize("NFD", "한글/é.jpg"), "한글/é.jpg"),
        ("a b/c+d.jpg", "a b/c+d.jpg"),
        ("a../b..jpg", "a../b..jpg"),
        ("가" * 80 + "/" + "나" * 80 + ".jpg", "가" * 80 + "/" + "나" * 80 + ".jpg"),
        ("x" * 251 + ".jpg", "x" * 251 + ".jpg"),
        ("가" * 251 + ".jpg", "가" * 251 + ".jpg"),
    ],
)
def test_one_spelling(given: str, path: str) -> None:
    assert image_path(given, "ds_1").text == path == normal(given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("../1.jpg", "upwards"),
        ("..\\1.jpg", "upwards"),
        ("a\\..\\..\\2.jpg", "upwards"),
        ("./../1.jpg", "upwards"),
        ("a/..", "upwards"),
        (".\\..\\1.jpg", "upwards"),
        ("/1.jpg", "absolute"),
        ("\\3.jpg", "absolute"),
        ("//server/share/1.jpg", "absolute"),
        ("\\\\server\\share\\1.jpg", "absolute"),
        ("\\\\?\\C:\\1.jpg", "absolute"),
        ("C:\\1.jpg", "absolute"),
        ("c:1.jpg", "absolute"),
        (".\\C:\\1.jpg", "absolute"),
        (".hidden.jpg", "begins with a dot"),
        ("a\\.git\\x.jpg", "begins with a dot"),
        ("a/.../x.jpg", "begins with a dot"),
        ("__MACOSX\\._1.jpg", "macOS"),
        ("folder/", "empty name"),
        ("folder\\", "empty name"),
        ("", "no name"),
        (".", "no name"),
        ("./", "no name"),
        ("가" * 86 + "/1.jpg", "more than 255 bytes"),
        ("a/" + "é" * 130 + "/1.jpg", "more than 255 bytes"),
        ("x" * 256, "longer than 255 characters"),
    ],
)
def test_what_leads_out_or_is_no_name_is_refused(given: str, reason: str) -> None:
    with pytest.raises(FileRejected, match=reason):
        image_path(given, "ds_1")


# Headers of parts


@pytest.mark.parametrize(
    ("said", "filename"),
    [
        ('filename="a.jpg"', "a.jpg"),
        ("filename=a.jpg", "a.jpg"),
        ('FileName="a b;c.jpg"', "a b;c.jpg"),
        ('filename="a \\"b\\".jpg"', 'a "b".jpg'),
        ('filename="train\\good\\1.jpg"', "train\\good\\1.jpg"),
        ('filename="train\\\\good\\\\1.jpg"', "train\\good\\1.jpg"),
        ('filename="C:\\pictures\\1.jpg"', "C:\\pictures\\1.jpg"),
        (f'filename="{KOREAN}"', KOREAN),
        ('filename=""', ""),
        (f"filename*=utf-8''{ESCAPED}", KOREAN),
        (f"filename*=UTF-8''{ESCAPED}", KOREAN),
        (f"filename*=UTF-8'ko-KR'{ESCAPED}", KOREAN),
        (f"filename* = utf-8''{ESCAPED}", KOREAN),
        (f"FILENAME*=utf-8''{ESCAPED}", KOREAN),
        (f"filename*=utf-8''{ESCAPED.lower()}", KOREAN),
        (f"filename*=\"utf-8''{ESCAPED}\"", KOREAN),
        (f"filename*=utf-8''{KOREAN}", KOREAN),
        (f"filename*={ESCAPED}", KOREAN),
        ("filename*=iso-8859-1''caf%E9.jpg", "café.jpg"),
        (f"filename*=euc-kr''{quote(KOREAN.encode('euc-kr'))}", KOREAN),
        ("filename*=utf-8''it's.jpg", "it's.jpg"),
        ("filename*=utf-8''a%5Cb.jpg", "a\\b.jpg"),
        (f"filename*=utf-8''{ESCAPED}; filename=\"x.jpg\"", KOREAN),
        (f"filename=\"x.jpg\"; filename*=utf-8''{ESCAPED}", KOREAN),
        (f"filename=\"=?utf-8?B?642w?=\"; filename*=utf-8''{ESCAPED}", KOREAN),
        ('filename="=?utf-8?B?642w7J207YSwL+u2iOufiV8wMDAxLmpwZw==?="', KOREAN),
        ('filename="=?UTF-8?Q?caf=C3=A9.jpg?="', "café.jpg"),
        ('filename="=?utf-8?B?642w7J20?= =?utf-8?B?7YSwLmpwZw==?="', "데이터.jpg"),
        ("filename*0*=utf-8''%EB%8D%B0; filename*1*=%EC%9D%B4%ED%84%B0; filename*2=.jpg", "데이터.jpg"),
        ('filename*0="a long "; filename*1="name.jpg"', "a long name.jpg"),
        ("filename*=utf-8''%FF%FE.jpg; filename=\"plain.jpg\"", "plain.jpg"),
        ("filename*=x-unknown''a.jpg", "a.jpg"),
    ],
)
def test_the_name_of_a_part(said: str, filename: str) -> None:
    found = disposition(f'form-data; name="files"; {said}'.encode())
    assert found.name == "files"
    assert found.filename == filename


@pytest.mark.parametrize(
    "said",
    [
        "filename*=utf-8''%FF%FE.jpg",
        "filename*=utf-8''%EB%8D.jpg",
        "filename*=utf-8''%ZZ.jpg",
        "filename*=utf-8''100%.jpg",
        "filename*=x-unknown''%E9.jpg",
        "filename*=unicode_escape''%5Cu0041%E9.jpg",
        "filename*0*=utf-8''a; filename*2*=b",
        'filename="=?x-unknown?B?/////w==?="',
    ],
)
def test_a_name_that_cannot_be_read_is_no_other_name(said: str) -> None:
    found = disposition(f'form-data; name="files"; {said}'.encode())
    assert found.filename is not None
    assert "\ufffd" in found.filename


def test_a_field_has_no_file_name() -> None:
    assert disposition(b'form-data; name="dataset_name"').filename is None
    assert disposition(b"form-data; name=files").name == "files"
    assert disposition(b"form-data; name*=utf-8''files").name == "files"
    assert disposition(b"").name == ""


def body(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(
            b"--B\r\nContent-Disposition: form-data; " + said.encode() + b"\r\n\r\n" + content + b"\r\n"
            for said, content in parts
        )
        + b"--B--\r\n"
    )


async def post(api: Api, where: str, content: bytes) -> httpx.Response:
    owner = await api.login("owner")
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    return await owner.post(where, content=content, headers=headers, timeout=120)


async def test_no_part_of_a_form_vanishes(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    sent = body(
        ('name="files"; filename="a.jpg"', PICTURE),
        (f"name=\"files\"; filename*=utf-8''{ESCAPED}", PICTURE),
        ("name=\"files\"; filename*=utf-8''%FF.jpg", PICTURE),
        ('name="files"', PICTURE),
        ('name="files"; filename=""', PICTURE),
        ('name="files"; filename=""', b""),
        ('name="files"; filename="C:\\1.jpg"', PICTURE),
        ('name="files"; filename="train\\good\\1.jpg"', PICTURE),
        ('name="files"; filename="b.jpg"', PICTURE),
        ("name=\"annotation_file\"; filename*=utf-8''coco%20%EB%8D%B0.json", coco("a.jpg")),
    )
    answer = await post(api, f"/api/v1/datasets/{dataset.id}/images", sent)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert {image["id"] for image in found["images"]} == {"a", "데이터/불량_0001", "train/good/1", "b"}
    nameless = "it came without a name: send its path as the filename of its part"
    assert [(one["filename"], one["reason"]) for one in found["failed"]] == [
        ("\ufffd.jpg", "its name is not UTF-8"),
        ("(no name)", nameless),
        ("(no name)", nameless),
        ("C:\\1.jpg", "its path is absolute; send one relative to the dataset"),
    ]
    assert found["annotations_imported"] == 1


async def test_a_form_that_makes_a_dataset_reads_the_same_names(api: Api) -> None:
    sent = body(('name="dataset_name"', b"named"), (f"name=\"files\"; filename*=utf-8''{ESCAPED}", PICTURE))
    answer = await post(api, "/api/v1/datasets/upload", sent)
    [image] = answer.json()["upload_summary"]["images"]
    assert image["id"] == "데이터/불량_0001"


async def test_a_nameless_file_in_front_of_all_others_is_named(api: Api) -> None:
    """An empty file input may stand before the fields; a file without a name may not, as no file may."""
    fields = [('name="files"; filename=""', b""), ('name="dataset_name"', b"named")]
    files = [('name="files"', PICTURE), ('name="files"; filename="a.jpg"', PICTURE)]
    found = (await post(api, "/api/v1/datasets/upload", body(*fields, *files))).json()["upload_summary"]
    assert [one["id"] for one in found["images"]] == ["a"]
    assert [one["filename"] for one in found["failed"]] == ["(no name)"]
    answer = await post(api, "/api/v1/datasets/upload", body(fields[1], files[0]))
    assert answer.status_code == 422
    assert answer.json()["code"] == "nothing_stored"
    assert answer.json()["failed_total"] == 1


async def test_of_nameless_files_alone_nothing_is_stored(api: Api) -> None:
    dataset = await api.dataset()
    answer = await post(api, f"/api/v1/datasets/{dataset.id}/images", body(('name="files"', PICTURE)))
    assert answer.status_code == 422
    assert answer.json()["code"] == "nothing_stored"
    assert answer.json()["failed_total"] == 1


def coco(name: str) -> bytes:
    import json

    return json.dumps(
        {
            "images": [{"id": 1, "file_name": name, "width": 64, "height": 48}],
            "categories": [{"id": 1, "name": "cat"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        }
    ).encode()


async def test_a_bad_name_never_ends_a_batch(api: Api) -> None:
    """Each between good ones, in a form and in a ZIP; the store answered 503 to the long ones before."""
    dataset = await api.dataset()
    bad = ["가" * 86 + "/a/1.jpg", "나" * 86 + "/1.jpg", "..\\1.jpg", "\\3.jpg", "C:/4.jpg", "a\\..\\..\\5.jpg"]
    sent = [("good/1.jpg", PICTURE), *((name, PICTURE) for name in bad), ("good\\2.jpg", PICTURE)]
    packed = archive({"good/3.jpg": PICTURE, **dict.fromkeys(bad, PICTURE), "good\\4.jpg": PICTURE})
    answer = await upload(await api.login("owner"), dataset, *sent, ("set.zip", packed))
    assert answer.status_code == 200, answer.text
    assert [one["filename"] for one in answer.json()["failed"]] == [*bad, *(f"set.zip: {name}" for name in bad)]
    assert sorted(await image_rows(api, dataset)) == ["good/1", "good/2", "good/3", "good/4"]


async def test_the_preview_of_an_upload_spells_names_alike(api: Api) -> None:
    dataset = await api.dataset()
    owner = await api.login("owner")
    await upload(owner, dataset, ("train/good/1.jpg", PICTURE))
    given = ["train\\good\\1.jpg", "./train//good/1.jpg", "train\\2.jpg", "..\\3.jpg", "가" * 90 + "/1.jpg"]
    answer = await owner.post(
        f"/api/v1/datasets/{dataset.id}/storage/preview",
        json={
            "target_folder": "",
            "file_mappings": [{"filename": "x", "relative_path": one, "size": 1} for one in given],
        },
    )
    found: Any = answer.json()
    assert [one["path"] for one in found["duplicate_files"]] == ["train/good/1.jpg"] * 2, found
    assert [one["path"] for one in found["new_files"]] == ["train/2.jpg"]
    assert found["refused_total"] == 2


# Rows of before


@pytest.mark.parametrize("folder", ["", "차량/é", unicodedata.normalize("NFD", "차량/é")])
@pytest.mark.parametrize("name", ["불량.jpg", unicodedata.normalize("NFD", "불량.jpg")])
@pytest.mark.parametrize("id_has_extension", [False, True])
async def test_a_legacy_image_is_replaced_however_its_name_was_spelt(
    api: Api, folder: str, name: str, id_has_extension: bool
) -> None:
    """macOS sends letters and accents apart, and the backend of before kept them so."""
    dataset = await api.dataset()
    owner = await api.login("owner")
    path = f"{folder}/{name}" if folder else name
    image_id = path if id_has_extension else path.removesuffix(".jpg")
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO image_metadata (dataset_id, id, file_name, folder_path, s3_key, size)"
            " VALUES ($1, $2, $3, $4, $5, 1)",
            dataset.id,
            image_id,
            name,
            folder or None,
            f"datasets/{dataset.id}/images/{path}",
        )
    preview = await owner.post(
        f"/api/v1/datasets/{dataset.id}/storage/preview",
        json={"target_folder": "", "file_mappings": [{"filename": "x", "relative_path": path, "size": 1}]},
    )
    assert [one["path"] for one in preview.json()["duplicate_files"]] == [normal(path)]
    for sent in (path, normal(path), unicodedata.normalize("NFD", path)):
        [image] = (await upload(owner, dataset, (sent, PICTURE))).json()["images"]
        assert image["id"] == image_id
        assert image["replaced"] is True
        assert image["file_name"] == "불량.jpg"
    assert list(await image_rows(api, dataset)) == [image_id]


# Archives


def members(*names: bytes, **said: Any) -> list[Member]:
    return [Member(name, PICTURE, **said) for name in names]


def infozip(name: str, other: bytes, **said: Any) -> Member:
    return Member(other, PICTURE, extra=unicode_path(name, other), **said)


ARCHIVES: dict[str, tuple[bytes, Sequence[str]]] = {
    "Compress-Archive of PowerShell 5": (
        zipped(*members(b"train\\good\\1.jpg", b"train\\bad\\1.jpg"), Member(b"train\\empty\\", b"")),
        ["train/good/1", "train/bad/1"],
    ),
    "bsdtar": (zipped(Member(b"./", b""), *members(b"./a/1.jpg", b"./2.jpg", system=UNIX)), ["a/1", "2"]),
    "a script": (zipped(*members(b"a//1.jpg", b"b/./2.jpg")), ["a/1", "b/2"]),
    "UTF-8, said": (zipped(*members("데이터/é.jpg".encode(), flags=UTF8)), ["데이터/é"]),
    "UTF-8, not said, NFD (macOS)": (
        zipped(*members(unicodedata.normalize("NFD", "데이터/é.jpg").encode(), system=UNIX)),
        ["데이터/é"],
    ),
    "Korean Windows": (zipped(*members("데이터/불량_1.jpg".encode("cp949"), b"a.jpg")), ["데이터/불량_1", "a"]),
    "Korean, a rare syllable among others": (
        zipped(*members("자동차/똠방각하.jpg".encode("cp949"), "자동차/정상품.jpg".encode("cp949"))),
        ["자동차/똠방각하", "자동차/정상품"],
    ),
    "Korean, one name that could be UTF-8": (
        zipped(*members("짜.jpg".encode("cp949"), "불량/검사.jpg".encode("cp949"))),
        ["짜", "불량/검사"],
    ),
    "Western Windows": (zipped(*members("Größe/Straße.jpg".encode("cp437"), b"a.jpg")), ["Größe/Straße", "a"]),
    "Western, whose bytes are syllables, too": (zipped(*members("Ölß.jpg".encode("cp437"))), ["Ölß"]),
    "French": (zipped(*members("défauts/pièce_é.jpg".encode("cp437"))), ["défauts/pièce_é"]),
    "Latin-1 (old scripts)": (zipped(*members("défauts/größe.jpg".encode("latin-1"), system=UNIX)), ["défauts/größe"]),
    "Japanese Windows": (zipped(*members("データ/ねこ.jpg".encode("cp932"))), ["データ/ねこ"]),
    "Info-ZIP's path field": (
        zipped(infozip("데이터/불량.jpg", b"???/??.jpg".replace(b"?", b"\xfe")), infozip("é.jpg", b"\x82.jpg")),
        ["데이터/불량", "é"],
    ),
    "Info-ZIP's path field, on Unix": (zipped(infozip("ü/데.jpg", b"\x81/\xfe\xfe.jpg", system=UNIX)), ["ü/데"]),
    "a path field that belongs to another name": (
        zipped(Member(b"\x82.jpg", PICTURE, extra=unicode_path("other.jpg", b"renamed.jpg"))),
        ["é"],
    ),
    "a path field of a version that nobody knows": (
        zipped(Member(b"\x82.jpg", PICTURE, extra=unicode_path("other.jpg", b"\x82.jpg", version=2))),
        ["é"],
    ),
    "ZIP64 at the end": (zipped(*members(b"a/1.jpg", b"a/2.jpg"), end64=True), ["a/1", "a/2"]),
    "ZIP64 in its entries": (zipped(*members(b"a/1.jpg", b"a/2.jpg", zip64=True)), ["a/1", "a/2"]),
    "ZIP64 everywhere": (zipped(*members(b"a/1.jpg", b"a/2.jpg", zip64=True), end64=True), ["a/1", "a/2"]),
    "a folder by its attribute": (
        zipped(Member(b"empty", b"", attributes=0x10, system=DOS), *members(b"1.jpg")),
        ["1"],
    ),
}


@pytest.mark.parametrize("program", ARCHIVES)
async def test_names_in_archives(api: Api, program: str) -> None:
    content, ids = ARCHIVES[program]
    dataset = await api.dataset()
    answer = await upload(await api.login("owner"), dataset, ("set.zip", content))
    assert answer.status_code == 200, answer.text
    assert answer.json()["failed"] == [], answer.text
    assert sorted(await image_rows(api, dataset)) == sorted(ids)


async def test_names_that_the_archive_does_not_tell_are_not_guessed(api: Api) -> None:
    """Chinese, which read as Korean or as Western is another name."""
    dataset = await api.dataset()
    chinese = [name.encode("gbk") for name in ("检测图片.jpg", "缺陷样本数据.jpg", "照片.jpg")]
    answer = await upload(await api.login("owner"), dataset, ("set.zip", zipped(*members(*chinese, b"a.jpg"))))
    assert list(await image_rows(api, dataset)) == ["a"]
    assert {one["reason"] for one in answer.json()["failed"]} == {"its name is not UTF-8"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped(*members(b"1.jpg"), end64=True, entries=20_001), "more than 20000 entries"),
        (zipped(*members(b"1.jpg"), end64=True, directory_bytes=2**40), "more than 20000 entries"),
        (zipped(*members(b"1.jpg"), end64=True).replace(b"PK\x06\x06", b"PK\x06\x05"), "ZIP64 records cannot be read"),
        (
            zipped(*members(b"1.jpg"), end64=True).replace(b"PK\x01\x02", b"PK\x01\x03"),
            "not a ZIP archive, or it is damaged",
        ),
    ],
)
async def test_limits_hold_for_what_zip64_says(api: Api, content: bytes, reason: str) -> None:
    dataset = await api.dataset()
    answer = await upload(await api.login("owner"), dataset, ("set.zip", content), ("good.jpg", PICTURE))
    [failed] = answer.json()["failed"]
    assert reason in failed["reason"]
    assert list(await image_rows(api, dataset)) == ["good"]
