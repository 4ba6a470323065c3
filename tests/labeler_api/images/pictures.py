"""Pictures and archives for the tests of images, made by hand where no library would."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import httpx
from PIL import Image

from tests.fixtures.api import Api, Made

ORIENTATION = 0x0112


def picture(
    width: int = 64, height: int = 48, kind: str = "JPEG", *, mode: str = "RGB", colour: Any = 0, **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), colour).save(out, kind, **options)
    return out.getvalue()


def rotated(width: int, height: int, orientation: int, kind: str = "JPEG") -> bytes:
    """A picture whose left half is red and whose right half is blue, before the orientation is applied."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    out = io.BytesIO()
    image.save(out, kind, exif=exif, quality=95)
    return out.getvalue()


def noise(width: int, height: int, seed: int = 0) -> bytes:
    """A JPEG that does not shrink: about as large as a photograph of this size."""
    image = Image.effect_noise((width, height), 60 + seed % 10)
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def pixel_flood(side: int = 50_000) -> bytes:
    """A PNG that says it has side × side pixels, in some hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


def archive(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, content in members.items():
            target.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


async def upload(
    client: httpx.AsyncClient, made: Made | str, *files: tuple[str, bytes], field: str = "files"
) -> httpx.Response:
    where = made if isinstance(made, str) else made.dataset_id
    form = [(field, (name, content, "application/octet-stream")) for name, content in files]
    return await client.post(f"/api/v1/datasets/{where}/images", files=form, timeout=120)


async def rows(api: Api, made: Made) -> dict[str, dict[str, Any]]:
    """The dataset's image rows by id."""
    async with api.db.read() as connection:
        found = await connection.fetch("SELECT * FROM image_metadata WHERE dataset_id = $1", made.dataset_id)
    return {row["id"]: dict(row) for row in found}


async def counters(api: Api, made: Made) -> tuple[int, int, int]:
    """(datasets.num_images, annotation_projects.total_images, datasets.images_revision)."""
    async with api.db.read() as connection:
        row = await connection.fetchrow(
            "SELECT num_images, total_images, images_revision FROM datasets d"
            " JOIN annotation_projects p ON p.dataset_id = d.id WHERE d.id = $1",
            made.dataset_id,
        )
    assert row is not None
    return row["num_images"], row["total_images"], row["images_revision"]


async def stored_keys(api: Api, made: Made, folder: str) -> list[str]:
    """The keys below `datasets/<id>/<folder>/`, without that prefix."""
    prefix = f"datasets/{made.dataset_id}/{folder}/"
    return [entry.key.removeprefix(prefix) async for entry in api.services.objects.list("datasets", prefix)]


def media_path(url: str) -> str:
    """The path and query of a link, to be asked of the application."""
    return url.removeprefix("http://api.test")
