"""`labeler images check`: rows and objects that do not fit are found and named, and nothing else is."""

import asyncio
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from labeler_ops.cli import app
from labeler_ops.images.checking import Check, CheckReport
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import image_rows, picture, upload

NAMES = [f"d/{number}.jpg" for number in range(12)]


@pytest.fixture
async def dataset(api: Api) -> Dataset:
    """Twelve images that fit."""
    await api.empty_store()
    dataset = await api.dataset()
    files = [(name, picture(20 + number, 20)) for number, name in enumerate(NAMES)]
    assert (await upload(await api.login("owner"), dataset, *files)).json()["images_uploaded"] == len(NAMES)
    return dataset


async def checked(api: Api, *, read: bool = False, dataset_id: str | None = None) -> CheckReport:
    work = Check(api.services.settings.labeler_db_url, api.services.objects, "datasets", read=read)
    return await work.run(dataset_id=dataset_id, workers=3, progress=lambda _: None)


def found(report: CheckReport) -> list[tuple[str, str]]:
    return [(one.image_id, one.kind) for one in report.mismatches]


async def spoil(api: Api, dataset: Dataset) -> None:
    """Everything that an upload of before, an operator or a store may have done."""
    image, objects = await image_rows(api, dataset), api.services.objects
    key = {name: row["s3_key"] for name, row in image.items()}
    await objects.delete_many("datasets", [key["d/1"], image["d/2"]["thumbnail_key"]])
    await objects.put("datasets", key["d/3"], picture(99, 99, "PNG"), "image/png")
    same_size = bytes(image["d/4"]["size"])
    await objects.put("datasets", key["d/4"], same_size, "image/jpeg")  # says nothing of itself
    await objects.put("datasets", key["d/5"], bytes(image["d/5"]["size"]), "image/jpeg", {"sha256": "0" * 64})
    async with api.db.begin() as tx:  # a legacy row, whose content nobody knows
        await tx.execute("UPDATE image_metadata SET content_sha256 = NULL, thumbnail_key = NULL WHERE id = 'd/6'")


async def test_what_fits_is_found_to_fit(api: Api, dataset: Dataset) -> None:
    for read in (False, True):
        report = await checked(api, read=read)
        assert report.images == len(NAMES)
        assert report.examined == len(NAMES)
        assert found(report) == []
    assert report.read_bytes == sum(row["size"] for row in (await image_rows(api, dataset)).values())


async def test_what_does_not_fit_is_named(api: Api, dataset: Dataset) -> None:
    await spoil(api, dataset)
    plain = [("d/1", "missing"), ("d/2", "thumbnail"), ("d/3", "size"), ("d/5", "content")]
    report = await checked(api)
    assert found(report) == plain
    assert dict(report.counts) == {"missing": 1, "thumbnail": 1, "size": 1, "content": 1}
    assert found(await checked(api, read=True)) == sorted([*plain, ("d/4", "content")])
    other = await api.dataset()
    assert (await checked(api, dataset_id=other.id)).images == 0


async def test_an_image_that_is_replaced_meanwhile_is_no_fault(api: Api, dataset: Dataset) -> None:
    old = (await image_rows(api, dataset))["d/0"]
    client = await api.login("owner")

    class Replaced(Check):
        async def _of_image(self, row: Any) -> tuple[str, str] | None:
            if row["s3_key"] == old["s3_key"]:  # a new one in its place, and the old object gone at once
                await upload(client, dataset, ("d/0.jpg", picture(77, 77)))
                await api.services.objects.delete_many("datasets", [old["s3_key"], old["thumbnail_key"]])
            return await super()._of_image(row)

    work = Replaced(api.services.settings.labeler_db_url, api.services.objects, "datasets", read=False)
    report = await work.run(dataset_id=None, workers=3, progress=lambda _: None)
    assert report.examined == len(NAMES)
    assert found(report) == []


def command(api: Api, *arguments: str, **variables: str) -> Result:
    """Run the command in this process, in a thread of its own: it has an event loop of its own."""
    settings = api.services.settings
    environment = {
        "LABELER_DB_URL": settings.labeler_db_url,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
        **variables,
    }
    return CliRunner().invoke(app, ["images", "check", *arguments], env=environment)


async def test_the_command(api: Api, dataset: Dataset) -> None:
    good = await asyncio.to_thread(command, api)
    assert good.exit_code == 0
    assert good.stdout == "12 images looked at, all of them fit.\n"
    await spoil(api, dataset)
    told = await asyncio.to_thread(command, api, "--read")
    assert told.exit_code == 1
    assert "12 images looked at, 5 do not fit: 2 content, 1 missing, 1 size, 1 thumbnail." in told.stdout
    assert f"{dataset.id} d/1: the image is not in the store" in told.stdout
    as_json = await asyncio.to_thread(command, api, "--json", "--dataset", dataset.id)
    assert msgspec.json.decode(as_json.stdout)["counts"] == {"missing": 1, "thumbnail": 1, "size": 1, "content": 1}
    away = await asyncio.to_thread(command, api, S3_ENDPOINT="http://127.0.0.1:9")
    assert away.exit_code == 2
    assert "object store is not available" in away.stderr


async def test_a_rendition_that_is_gone_is_named(api: Api) -> None:
    await api.empty_store()
    dataset = await api.dataset()
    await upload(await api.login("owner"), dataset, ("a.tif", picture(kind="TIFF")))
    await api.services.objects.delete_many("datasets", [(await image_rows(api, dataset))["a"]["rendition_key"]])
    assert found(await checked(api)) == [("a", "rendition")]
