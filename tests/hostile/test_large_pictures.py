"""What cameras and scanners make, in a container of 512 MiB: large, and no attack."""

import io
import os
import zlib
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from tests.fixtures.png import chunk
from tests.hostile.attacked import Attacked
from tests.hostile.test_pictures import peaks, send

MIB = 2**20
DECODING_BYTES = 256 * MIB  # half of such a container
PROCESS_BYTES = 96 * MIB  # the interpreter and its libraries, beside the pixels (labeler_api.workers.limited_process)
LEFT, RIGHT = (200, 30, 30), (30, 30, 200)


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"DECODING_MEMORY_BYTES": str(DECODING_BYTES)}


def two_colours(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), RIGHT)
    image.paste(LEFT, (0, 0, width // 2, height))
    return image


def jpeg(width: int, height: int) -> bytes:
    out = io.BytesIO()
    two_colours(width, height).save(out, "JPEG", quality=75)
    return out.getvalue()


def jpeg_of_noise(width: int, height: int) -> bytes:
    """About a byte a pixel: what a camera writes at its best quality of foliage."""
    out = io.BytesIO()
    Image.frombytes("L", (width, height), os.urandom(width * height)).save(out, "JPEG", quality=96)
    return out.getvalue()


def progressive(width: int, height: int) -> bytes:
    """A small one that says it is large: the frame's header is what is looked at."""
    out = io.BytesIO()
    Image.new("L", (64, 48), 128).save(out, "JPEG", progressive=True)
    data = bytearray(out.getvalue())
    size = data.index(b"\xff\xc2") + 5  # behind the marker, its length and the precision
    data[size : size + 4] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(data)


def png(width: int, height: int, *, interlaced: bool = False) -> bytes:
    """Two colours of a palette: a row as it is, and below it rows that do not differ from the one above."""

    def rows() -> Iterator[bytes]:
        yield b"\0" + b"\0" * (width // 2) + b"\1" * (width - width // 2)
        yield from (b"\2" + bytes(width) for _ in range(height - 1))

    packer = zlib.compressobj(1)
    data = b"" if interlaced else b"".join([*map(packer.compress, rows()), packer.flush()])
    header = width.to_bytes(4) + height.to_bytes(4) + bytes((8, 3, 0, 0, interlaced))
    chunks = ((b"IHDR", header), (b"PLTE", bytes(LEFT + RIGHT)), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in chunks)


async def only_image(attacked: Attacked, dataset_id: str) -> dict[str, str]:
    [image] = (await attacked.client("owner").get(f"/api/v1/datasets/{dataset_id}/images")).json()
    return {kind: httpx.URL(image[kind]).raw_path.decode() for kind in ("url", "thumbnail_url")}


async def check_thumbnail(attacked: Attacked, dataset_id: str, shape: tuple[int, int]) -> None:
    image = await only_image(attacked, dataset_id)
    answer = await attacked.client("owner").get(image["thumbnail_url"])
    thumbnail = Image.open(io.BytesIO(answer.content))
    assert thumbnail.size == shape
    for at, colour in ((0.2, LEFT), (0.8, RIGHT)):
        seen = thumbnail.getpixel((int(at * shape[0]), shape[1] // 2))
        assert isinstance(seen, tuple)
        assert max(abs(one - other) for one, other in zip(seen, colour, strict=True)) < 8


@pytest.mark.parametrize(
    ("name", "width", "height", "thumbnail"),
    [
        ("108.jpg", 12_000, 9_000, (256, 192)),
        ("300.jpg", 20_000, 15_000, (256, 192)),
        ("300.png", 20_000, 15_000, (256, 192)),
    ],
)
async def test_a_large_picture_is_taken(
    attacked: Attacked, name: str, width: int, height: int, thumbnail: tuple[int, int]
) -> None:
    dataset = await attacked.api.dataset()
    content = (jpeg if name.endswith("jpg") else png)(width, height)
    async with attacked.bystander():
        answer = await send(attacked.client("owner"), dataset.id, (name, content))
    [taken] = answer.json()["images"]
    assert taken["width"] == width
    assert taken["height"] == height
    assert taken["size"] == len(content)
    assert max(peaks(attacked.pid)) < DECODING_BYTES + PROCESS_BYTES
    await check_thumbnail(attacked, dataset.id, thumbnail)


async def test_a_jpeg_of_80_megabytes_is_taken(attacked: Attacked) -> None:
    """Its bytes wait on the disk and travel to the store in parts: memory does not grow with them."""
    dataset = await attacked.api.dataset()
    content = jpeg_of_noise(10_400, 8_000)
    assert len(content) > 80_000_000
    async with attacked.bystander() as seen:
        answer = await send(attacked.client("owner"), dataset.id, ("noise.jpg", content))
    [taken] = answer.json()["images"]
    assert taken["width"] == 10_400
    assert taken["height"] == 8_000
    assert taken["size"] == len(content)
    assert max(peaks(attacked.pid)) < DECODING_BYTES + PROCESS_BYTES
    assert seen.growth_bytes < 64 * MIB
    image = await only_image(attacked, dataset.id)
    assert (await attacked.client("owner").get(image["url"])).content == content


async def test_a_large_tiff_is_taken_and_shown(attacked: Attacked) -> None:
    """What scanners make: more pixels than the smallest share holds, packed in strips."""
    dataset = await attacked.api.dataset()
    out = io.BytesIO()
    two_colours(8_000, 6_000).save(out, "TIFF", compression="tiff_lzw")
    async with attacked.bystander() as seen:
        answer = await send(attacked.client("owner"), dataset.id, ("scan.tif", out.getvalue()))
    [taken] = answer.json()["images"]
    assert taken["width"] == 8_000
    assert taken["height"] == 6_000
    assert max(peaks(attacked.pid)) < DECODING_BYTES + PROCESS_BYTES
    assert seen.growth_bytes < 64 * MIB
    shown = await attacked.client("owner").get((await only_image(attacked, dataset.id))["url"])
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (8_000, 6_000)
    await check_thumbnail(attacked, dataset.id, (256, 192))


async def test_what_the_container_cannot_hold_is_refused_with_the_limit(attacked: Attacked) -> None:
    """An interlaced PNG and a progressive JPEG need all of their pixels at once: said from the header alone."""
    dataset = await attacked.api.dataset()
    interlaced = png(20_000, 15_000, interlaced=True)
    answer = await send(
        attacked.client("owner"),
        dataset.id,
        ("progressive.jpg", progressive(20_000, 15_000)),
        ("interlaced.png", interlaced),
    )
    reasons = {failed["filename"]: failed["reason"] for failed in answer.json()["failed"]}
    assert reasons == {
        "progressive.jpg": "it takes 576 MiB of memory to decode, and 256 MiB are there for one picture: "
        "make it smaller, or send it as a JPEG that is not progressive",
        "interlaced.png": "it takes 286 MiB of memory to decode, and 256 MiB are there for one picture: "
        "make it smaller, or send it as a JPEG that is not progressive",
    }
