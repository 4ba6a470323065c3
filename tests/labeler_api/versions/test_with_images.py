"""Exports with the images: one ZIP that a reader trains with as it is unpacked."""

import io
import random
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image
from pycocotools import coco as official_coco

from tests.fixtures import readers
from tests.fixtures.annotation_files import annotations
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.image_deletion import delete_many
from tests.fixtures.pictures import image_rows, noise, picture, upload
from tests.fixtures.versions import CLASSES, annotate, annotation, downloaded, export, exported, published

ODD = "값 %'#&/50% 'a'.png"
SIZE = (64, 48)
PATHS = ["b.jpg", "a.jpg", "a.png", "A.JPG", "train/images/1.jpg", "val/한글 폴더/불량_1.png", ODD]
PLACES = {  # those that lie elsewhere than under their paths: labels know images by their paths without extension
    "yolo": {"a.jpg": "a.jpg.jpg", "a.png": "a.png.png"},
    "voc": {"a.jpg": "a.jpg.jpg", "a.png": "a.png.png"},
    "coco": {"a.jpg": "a.jpg.jpg"},
    "dice": {"a.jpg": "a.jpg.jpg"},
}


def _picture(path: str) -> bytes:
    return (
        noise(*SIZE, seed=PATHS.index(path))
        if not path.endswith(".png")
        else picture(*SIZE, "PNG", colour=path_seed(path))
    )


def path_seed(path: str) -> tuple[int, int, int]:
    return (PATHS.index(path), 2, 3)


@pytest.fixture
def pictures() -> dict[str, bytes]:
    return {path: _picture(path) for path in PATHS}


async def _dataset(api: Api, pictures: dict[str, bytes]) -> tuple[Dataset, dict[str, list[float]]]:
    """A dataset with these pictures: a box on each but the last, on which there is nothing; and one left unlabeled."""
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES)
    owner = await api.login("owner")
    for some in (["a.jpg"], [path for path in PATHS if path != "a.jpg"]):  # its id is `a`, and not that of `a.png`
        answer = await upload(owner, dataset, *((path, pictures[path]) for path in some))
        assert answer.status_code == 200, answer.text
        assert answer.json()["failed"] == [], answer.text
    await upload(owner, dataset, ("unlabeled.jpg", noise(*SIZE, seed=9)))
    ids = {
        "/".join(filter(None, (row["folder_path"], row["file_name"]))): image_id
        for image_id, row in (await image_rows(api, dataset)).items()
    }
    dataset.image_ids = [ids[path] for path in PATHS]
    boxes: dict[str, list[float]] = {}
    *labeled, (empty, _) = zip(pictures, dataset.image_ids, strict=False)
    for number, (path, image_id) in enumerate(labeled):
        boxes[path] = [number + 1, 2, 20, 30]
        geometry = {"type": "bbox", "bbox": boxes[path]}
        await annotate(api, dataset, annotation(image_id, geometry=geometry, class_id="c_dog", class_name="dog"))
    nothing = annotation(dataset.image_ids[len(labeled)], "no_object", {"type": "no_object"}, class_id=None)
    await annotate(api, dataset, nothing)
    assert empty == ODD
    return dataset, boxes


async def _zip(api: Api, dataset: Dataset, **body: Any) -> bytes:
    answer = await exported(await api.login("owner"), dataset, include_images=True, **body)
    file = await downloaded(api, answer)
    assert file.status_code == 200, file.text
    assert answer["file_size_bytes"] == len(file.content) == int(file.headers["content-length"])
    return file.content


def _place(kind: str, path: str) -> str:
    return f"{'JPEGImages' if kind == 'voc' else 'images'}/{PLACES[kind].get(path, path)}"


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_it_holds_the_images_as_they_were_uploaded(api: Api, pictures: dict[str, bytes], kind: str) -> None:
    dataset, _ = await _dataset(api, pictures)
    content = await _zip(api, dataset, export_format=kind)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(set(names)) == len(names)
        assert not any("unlabeled" in name for name in names)
        for path, sent in pictures.items():
            member = archive.getinfo(_place(kind, path))
            assert archive.read(member) == sent
            assert member.compress_type == zipfile.ZIP_STORED
        assert sum(name.startswith(("images/", "JPEGImages/")) and "/labels/" not in name for name in names) == len(
            PATHS
        )


def _unpacked(content: bytes, directory: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(directory)


def _corners(box: list[float]) -> Any:
    left, top, width, height = box
    return pytest.approx([left, top, left + width, top + height], abs=0.005)


def _labels(image: Path) -> list[str]:
    """Read the label where Ultralytics looks for it."""
    return Path(readers.label_path(str(image))).read_text().splitlines()


def _trained_on(directory: Path, split: str) -> Iterator[Path]:
    """Every image that Ultralytics finds: its `check_det_dataset` and `BaseDataset.get_img_files`."""
    told = yaml.safe_load((directory / "data.yaml").read_text())
    assert "path" not in told  # then it is where data.yaml is
    folders = told[split] if isinstance(told[split], list) else [told[split]]
    for folder in folders:
        yield from (one for one in (directory / folder).rglob("*.*") if one.suffix.lower() in {".jpg", ".png"})


async def test_yolo_trains_on_it_as_it_is_unpacked(api: Api, pictures: dict[str, bytes], tmp_path: Path) -> None:
    dataset, boxes = await _dataset(api, pictures)
    _unpacked(await _zip(api, dataset, export_format="yolo"), tmp_path)
    told = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert told["train"] == "images"
    assert told["val"] == "images"
    assert told["names"] == {0: "cat", 1: "dog"}
    found: dict[str, list[list[float]]] = {}
    for image in _trained_on(tmp_path, "train"):
        lines = [[float(one) for one in line.split()] for line in _labels(image)]
        found[str(image.relative_to(tmp_path / "images"))] = lines
    assert set(found) == {_place("yolo", path).removeprefix("images/") for path in pictures}
    for path, (left, top, width, height) in boxes.items():
        [[number, *fractions]] = found[_place("yolo", path).removeprefix("images/")]
        expected = [(left + width / 2) / 64, (top + height / 2) / 48, width / 64, height / 48]
        assert number == 1
        assert fractions == pytest.approx(expected, abs=1e-6)
    assert found[ODD] == []


async def test_splits_are_those_of_the_folders(api: Api, tmp_path: Path) -> None:
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES)
    paths = ["coco8/images/train/1.jpg", "coco8/images/Valid/2.jpg", "test/3.jpg", "coco8/images/train/sub/4.jpg"]
    answer = await upload(await api.login("owner"), dataset, *((path, noise(*SIZE)) for path in paths))
    ids = [one["id"] for one in answer.json()["images"]]
    await annotate(api, dataset, *(annotation(image_id) for image_id in ids))
    _unpacked(await _zip(api, dataset, export_format="yolo"), tmp_path)
    found = {split: {one.name for one in _trained_on(tmp_path, split)} for split in ("train", "val", "test")}
    assert found == {"train": {"1.jpg", "4.jpg"}, "val": {"2.jpg"}, "test": {"3.jpg"}}
    for split in found:
        for image in _trained_on(tmp_path, split):
            assert len(_labels(image)) == 1
    # As soon as one image lies elsewhere nobody says what it is for: all are for both.
    await upload(await api.login("owner"), dataset, ("elsewhere.jpg", noise(*SIZE)))
    await annotate(api, dataset, annotation("elsewhere"))
    other = zipfile.ZipFile(io.BytesIO(await _zip(api, dataset, export_format="yolo")))
    assert yaml.safe_load(other.read("data.yaml"))["train"] == "images"


async def test_coco_is_read_beside_its_images(api: Api, pictures: dict[str, bytes], tmp_path: Path) -> None:
    dataset, boxes = await _dataset(api, pictures)
    _unpacked(await _zip(api, dataset, export_format="coco"), tmp_path)
    read = official_coco.COCO(str(tmp_path / "annotations" / "instances_default.json"))
    names = {image["file_name"]: number for number, image in read.imgs.items()}
    assert set(names) == {_place("coco", path).removeprefix("images/") for path in pictures}
    for path, sent in pictures.items():
        name = _place("coco", path).removeprefix("images/")
        assert (tmp_path / "images" / name).read_bytes() == sent
        assert [one["bbox"] for one in read.imgToAnns[names[name]]] == ([boxes[path]] if path in boxes else [])


async def test_voc_is_read_beside_its_images(api: Api, pictures: dict[str, bytes], tmp_path: Path) -> None:
    dataset, boxes = await _dataset(api, pictures)
    _unpacked(await _zip(api, dataset, export_format="voc"), tmp_path)
    listed = (tmp_path / "ImageSets" / "Main" / "train.txt").read_text().splitlines()
    assert len(listed) == len(pictures)
    for path in pictures:
        place = _place("voc", path).removeprefix("JPEGImages/")
        folder, _, name = place.rpartition("/")
        assert place.rpartition(".")[0] in listed
        found = readers.Dataset.from_pascal_voc(
            images_directory_path=str(tmp_path / "JPEGImages" / folder),
            annotations_directory_path=str(tmp_path / "Annotations" / folder),
        )
        regions = readers.regions(found)[str(tmp_path / "JPEGImages" / folder / name)]
        assert regions == ([("dog", _corners(boxes[path]))] if path in boxes else [])


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_it_comes_back_onto_the_same_images(api: Api, pictures: dict[str, bytes], kind: str) -> None:
    dataset, boxes = await _dataset(api, pictures)
    target = await api.dataset(tasks=["detection"], classes=CLASSES)
    owner = await api.login("owner")
    content = await _zip(api, dataset, export_format=kind)
    sent = [("files", (path, one)) for path, one in pictures.items()]
    form = [*sent, ("annotation_file", ("export.zip", content))]
    answer = await owner.post(f"/api/v1/datasets/{target.id}/images", files=form, timeout=60)
    assert answer.status_code == 200, answer.text
    paths = {
        image_id: "/".join(filter(None, (row["folder_path"], row["file_name"])))
        for image_id, row in (await image_rows(api, target)).items()
    }
    found = {paths[one["image_id"]]: one["geometry"].get("bbox") for one in await annotations(api, target)}
    assert {path: box for path, box in found.items() if box} == {
        path: pytest.approx(box) for path, box in boxes.items()
    }


@pytest.mark.parametrize("kind", ["yolo", "voc"])  # they tell no times
async def test_twice_the_same_bytes(api: Api, pictures: dict[str, bytes], kind: str) -> None:
    dataset, _ = await _dataset(api, pictures)
    first, second = [await _zip(api, dataset, export_format=kind) for _ in range(2)]
    assert first == second


async def test_any_range_of_it(api: Api, pictures: dict[str, bytes]) -> None:
    dataset, _ = await _dataset(api, pictures)
    answer = await exported(await api.login("owner"), dataset, include_images=True, export_format="yolo")
    async with api.client() as browser:

        async def get(**headers: str) -> httpx.Response:
            return await browser.get(
                answer["download_url"], headers={k.replace("_", "-"): v for k, v in headers.items()}
            )

        whole = await get()
        size, etag = len(whole.content), whole.headers["etag"]
        assert whole.headers["accept-ranges"] == "bytes"
        assert not etag.startswith("W/")
        chosen = random.Random(14)
        ends = sorted(chosen.randrange(size) for _ in range(40))
        for first, last in [(0, 0), (0, size - 1), (size - 1, size + 5), *zip(ends[::2], ends[1::2], strict=True)]:
            part = await get(range=f"bytes={first}-{last}", if_range=etag)
            assert part.status_code == 206
            assert part.content == whole.content[first : last + 1]
            assert part.headers["content-range"] == f"bytes {first}-{min(last, size - 1)}/{size}"
            assert part.headers["etag"] == etag
        assert (await get(range="bytes=-7")).content == whole.content[-7:]
        assert (await get(range=f"bytes={size // 2}-")).content == whole.content[size // 2 :]
        assert (await get(range="bytes=5-9", if_range='"another"')).content == whole.content
        beyond = await get(range=f"bytes={size}-")
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] == f"bytes */{size}"
        assert (await get(if_none_match=etag)).status_code == 304
        # A file that is replaced has another tag: a download goes on with the same bytes, or from the beginning.
        other = await exported(await api.login("owner"), dataset, include_images=True, export_format="coco")
        assert (await browser.get(other["download_url"])).headers["etag"] != etag


async def _checksums(api: Api, dataset: Dataset) -> dict[str, str | None]:
    async with api.db.read() as connection:
        image_rows = await connection.fetch(
            "SELECT id, content_checksum FROM image_metadata WHERE dataset_id = $1", dataset.id
        )
    return {row["id"]: row["content_checksum"] for row in image_rows}


async def test_what_a_zip_says_of_an_image_is_noted_with_it(api: Api, pictures: dict[str, bytes]) -> None:
    """By the upload; and for images of before by their first export."""
    dataset, _ = await _dataset(api, pictures)
    noted = await _checksums(api, dataset)
    content = await _zip(api, dataset, export_format="yolo")
    for path, image_id in zip(pictures, dataset.image_ids, strict=False):
        assert str(noted[image_id]).split()[:2] == [f"{zlib.crc32(pictures[path]):08x}", str(len(pictures[path]))]
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET content_checksum = NULL, size = 1 WHERE id <> 'unlabeled'")
        await tx.execute("UPDATE image_metadata SET content_sha256 = NULL WHERE id = 'b'")
        await tx.execute("UPDATE image_metadata SET content_checksum = '00000000 1 another' WHERE id = 'A'")
    assert await _zip(api, dataset, export_format="yolo") == content
    again = await _checksums(api, dataset)
    assert str(again.pop("b")).split()[2].startswith("t")
    # The orientation is the upload's alone.
    assert {image_id: str(checksum).split()[:3] for image_id, checksum in again.items()} == {
        image_id: str(checksum).split()[:3] for image_id, checksum in noted.items() if image_id != "b"
    }
    assert await _zip(api, dataset, export_format="yolo") == content


async def test_an_image_that_is_not_there_is_left_out_and_named(api: Api, pictures: dict[str, bytes]) -> None:
    dataset, _ = await _dataset(api, pictures)
    owner = await api.login("owner")
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_metadata SET s3_key = 'nowhere/x.jpg', content_checksum = NULL WHERE id = $1",
            dataset.image_ids[0],
        )
    answer = await exported(owner, dataset, include_images=True, export_format="coco")
    assert answer["annotation_count"] == len(PATHS) - 1
    assert answer["image_count"] == len(PATHS) - 1
    assert answer["images_left_out"] == 1
    found = readers.members((await downloaded(api, answer)).content)
    assert found["missing_images.txt"] == b"b.jpg\n"
    assert b'"b.jpg"' not in found["annotations/instances_default.json"]
    only = await export(owner, dataset, include_images=True, image_ids=[dataset.image_ids[0]])
    assert only.status_code == 400
    assert only.json()["code"] == "nothing_to_export"
    assert (await exported(owner, dataset))["images_left_out"] == 0


async def test_an_image_that_goes_after_the_export(api: Api, pictures: dict[str, bytes]) -> None:
    """One that is deleted can still be brought back, so it is there. Of one that is gone the link says so."""
    dataset, _ = await _dataset(api, pictures)
    owner = await api.login("owner")
    answer = await exported(owner, dataset, include_images=True, export_format="yolo")
    whole = (await downloaded(api, answer)).content
    async with api.db.read() as connection:
        key = await connection.fetchval("SELECT s3_key FROM image_metadata WHERE id = 'b'")
    assert (await delete_many(owner, dataset, "b")).status_code == 200
    assert (await downloaded(api, answer)).content == whole
    settings = api.services.settings
    await api.services.objects.put(settings.s3_bucket_datasets, key, b"another picture", "image/jpeg")
    at = whole.index(pictures["b.jpg"])
    async with api.client() as browser:
        gone = await browser.get(answer["download_url"], headers={"Range": f"bytes={at + 3}-"})
        assert gone.status_code == 404
        assert gone.json()["code"] == "export_outdated"
        before = await browser.get(answer["download_url"], headers={"Range": f"bytes=0-{at - 1}"})
        assert before.content == whole[:at]


async def test_a_version_has_the_images_that_it_was_made_of(api: Api, pictures: dict[str, bytes]) -> None:
    dataset, _ = await _dataset(api, pictures)
    owner = await api.login("owner")
    version = await published(owner, dataset, export_format="coco")
    first = await _zip(api, dataset, export_format="yolo", version_id=version["id"])
    # One is deleted, one is deleted and another one has its path, one is another picture, of another size, by now.
    assert (await delete_many(owner, dataset, "b", "a")).status_code == 200
    await upload(owner, dataset, ("a.jpg", noise(*SIZE, seed=7)), ("A.JPG", picture(99, 77)))
    async with api.db.begin() as tx:
        await tx.execute(
            "DELETE FROM annotations WHERE project_id = $1 AND image_id = 'train/images/1'", dataset.project_id
        )
    answer = await exported(owner, dataset, include_images=True, export_format="yolo", version_id=version["id"])
    found = readers.members((await downloaded(api, answer)).content)
    assert answer["images_left_out"] == 1
    assert found["missing_images.txt"] == b"A.JPG\n"
    assert found["images/b.jpg"] == pictures["b.jpg"]
    assert pictures["a.jpg"] in found.values()
    assert found["images/train/images/1.jpg"] == pictures["train/images/1.jpg"]
    assert set(readers.members(first)) > {"images/A.JPG"}
    plain = await exported(owner, dataset, export_format="yolo", version_id=version["id"])
    assert plain["annotation_count"] == version["annotation_count"]

    async def refused(**body: Any) -> tuple[int, str]:
        wrong = await export(owner, dataset, **{"version_id": version["id"], **body})
        return wrong.status_code, wrong.json()["code"]

    assert await refused(image_ids=["b"]) == (400, "version_is_whole")
    assert await refused(include_draft=True) == (400, "version_is_whole")
    assert await refused(version_id=version["id"] + 1) == (404, "version_not_found")
    assert await refused(task_type="segmentation") == (404, "version_not_found")
    assert (await refused(version_id=0))[0] == 422


async def test_an_image_that_was_never_sent_upright(api: Api, tmp_path: Path) -> None:
    """Boxes are those of the image as displayed, and readers turn it as browsers do: its bytes stay."""
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES)
    exif = Image.Exif()
    exif[0x0112] = 6
    sent = picture(64, 48, exif=exif)
    await upload(await api.login("owner"), dataset, ("a.jpg", sent))
    geometry = {"type": "bbox", "bbox": [0, 0, 48, 64]}
    await annotate(api, dataset, annotation("a", geometry=geometry))
    found = readers.members(await _zip(api, dataset, export_format="yolo"))
    assert found["images/a.jpg"] == sent
    assert found["labels/a.txt"] == b"0 0.500000 0.500000 1.000000 1.000000\n"
