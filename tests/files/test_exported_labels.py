"""A YOLO export trains as it is unpacked, whatever the images' paths are, and comes back onto the same images.

The reader's rule is `img2label_paths`, as Ultralytics (`ultralytics/data/utils.py`) and YOLOv5 (`utils/dataloaders.py`)
have it: the last `/images/` of the image's path becomes `/labels/`, its extension `.txt`.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labeler_api.imports.readers.items import Problems
from labeler_api.imports.readers.opening import open_reader
from labeler_api.versions.formats import YOLO
from labeler_api.versions.formats.source import Image
from tests.fixtures import readers
from tests.fixtures.annotation_files import annotations
from tests.fixtures.api import Api
from tests.fixtures.export_sources import Given, made, written
from tests.fixtures.pictures import picture
from tests.fixtures.versions import annotate, annotation, downloaded, published

IDS = ["images/zipper/007", "train/images/a", "flat", "images/images/labels/b", "x/labels/images/c", "labels/images"]

paths = st.lists(
    st.lists(st.sampled_from(["images", "labels", "a", "train"]), min_size=1, max_size=4).map("/".join),
    min_size=1,
    max_size=5,
    unique_by=lambda path: readers.label_path(f"/set/images/{path}.jpg"),  # readers cannot tell the others apart
)


@settings(max_examples=100, deadline=None)
@given(ids=paths)
@example(ids=["x/images/labels/b", "x/labels/labels/b"])
@example(ids=IDS)
async def test_every_label_stands_where_readers_look(ids: list[str]) -> None:
    rows = [
        made(n, path, "bbox", {"bbox": [n + 1, 1, 10, 10]}, image=Image(f"{path}.jpg", 640, 480, None))
        for n, path in enumerate(ids)
    ]
    content = await written(YOLO, Given(sorted(rows, key=lambda row: row.image_id), {"b": {"name": "cat"}}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for n, path in enumerate(ids):
            place = readers.label_path(f"/set/images/{path}.jpg").removeprefix("/set/")
            assert float(archive.read(place).split()[1]) == pytest.approx((n + 6) / 640, abs=1e-6)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        images = open_reader(file, {"detection"}, Problems()).images
    found = [_meant({*ids, *(f"{path}.jpg" for path in ids)}, (*image.paired, image.name)) for image in images]
    assert sorted(found) == sorted(ids)


def _meant(present: set[str], names: tuple[str, ...]) -> str:
    return next(name for name in names if name in present).removesuffix(".jpg")


async def test_an_export_of_images_in_images_comes_back_onto_them(api: Api, tmp_path: Path) -> None:
    classes = {"detection": {"x": {"name": "cat", "color": "#ff0000", "order": 0}}}
    owner = await api.login("owner")
    source, target = [await api.dataset(tasks=["detection"], classes=classes) for _ in range(2)]
    for one in (source, target):
        files = [("files", (f"{path}.jpg", picture(64, 48))) for path in IDS]
        assert (await owner.post(f"/api/v1/datasets/{one.id}/images", files=files)).status_code == 200
    boxes = {path: [n + 1, 2, 20, 30] for n, path in enumerate(sorted(IDS))}
    for path, box in boxes.items():
        geometry = {"type": "bbox", "bbox": box}
        await annotate(api, source, annotation(path, class_id="x", class_name="cat", geometry=geometry))
    content = (await downloaded(api, await published(owner, source, export_format="yolo"))).content
    readers.unpack(content, tmp_path, {f"{path}.jpg": (64, 48) for path in IDS})
    for path, box in boxes.items():
        label = Path(readers.label_path(f"{tmp_path}/images/{path}.jpg"))
        regions = readers.Dataset.from_yolo(
            images_directory_path=str((tmp_path / "images" / path).parent),
            annotations_directory_path=str(label.parent),
            data_yaml_path=str(tmp_path / "data.yaml"),
        )
        found = readers.regions(regions)[f"{tmp_path}/images/{path}.jpg"]
        left, top, width, height = box
        assert [name for name, _ in found] == ["cat"]
        assert found[0][1] == pytest.approx([left, top, left + width, top + height], abs=1e-3)
    files = [("files", ("x.jpg", b"no picture")), ("annotation_file", ("x", content))]
    answer = await owner.post(f"/api/v1/datasets/{target.id}/images", files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    assert {one["image_id"]: one["geometry"]["bbox"] for one in await annotations(api, target)} == boxes
