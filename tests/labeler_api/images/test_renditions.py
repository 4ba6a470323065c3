"""Browsers draw no TIFF: they are shown a JPEG of the same size, and the original stays what it is."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from labeler_api.images.pictures.rendition import render
from labeler_api.images.removal import KIND
from labeler_api.workers.limited_process import Needs
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import ORIENTATION, image_rows, picture, stored_keys, upload

ORDERS = "SELECT convert_from(payload, 'UTF8') AS payload FROM pgqueuer WHERE entrypoint = $1"
RED, BLUE = (200, 30, 30), (30, 30, 200)


def two_colours(mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    """A TIFF of 300 x 200 whose left half is red."""
    image = Image.new("RGB", (300, 200), BLUE)
    image.paste(RED, (0, 0, 150, 200))
    out = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.convert(mode, palette=Image.Palette.ADAPTIVE).save(out, "TIFF", exif=exif, **options)
    return out.getvalue()


async def links(api: Api, dataset: Dataset) -> dict[str, str]:
    client = await api.login("owner")
    [image] = (await client.get(f"/api/v1/datasets/{dataset.id}/images")).json()
    return {kind: httpx.URL(image[kind]).raw_path.decode() for kind in ("url", "thumbnail_url")}


async def uploaded(api: Api, content: bytes, name: str = "a.tif") -> Dataset:
    dataset = await api.dataset()
    answer = await upload(await api.login("owner"), dataset, (name, content))
    assert answer.json()["images_uploaded"] == 1, answer.text
    return dataset


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {}),
        ("RGBA", {}),
        ("CMYK", {}),
        ("P", {"compression": "tiff_adobe_deflate"}),
        ("RGB", {"orientation": 6}),
    ],
)
async def test_a_tiff_is_shown_as_a_jpeg(api: Api, mode: str, options: dict[str, Any]) -> None:
    content = two_colours(mode, **options)
    dataset = await uploaded(api, content)
    url = (await links(api, dataset))["url"]
    shown = await api.client().get(url)
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(shown.content))
    turned = "orientation" in options
    row = (await image_rows(api, dataset))["a"]
    assert image.format == "JPEG"
    assert image.size == (row["width"], row["height"]) == ((200, 300) if turned else (300, 200))
    for at, colour in (((40, 40), RED), ((160, 260) if turned else (260, 160), BLUE)):
        seen = image.convert("RGB").getpixel(at)
        assert isinstance(seen, tuple)
        assert max(abs(one - other) for one, other in zip(seen, colour, strict=True)) < 12

    original = await api.client().get(f"{url}&original=true")
    assert original.content == content
    assert original.headers["content-type"] == "image/tiff"
    assert original.headers["etag"] != shown.headers["etag"]
    again = await api.client().get(url, headers={"If-None-Match": shown.headers["etag"]})
    part = await api.client().get(url, headers={"Range": "bytes=2-9"})
    beyond = await api.client().get(url, headers={"Range": "bytes=99999999-"})
    assert again.status_code == 304
    assert part.status_code == 206
    assert beyond.status_code == 416
    assert part.content == shown.content[2:10]


async def test_sixteen_bits_of_grey_are_shown_in_eight(api: Api) -> None:
    image = Image.new("I;16", (1200, 900), 40_000)
    out = io.BytesIO()
    image.save(out, "TIFF")
    dataset = await uploaded(api, out.getvalue())
    shown = Image.open(io.BytesIO((await api.client().get((await links(api, dataset))["url"])).content))
    assert shown.size == (1200, 900)
    assert shown.convert("L").getpixel((600, 450)) == pytest.approx(40_000 // 256, abs=2)


async def test_what_browsers_draw_has_no_rendition(api: Api) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        dataset = await uploaded(api, picture(kind=kind), f"a.{kind.lower()}")
        assert (await image_rows(api, dataset))["a"]["rendition_key"] is None
        assert await stored_keys(api, dataset, "renditions") == []


async def test_it_goes_with_its_image(api: Api) -> None:
    """Replaced by a picture that needs none: the old one is ordered away, and the link shows the new picture."""
    dataset = await uploaded(api, two_colours())
    old = (await image_rows(api, dataset))["a"]
    assert await stored_keys(api, dataset, "renditions") == [old["rendition_key"].partition("/renditions/")[2]]
    png = picture(30, 20, "PNG")
    await upload(await api.login("owner"), dataset, ("a.tif", png))
    assert (await image_rows(api, dataset))["a"]["rendition_key"] is None
    assert (await api.client().get((await links(api, dataset))["url"])).content == png
    async with api.db.read() as connection:
        [order] = await connection.fetch(ORDERS, KIND)
    assert all(old[key] in order["payload"] for key in ("s3_key", "thumbnail_key", "rendition_key"))


async def test_an_api_that_knows_no_renditions_may_replace_one(api: Api) -> None:
    dataset = await uploaded(api, two_colours())
    png = picture(30, 20, "PNG")
    key = f"datasets/{dataset.id}/images/a.0123.tif"
    await api.services.objects.put("datasets", key, png, "image/png")
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_metadata SET s3_key = $1, content_type = 'image/png', content_sha256 = NULL", key
        )
    assert (await api.client().get((await links(api, dataset))["url"])).content == png


async def of_before(api: Api, content: bytes, **columns: Any) -> Dataset:
    """An image that was uploaded before there were renditions."""
    dataset = await uploaded(api, content)
    [row] = (await image_rows(api, dataset)).values()
    if row["rendition_key"]:
        await api.services.objects.delete_many("datasets", [row["rendition_key"]])
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET rendition_key = NULL")
        for name, value in columns.items():
            await tx.execute(f"UPDATE image_metadata SET {name} = $1", value)
    return dataset


@pytest.mark.parametrize("columns", [{}, {"content_type": None, "content_sha256": None}])
async def test_one_of_before_gets_it_when_it_is_looked_at(api: Api, columns: dict[str, Any]) -> None:
    content = two_colours()
    dataset = await of_before(api, content, **columns)
    url = (await links(api, dataset))["url"]
    async with api.client() as browser:
        first, second = await asyncio.gather(browser.get(url), browser.get(url))
        original = await browser.get(f"{url}&original=true")
    assert {(one.status_code, one.headers["content-type"], one.content) for one in (first, second)} == {
        (200, "image/jpeg", first.content)
    }
    with Image.open(io.BytesIO(first.content)) as shown:
        assert shown.format == "JPEG"
        assert shown.size == (300, 200)
        assert shown.getpixel((20, 100)) == pytest.approx(RED, abs=6)
    assert original.content == content
    # It is kept, with the image: nobody decodes it once more.
    [row] = (await image_rows(api, dataset)).values()
    assert await stored_keys(api, dataset, "renditions") == [row["rendition_key"].partition("/renditions/")[2]]
    api.services.caches.renditions.forget(row["s3_key"])
    assert (await api.client().get(url)).content == first.content


async def test_one_of_before_that_cannot_be_shown_comes_as_it_is(api: Api) -> None:
    dataset = await of_before(api, two_colours())
    [row] = (await image_rows(api, dataset)).values()
    await api.services.objects.put("datasets", row["s3_key"], b"II*\x00 no picture", "image/tiff")
    url = (await links(api, dataset))["url"]
    assert (await api.client().get(url)).content == b"II*\x00 no picture"
    assert (await image_rows(api, dataset))["a"]["rendition_key"] is None
    await api.services.objects.delete_many("datasets", [row["s3_key"]])
    assert (await api.client().get(url)).status_code == 404


async def test_one_that_is_replaced_meanwhile_keeps_none_of_it(api: Api) -> None:
    dataset = await of_before(api, two_colours())
    url = (await links(api, dataset))["url"]
    [row] = (await image_rows(api, dataset)).values()
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET s3_key = s3_key || '.other'")
    assert (await api.client().get(url)).headers["content-type"] == "image/jpeg"  # the row was read just before
    assert (await image_rows(api, dataset))["a"]["rendition_key"] is None
    async with api.db.read() as connection:
        [payload] = [one["payload"] for one in await connection.fetch(ORDERS, KIND)]
    assert row["s3_key"].rpartition("/")[2] in payload


def test_one_that_is_too_large_says_what_it_needs() -> None:
    assert render(io.BytesIO(two_colours()), 1000, "/nowhere") == Needs(300 * 200 * 4)
    assert render(io.BytesIO(two_colours("RGBA")), 1000, "/nowhere") == Needs(300 * 200 * 8)


def test_what_fails_fails_alone(tmp_path: Path) -> None:
    assert render(io.BytesIO(two_colours()), 1 << 30, str(tmp_path / "away")) is False
    assert render(io.BytesIO(b"II*\0"), 1 << 30, str(tmp_path / "away")) is False
