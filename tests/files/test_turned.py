"""Files of tools that do not heed EXIF: their shapes are turned with the picture, where it is known how."""

import io
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.files.labels import coco
from tests.fixtures.annotation_files import annotations, refused, take
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import ORIENTATION, upload

WIDTH, HEIGHT = 64, 48
BOX = [50, 4, 10, 6]
RING = [50, 4, 60, 4, 60, 10]


def sent(orientation: int) -> bytes:
    """A picture that is white in the box, and black elsewhere."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.new("L", (WIDTH, HEIGHT))
    image.paste(255, (BOX[0], BOX[1], BOX[0] + BOX[2], BOX[1] + BOX[3]))
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    return out.getvalue()


def shown(orientation: int) -> list[float]:
    """Where a browser shows what is white."""
    with Image.open(io.BytesIO(sent(orientation))) as image:
        left, top, right, bottom = ImageOps.exif_transpose(image).getbbox() or (0, 0, 0, 0)
    return [left, top, right - left, bottom - top]


async def uploaded(api: Api, orientation: int) -> Dataset:
    dataset = await api.dataset(tasks=["detection", "segmentation"])
    answer = await upload(await api.login("owner"), dataset, ("a.jpg", sent(orientation)))
    assert answer.json()["images_uploaded"] == 1, answer.text
    return dataset


def of_size(width: int, height: int, **annotation: Any) -> bytes:
    return coco(annotation, image={"width": width, "height": height})


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
async def test_shapes_are_turned_with_their_picture(api: Api, orientation: int) -> None:
    dataset = await uploaded(api, orientation)
    answer = await take(api, dataset, of_size(WIDTH, HEIGHT, bbox=BOX))
    [box] = await annotations(api, dataset)
    assert box["geometry"]["bbox"] == shown(orientation)
    assert box["geometry"]["image_width"] == HEIGHT
    assert box["geometry"]["image_height"] == WIDTH
    [warning] = answer["report"]["warnings"]
    assert "the shapes were turned with the picture" in warning
    await take(api, dataset, of_size(WIDTH, HEIGHT, bbox=BOX, segmentation=[RING]), force=True)
    [*_, ring] = await annotations(api, dataset)
    xs, ys = zip(*ring["geometry"]["points"], strict=True)
    assert [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] == shown(orientation)


async def test_a_file_of_the_size_as_displayed_stays_as_it_is(api: Api) -> None:
    dataset = await uploaded(api, 6)
    answer = await take(api, dataset, of_size(HEIGHT, WIDTH, bbox=[1, 2, 3, 4]))
    [box] = await annotations(api, dataset)
    assert box["geometry"]["bbox"] == [1, 2, 3, 4]
    assert answer["report"]["warnings"] == []


async def test_where_nobody_knows_how_it_is_refused(api: Api) -> None:
    dataset = await uploaded(api, 6)
    halved = await refused(api, dataset, of_size(WIDTH // 2, HEIGHT // 2, bbox=[1, 2, 3, 4]))
    angle = await refused(api, dataset, of_size(WIDTH, HEIGHT, bbox=[10, 10, 9, 9], attributes={"rotation": 30}))
    async with api.db.begin() as tx:  # the API of before has replaced the image, and knows nothing of this column
        await tx.execute("UPDATE image_metadata SET content_sha256 = repeat('0', 64)")
    replaced = await refused(api, dataset, of_size(WIDTH, HEIGHT, bbox=BOX))
    for answer in (halved, angle, replaced):
        assert "EXIF orientation" in answer["detail"]
