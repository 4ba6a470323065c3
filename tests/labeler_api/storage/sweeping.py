"""Orphans to find, sweeps, and the weeks between two of them."""

import asyncio
from datetime import timedelta

from labeler_api.object_store.objects import Upload
from labeler_api.storage.orphans.sweep import Sweep, SweepReport
from tests.fixtures.api import Api, Made
from tests.labeler_api.versions.builders import stored_keys

DATASETS, EXPORTS = "datasets", "annotations"
NOTHING_IS_YOUNG = timedelta(0)


def orphans(made: Made) -> dict[tuple[str, str], str]:
    """Keys that nothing refers to, and why the sweep takes them."""
    folder, exports = f"datasets/{made.dataset_id}", f"exports/{made.project_id}"
    return {
        (DATASETS, f"{folder}/images/never/got a row.jpg"): "no image has it",
        (DATASETS, f"{folder}/thumbnails/replaced.0011aabb.jpg"): "no image has it as its thumbnail",
        (DATASETS, "datasets/ds_gone/images/a.jpg"): "its dataset is deleted",
        (DATASETS, "datasets/ds_gone/annotations_detection.json"): "its dataset is deleted",
        (EXPORTS, f"{exports}/detection/v9.0/annotations.json"): "no version has it",
        (EXPORTS, "exports/proj_gone/detection/v1.0/annotations.json"): "its project is deleted",
    }


def kept(made: Made) -> list[tuple[str, str]]:
    """Keys that nothing refers to either, and that are not the sweep's to take."""
    return [
        (DATASETS, f"datasets/{made.dataset_id}/annotations_segmentation.json"),
        (DATASETS, f"datasets/{made.dataset_id}/something of others"),
        (DATASETS, "backups/ds_gone/backup_20261122_101112.rows.jsonl.gz"),
        (EXPORTS, f"exports/{made.project_id}/detection/export_20261122_101112/annotations.json"),
        (EXPORTS, "exports/of another form"),
    ]


async def put_all(api: Api, keys: list[tuple[str, str]]) -> None:
    put = api.services.objects.put
    await asyncio.gather(*(put(bucket, key, b"0123456789", "text/plain") for bucket, key in keys))


async def put_many(api: Api, number: int) -> set[str]:
    """Put so many orphans of a dataset that is gone, fifty at a time."""
    keys = [f"datasets/ds_gone/images/{one:04d}.jpg" for one in range(number)]
    for start in range(0, number, 50):
        await put_all(api, [(DATASETS, key) for key in keys[start : start + 50]])
    return set(keys)


async def swept(
    api: Api, age: timedelta = NOTHING_IS_YOUNG, *, remove: bool = True, allowed: int | None = None
) -> SweepReport:
    services = api.services
    walk = Sweep(
        services.db, services.objects, services.settings, minimum_age=age, metrics=services.instruments.metrics
    )
    return await walk.run(remove=remove, allowed=allowed)


async def week_passes(api: Api, days: float = 7) -> None:
    """Let what is on the list have been found so much earlier."""
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE orphaned_objects SET found_at = found_at - $1::interval, seen_at = seen_at - $1::interval",
            timedelta(days=days),
        )


async def on_the_list(api: Api) -> int:
    async with api.db.read() as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM orphaned_objects")
        return number


async def everything(api: Api) -> set[tuple[str, str]]:
    return {(bucket, key) for bucket in (DATASETS, EXPORTS) for key in await stored_keys(api, bucket, "")}


async def begin_upload(api: Api, key: str) -> None:
    """Leave parts behind, as a process that dies does."""
    upload = Upload(api.services.objects._client, DATASETS, key, {"ContentType": "image/jpeg"})
    await upload.write(bytes(8 * 1024 * 1024))


def counted(api: Api, name: str, **labels: str) -> float:
    return api.services.instruments.metrics.registry.get_sample_value(f"labeler_{name}", labels) or 0.0


def environment(api: Api) -> dict[str, str]:
    settings = api.services.settings
    return {
        "LABELER_DB_URL": settings.labeler_db_url,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
    }
