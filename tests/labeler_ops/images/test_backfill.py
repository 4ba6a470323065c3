"""`labeler images backfill` against a real store and a real database."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from PIL import Image

from labeler_api.errors import Unavailable
from labeler_api.object_store.objects import ObjectStore
from labeler_api.settings import Settings, load
from labeler_api.workers.decoders import Decoders, capacity
from labeler_ops.images.backfill import Backfill, BackfillReport
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.hostile_pictures import SCANS, progressive_bomb

DATASET = "ds_backfill"
MAX_PIXELS = 1_000_000


def _encoded(kind: str, size: tuple[int, int] = (64, 48), orientation: int | None = None, mode: str = "RGB") -> bytes:
    image = Image.effect_noise(size, 80).convert(mode)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"exif": exif} if orientation else {}))
    return buffer.getvalue()


def _two_pictures() -> bytes:
    first, second = (Image.effect_noise((64, 48), 80).convert("RGB") for _ in range(2))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])  # as phones write .jpg
    return buffer.getvalue()


IMAGES = {
    "a/upright": (_encoded("JPEG"), (64, 48, "image/jpeg")),
    "a/turned": (_encoded("JPEG", orientation=6), (48, 64, "image/jpeg")),
    "a/mirrored": (_encoded("JPEG", orientation=2), (64, 48, "image/jpeg")),
    "b/png": (_encoded("PNG", mode="RGBA"), (64, 48, "image/png")),
    "b/turned png": (_encoded("PNG", orientation=8), (48, 64, "image/png")),
    "b/webp": (_encoded("WEBP"), (64, 48, "image/webp")),
    "한글 %41?": (_encoded("TIFF"), (64, 48, "image/tiff")),
    "gif": (_encoded("GIF", mode="P"), (64, 48, "image/gif")),
    "bmp": (_encoded("BMP"), (64, 48, "image/bmp")),
    "two pictures": (_two_pictures(), (64, 48, "image/jpeg")),
}
DAMAGED = {
    "text": (b"this is a text", "is not a JPEG"),
    "empty": (b"", "is empty"),
    "cut": (_encoded("JPEG", (640, 480))[:9000], "is damaged"),
    "cut png": (_encoded("PNG", (640, 480))[:9000], "is damaged"),
    "huge": (_encoded("PNG", (1001, 1000), mode="1"), "more than 1000000 pixels"),
    "many scans": (progressive_bomb(1000, 1000, SCANS), "more than 64 scans"),
}


@pytest.fixture
def settings(labeler_dsn: str, object_store: SeaweedServer) -> Settings:
    return load(
        {
            "LABELER_DB_URL": labeler_dsn,
            "S3_ENDPOINT": object_store.endpoint,
            "S3_ACCESS_KEY": object_store.access.access_key,
            "S3_SECRET_KEY": object_store.access.secret_key,
            "MAX_IMAGE_PIXELS": str(MAX_PIXELS),
        }
    )


@pytest.fixture
async def objects(settings: Settings) -> AsyncIterator[ObjectStore]:
    async with AsyncExitStack() as stack:
        yield await ObjectStore.connect(settings, stack)


@pytest.fixture
async def database(labeler_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(labeler_dsn)
    await connection.execute(
        "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ($1, 'x', 1, 'x')", DATASET
    )
    yield connection
    await connection.close()


def _key(image_id: str) -> str:
    return f"datasets/{DATASET}/images/{image_id}"


async def _store(
    database: "asyncpg.Connection[asyncpg.Record]", objects: ObjectStore, images: dict[str, bytes | None]
) -> None:
    for image_id, content in images.items():
        if content is not None:
            await objects.put("datasets", _key(image_id), content, "application/octet-stream")
        await database.execute(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, size) VALUES ($1, $2, $2, $3, 1)",
            DATASET,
            image_id,
            _key(image_id),
        )


async def _run(
    settings: Settings, objects: ObjectStore, progress: list[int] | None = None, workers: int = 3
) -> BackfillReport:
    work = Backfill(settings.labeler_db_url, objects, "datasets", Decoders(capacity()), max_pixels=MAX_PIXELS)
    seen = progress if progress is not None else []
    return await work.run(workers=workers, progress=lambda report: seen.append(report.filled))


async def test_rows_are_filled_in(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await _store(database, objects, {image_id: content for image_id, (content, _) in IMAGES.items()})
    report = await _run(settings, objects)
    assert report.lacking == len(IMAGES)
    assert report.filled == len(IMAGES)
    assert report.failed == []
    for row in await database.fetch("SELECT * FROM image_metadata"):
        content, (width, height, content_type) = IMAGES[row["id"]]
        assert row["width"] == width, row["id"]
        assert row["height"] == height, row["id"]
        assert row["content_type"] == content_type, row["id"]
        assert row["content_sha256"] == sha256(content).hexdigest()
        assert row["size"] == len(content)
    assert await database.fetchval("SELECT images_revision FROM datasets") == len(IMAGES)
    again = await _run(settings, objects)
    assert again.lacking == 0
    assert again.filled == 0


async def test_what_cannot_be_read_is_reported(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    damaged = {image_id: content for image_id, (content, _) in DAMAGED.items()}
    await _store(database, objects, {**damaged, "missing": None, "good": IMAGES["b/png"][0]})
    report = await _run(settings, objects)
    reasons = {failure.image_id: failure.reason for failure in report.failed}
    assert report.filled == 1
    assert reasons.keys() == {*DAMAGED, "missing"}
    assert reasons["missing"] == "the object is not in the store"
    for image_id, (content, said) in DAMAGED.items():
        assert said in reasons[image_id], reasons[image_id]
        row = await database.fetchrow("SELECT * FROM image_metadata WHERE id = $1", image_id)
        assert row is not None
        # What bytes it has is known all the same: links of it carry their version.
        assert row["content_sha256"] == sha256(content).hexdigest()
        assert row["width"] is None
    again = await _run(settings, objects)
    assert again.lacking == len(DAMAGED) + 1
    assert again.filled == 0
    assert len(again.failed) == len(DAMAGED) + 1


async def test_several_runs_share_the_work(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await _store(database, objects, {f"{n:03}": IMAGES["a/upright"][0] for n in range(24)})
    reports = await asyncio.gather(*(_run(settings, objects) for _ in range(3)))
    assert sum(report.filled for report in reports) == 24
    assert await database.fetchval("SELECT images_revision FROM datasets") == 24
    assert await database.fetchval("SELECT count(*) FROM image_metadata WHERE width = 64 AND height = 48") == 24


async def test_an_interrupted_run_goes_on(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await _store(database, objects, {f"{n:03}": IMAGES["a/upright"][0] for n in range(24)})
    started = asyncio.Event()

    def progress(report: BackfillReport) -> None:
        if report.filled >= 5:
            started.set()

    work = Backfill(settings.labeler_db_url, objects, "datasets", Decoders(capacity()), max_pixels=MAX_PIXELS)
    task = asyncio.create_task(work.run(workers=2, progress=progress))
    async with asyncio.timeout(60):
        await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done = await database.fetchval("SELECT count(*) FROM image_metadata WHERE width IS NOT NULL")
    report = await _run(settings, objects)
    assert 5 <= done < 24
    assert report.lacking == 24 - done
    assert report.filled == 24 - done
    assert report.failed == []


async def test_a_row_that_an_upload_changes_meanwhile_is_left_alone(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await _store(database, objects, {"one": IMAGES["a/upright"][0]})

    class Replaced(Backfill):
        async def _read(self, worker: int, s3_key: str):  # type: ignore[no-untyped-def]
            found = await super()._read(worker, s3_key)
            await database.execute("UPDATE image_metadata SET last_modified = now(), width = 1, height = 2")
            return found

    work = Replaced(settings.labeler_db_url, objects, "datasets", Decoders(capacity()), max_pixels=MAX_PIXELS)
    report = await work.run(progress=lambda _: None)
    assert report.filled == 0
    assert report.skipped == 1
    row = await database.fetchrow("SELECT width, height, content_sha256 FROM image_metadata")
    assert row is not None
    assert row["width"] == 1
    assert row["height"] == 2
    assert row["content_sha256"] is None


async def test_a_store_that_is_away_ends_the_run(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]", labeler_dsn: str
) -> None:
    await _store(database, objects, {"one": IMAGES["a/upright"][0]})
    away = load({"LABELER_DB_URL": labeler_dsn, "S3_ENDPOINT": "http://127.0.0.1:9"})
    async with AsyncExitStack() as stack:
        with pytest.raises(Unavailable):
            await _run(settings, await ObjectStore.connect(away, stack))
    assert (await _run(settings, objects)).filled == 1


async def test_the_command(
    settings: Settings, objects: ObjectStore, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await _store(database, objects, {"one": IMAGES["a/turned"][0], "text": b"text", "other/x": IMAGES["bmp"][0]})
    environ = {
        **os.environ,
        "LABELER_DB_URL": settings.labeler_db_url,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
        "ENVIRONMENT": "production",  # needs no secret of the API
    }

    async def labeler(*arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        argv = [str(Path(sys.executable).with_name("labeler")), "images", "backfill", *arguments]
        return await asyncio.to_thread(
            subprocess.run, argv, env={**environ, **changed}, capture_output=True, text=True, check=False
        )

    first = await labeler()
    assert first.returncode == 1, first.stderr
    assert "2 of 3 rows filled in" in first.stdout
    assert f"{DATASET} text: the object cannot be used: it is not a JPEG" in first.stdout
    second = await labeler("--json", "--dataset", DATASET)
    assert json.loads(second.stdout)["failed"][0]["image_id"] == "text"
    away = await labeler(S3_ENDPOINT="http://127.0.0.1:9")
    assert away.returncode == 2
    assert "object store is not available" in away.stderr
    nobody = await labeler(LABELER_DB_URL="postgresql://x:secret@127.0.0.1:9/x")
    assert nobody.returncode == 2
    assert "cannot be reached" in nobody.stderr
    assert "secret" not in nobody.stderr
