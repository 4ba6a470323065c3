"""Pictures as the world makes them: each is taken as browsers draw it, or refused with the true reason."""

import io
from typing import IO, Any

import pytest
from PIL import Image

from labeler_api.images.pictures.inspection import Picture, Rejected, inspect_picture
from labeler_api.images.pictures.rendition import render
from labeler_api.images.upload import session
from tests.files import made_pictures as made
from tests.fixtures.api import Api
from tests.fixtures.pictures import archive, image_rows, picture, upload

MEMORY, PIXELS = 512 * 1024 * 1024, 350_000_000
UPRIGHT, TURNED = (made.WIDTH, made.HEIGHT), (made.HEIGHT, made.WIDTH)


def seen(content: bytes) -> Picture:
    found = inspect_picture(io.BytesIO(content), MEMORY, PIXELS)
    assert isinstance(found, Picture), found
    return found


def refusal(content: bytes) -> str:
    found = inspect_picture(io.BytesIO(content), MEMORY, PIXELS)
    assert isinstance(found, Rejected), found
    return found.reason


def thumbnail(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(seen(content).thumbnail))


def is_of(content: bytes, size: tuple[int, int], content_type: str) -> None:
    found = seen(content)
    width, height = size
    assert found.width == width
    assert found.height == height
    assert found.content_type == content_type
    shown = thumbnail(content)
    assert (shown.width > shown.height) == (width > height)


@pytest.mark.parametrize("name", made.EXIF)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_an_odd_exif_block_is_no_reason_to_refuse(kind: str, name: str) -> None:
    block, turns = made.EXIF[name]
    build: Any = getattr(made, f"{kind}_with_exif")
    is_of(build(block), TURNED if turns else UPRIGHT, f"image/{kind}")


@pytest.mark.parametrize("name", made.MPO)
def test_of_several_pictures_in_a_jpeg_the_first_counts(name: str) -> None:
    is_of(made.MPO[name], UPRIGHT, "image/jpeg")


@pytest.mark.parametrize("name", made.JPEGS)
def test_what_a_jpeg_says_beside_its_picture_does_not_matter(name: str) -> None:
    is_of(made.JPEGS[name], UPRIGHT, "image/jpeg")


@pytest.mark.parametrize("name", made.PNGS)
def test_what_a_png_says_beside_its_picture_does_not_matter(name: str) -> None:
    is_of(made.PNGS[name], UPRIGHT, "image/png")


@pytest.mark.parametrize("name", made.WEBPS)
def test_what_a_webp_says_beside_its_picture_does_not_matter(name: str) -> None:
    content = made.WEBPS[name]
    is_of(content, TURNED if b"EXIF" in content else UPRIGHT, "image/webp")


@pytest.mark.parametrize("name", made.TIFFS)
def test_tags_of_a_tiff_that_nobody_needs_do_not_matter(name: str) -> None:
    is_of(made.TIFFS[name], (64, 48), "image/tiff")
    brightest = thumbnail(made.TIFFS[name]).convert("L").getpixel((63, 20))
    assert isinstance(brightest, int)
    assert abs(brightest - 63) < 6


@pytest.mark.parametrize("name", made.XMP_ONLY)
def test_an_orientation_outside_of_exif_turns_nothing(name: str) -> None:
    is_of(made.XMP_ONLY[name], UPRIGHT, f"image/{name.split(',', maxsplit=1)[0].lower()}")


def rises(image: Image.Image) -> None:
    """It rises evenly from black to white."""
    grey = image.convert("L")
    row = [grey.getpixel((x, grey.height // 2)) for x in range(grey.width)]
    for x, value in enumerate(row):
        assert isinstance(value, int)
        assert abs(value - 255 * x / (grey.width - 1)) < 6, (x, row)


@pytest.mark.parametrize("name", made.RISING)
def test_deep_grey_is_drawn_from_black_to_white(name: str, tmp_path: Any) -> None:
    content = made.RISING[name]()
    rises(thumbnail(content))
    if name.startswith("TIFF"):
        shown = tmp_path / "shown.jpg"
        shown.touch()
        assert render(io.BytesIO(content), MEMORY, str(shown)) is True
        rises(Image.open(shown))


@pytest.mark.parametrize(("bits", "white"), [(12, 4095), (16, 65535)])
def test_as_many_bits_as_the_file_says(bits: int, white: int) -> None:
    """12 bits are packed: two numbers in three bytes."""
    numbers = [round(white * x / 319) for x in range(320)]
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    pixels = (
        b"".join((a << 12 | b).to_bytes(3) if bits == 12 else (b << 16 | a).to_bytes(4, "little") for a, b in pairs)
        * 48
    )
    rises(thumbnail(made.tiff((339, made.SHORT, 1, 1), pixels=pixels, size=(320, 48), bits=bits)))


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (1.0, 1.0), (7.5, 7.5), (float("nan"), float("nan"))])
def test_fractions_that_say_little_are_taken(numbers: tuple[float, float]) -> None:
    is_of(made.deep_tiff("<f", *numbers), (320, 48), "image/tiff")


def test_numbers_that_are_none_do_not_dim_the_others() -> None:
    pixels = bytearray(made.ramp("<f", 0, 1))
    pixels[4 * 320 * 2 : 4 * 320 * 2 + 8] = b"\0\0\xc0\x7f\0\0\x80\x7f"  # not a number, and an infinite one
    rises(thumbnail(made.tiff((339, made.SHORT, 1, 3), pixels=bytes(pixels), size=(320, 48), bits=32)))


def ftyp(brand: bytes, *others: bytes) -> bytes:
    body = brand + bytes(4) + b"".join(others)
    return (len(body) + 8).to_bytes(4) + b"ftyp" + body + bytes(600)


RAW_TIFF = {
    "DNG": made.tiff((50706, 1, 4, 1), (254, made.LONG, 1, 1)),
    "NEF, ARW": made.tiff((254, made.LONG, 1, 1), (330, made.LONG, 1, 8), order=">"),
    "the sensor's own colours": made.tiff((262, made.SHORT, 1, 32803)),
}


@pytest.mark.parametrize(
    ("content", "what", "do"),
    [
        (ftyp(b"heic", b"mif1"), "HEIC", "JPEG"),
        (ftyp(b"mif1", b"heic"), "HEIC", "JPEG"),
        (ftyp(b"heix"), "HEIC", "JPEG"),
        (ftyp(b"avif", b"mif1"), "AVIF", "JPEG"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF", "JPEG"),
        (made.saved(made.painted(), "AVIF"), "AVIF", "JPEG"),
        (made.saved(made.painted(), "JPEG2000"), "JPEG 2000", "JPEG"),
        (made.saved(made.painted(), "JPEG2000", no_jp2=True), "JPEG 2000", "JPEG"),
        (b"\xff\x0a" + bytes(99), "JPEG XL", "JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL", "JPEG"),
        (b"II\xbc\x01" + bytes(99), "JPEG XR", "JPEG"),
        (ftyp(b"crx "), "camera raw", "develop"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "camera raw", "develop"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "camera raw", "develop"),
        (b"IIU\0\x18\0\0\0" + bytes(99), "camera raw", "develop"),
        *((content, "camera raw", "develop") for content in RAW_TIFF.values()),
        (b"8BPS\0\1" + bytes(99), "Photoshop", "PNG"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM", "PNG"),
        (made.saved(made.painted(), "PPM"), "Netpbm", "PNG"),
        (made.saved(made.painted(16, 16), "ICO"), "icon", "PNG"),
        (made.saved(made.painted(16, 16), "PCX"), "PCX", "PNG"),
        (b"%PDF-1.7\n", "PDF", "PNG"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG", "PNG"),
        (ftyp(b"isom", b"mp42"), "video", "frames"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "video", "frames"),
        (b"<!DOCTYPE html><title>404</title>", "web page", "picture itself"),
    ],
)
def test_what_is_not_taken_is_named_with_what_to_do(content: bytes, what: str, do: str) -> None:
    reason = refusal(content)
    assert reason.startswith("it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image but ")
    assert what in reason
    assert do in reason.partition(": ")[2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"some text", "it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image"),
        (b"BMW and other makes", "it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image"),
        (picture()[:30], "it begins as a JPEG image and cannot be decoded"),
        (picture(kind="TIFF")[:20], "it begins as a TIFF image and cannot be decoded"),
        (made.tiff((258, made.SHORT, 1, 7)), "it begins as a TIFF image and cannot be decoded"),
        (made.saved(made.painted(), "PNG")[:-90], "it is damaged: image file is truncated"),
        (made.png_with(made.chunk(b"PLTE", b"\0")[:-1] + b"\0"), "it begins as a PNG image and cannot be decoded"),
        (made.saved(made.painted(), "WEBP")[:-90], "it begins as a WEBP image and cannot be decoded"),
    ],
)
def test_a_refusal_tells_the_cause(content: bytes, reason: str) -> None:
    assert refusal(content).startswith(reason)


@pytest.mark.parametrize("megapixels", [90, 200])
def test_as_many_pixels_as_the_setting_says(megapixels: int) -> None:
    """Pillow's own bounds are 89 and 179 million pixels."""
    width = 10_000
    content = made.saved(Image.new("1", (width, megapixels * 100)), "PNG")
    found = inspect_picture(io.BytesIO(content), MEMORY, megapixels * 1_000_000)
    assert isinstance(found, Picture), found
    assert found.width == width
    assert found.height == megapixels * 100
    below = inspect_picture(io.BytesIO(content), MEMORY, megapixels * 1_000_000 - 1)
    assert below == Rejected(f"it has more than {megapixels * 1_000_000 - 1} pixels")


def faulty(file: IO[bytes], *limits: int) -> Any:
    """`inspect_picture`, with a fault that nobody foresaw at one picture; it runs where pictures are decoded."""
    if file.read() == FAULTY:
        raise KeyError("MPO")
    return inspect_picture(file, *limits)


FAULTY = picture(30, 20, "GIF")


@pytest.mark.parametrize("as_dataset", [False, True])
async def test_a_fault_of_ours_at_one_picture_ends_no_batch(
    api: Api, monkeypatch: pytest.MonkeyPatch, as_dataset: bool
) -> None:
    monkeypatch.setattr(session, "inspect_picture", faulty)
    owner, dataset = await api.login("owner"), await api.dataset()
    sent = [("first.jpg", picture()), ("bad.gif", FAULTY), ("set.zip", archive({"z.jpg": picture(), "b.gif": FAULTY}))]
    where = "upload" if as_dataset else f"{dataset.id}/images"
    fields = {"dataset_name": "faults"} if as_dataset else {}
    answer = await owner.post(f"/api/v1/datasets/{where}", data=fields, files=[("files", one) for one in sent])
    assert answer.status_code < 300, answer.text
    found = answer.json().get("upload_summary", answer.json())
    assert {image["id"] for image in found["images"]} == {"first", "z"}
    assert {one["filename"] for one in found["failed"]} == {"bad.gif", "b.gif"}
    assert all("a fault of its own" in one["reason"] for one in found["failed"])


ODD = {
    "mpo.jpg": made.mpo(),
    "exif.jpg": made.jpeg_with_exif(made.EXIF["a text behind the end, before"][0]),
    "exif.webp": made.webp_with_exif(made.EXIF["a header alone"][0]),
    "apng.png": made.PNGS["an animation of no frames"],
    "tags.tif": made.TIFFS["a program beyond the end, little-endian"],
    "deep.tif": made.RISING["TIFF, 16 bits, big-endian"](),
    "deep.png": made.RISING["PNG, 16 bits, large"](),
    "xmp.tif": made.XMP_ONLY["TIFF"],
}


async def test_odd_pictures_are_stored_with_everything_else(api: Api) -> None:
    """In the request, in a ZIP, and in the form that makes a dataset."""
    owner = await api.login("owner")
    dataset = await api.dataset()
    sent = [("first.jpg", picture()), *ODD.items(), ("last.jpg", picture())]
    answer = await upload(owner, dataset, *sent, ("set.zip", archive({f"zip/{name}": ODD[name] for name in ODD})))
    assert answer.status_code == 200, answer.text
    assert answer.json()["failed"] == [], answer.text
    assert answer.json()["images_uploaded"] == 2 + 2 * len(ODD)
    for row in (await image_rows(api, dataset)).values():
        assert row["thumbnail_key"]
        if row["file_name"] in ODD:
            async with api.services.objects.open("datasets", row["s3_key"]) as stream:
                assert await stream.read() == ODD[row["file_name"]]
    form = await owner.post(
        "/api/v1/datasets/upload",
        data={"dataset_name": "odd"},
        files=[("files", one) for one in sent],
        timeout=120,
    )
    assert form.json()["upload_summary"]["images_uploaded"] == 2 + len(ODD), form.text
