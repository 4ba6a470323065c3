"""YOLO and Pascal VOC as pure functions: the golden files, and what old or strange rows become."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
import yaml

from labeler_api.versions.formats import EXPORT_FORMATS, VOC, YOLO, Format
from labeler_api.versions.formats.archive import Archive
from labeler_api.versions.formats.central_directory import CentralDirectory
from labeler_api.versions.formats.source import Image
from tests.fixtures.export_sources import Given, made, written
from tests.fixtures.readers import members

LISTED: dict[str, dict[str, Any]] = {
    "b": {"name": "second, with a comma", "order": 1},
    "a": {"name": "첫째\nline", "order": 0},
    "n": {"name": "no", "order": 2},
}
BOXES = [
    made(1, "a/1", "bbox", {"bbox": [64, 48, 128, 96.5]}),
    made(2, "a/1", "bbox", {"x": 0, "y": 0, "width": 640, "height": 480}, class_id="a"),
    made(3, "a/1", "rotated_bbox", {"points": [[320, 0], [640, 240], [320, 480], [0, 240]], "angle": 45}, class_id="n"),
    made(4, "a/1", "bbox", {"bbox": [600, 400, 80, 160]}, attributes=msgspec.Raw(b'{"truncated":true,"difficult":1}')),
    made(5, "a/1", "bbox", {"bbox": [700, 500, 10, 10]}, class_id="gone", class_name="Old <name> & \x01"),
    made(6, "b/1", "no_object", {"type": "no_object"}, class_id=None),
    made(7, "b/2", "bbox", {"bbox": "nowhere"}, class_id=None),
]
RINGS = [
    made(1, "a b/지퍼", "polygon", {"points": [[0, 0], [640, 0], [320.25, 480]]}),
    made(2, "a b/지퍼", "polygon", {"points": [[-10, 0], [10, -10], [650, 500]]}, class_id="a"),
    made(3, "a b/지퍼", "polygon", {"points": [[-10, 0], [-5, 5], [-20, 500]]}, class_id="a"),
    made(4, "c", "bbox", {"bbox": [64, 48, 64, 48]}),
]
CASES = [(kind, task) for kind in (YOLO, VOC) for task in ("detection", "segmentation")]


def _source(task: str) -> Given:
    return Given(BOXES if task == "detection" else RINGS, LISTED, task_type=task)


@pytest.mark.parametrize(("kind", "task"), CASES, ids=lambda value: getattr(value, "name", value))
async def test_the_members_are_the_golden_ones(kind: Format, task: str) -> None:
    golden = Path(__file__).with_name(f"golden_{kind.name}_{task}.txt")

    files = members(await written(kind, _source(task)))

    told = "".join(f"=== {name}\n{content.decode()}\n" for name, content in files.items())
    assert told == golden.read_text()


@pytest.mark.parametrize("kind", [YOLO, VOC])
async def test_the_same_content_has_the_same_bytes(kind: Format) -> None:
    first, second = [await written(kind, _source("detection")) for _ in range(2)]

    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {(info.date_time, info.create_system) for info in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}


@pytest.mark.parametrize("kind", [YOLO, VOC])
async def test_nothing_at_all_is_a_whole_archive_too(kind: Format) -> None:
    files = members(await written(kind, Given([], {})))

    assert files["classes.txt"] == b""
    assert yaml.safe_load(files.get("data.yaml", b"names: {}"))["names"] == {}


async def test_every_name_stays_in_the_folder_and_on_its_own() -> None:
    paths = [
        "a.jpg",
        "a.png",
        "a.jpg",
        "b/a.jpg",
        "../../etc/passwd.jpg",
        "/root.jpg",
        "c/./d//e.jpg",
        ".hidden",
        "x\n.jpg",
    ]
    annotations = [
        made(number, str(number), "bbox", {"bbox": [0, 0, 2, 2]}, image=Image(path, 4, 4, None))
        for number, path in enumerate(paths)
    ]

    yolo, voc = [members(await written(kind, Given(annotations, LISTED))) for kind in (YOLO, VOC)]

    stems = ["a", "a.png", "a.jpg", "b/a", "__/__/etc/passwd", "root", "c/d/e", ".hidden", "x_"]
    assert [name for name in yolo if name.startswith("labels/")] == [f"labels/{stem}.txt" for stem in stems]
    assert [name for name in voc if name.startswith("Annotations/")] == [f"Annotations/{stem}.xml" for stem in stems]
    assert voc["ImageSets/Main/train.txt"].decode().splitlines() == stems


async def test_every_voc_file_is_xml_and_tells_its_image() -> None:
    files = members(await written(VOC, _source("segmentation")))

    root = ElementTree.fromstring(files["Annotations/a b/지퍼.xml"])
    assert root.findtext("folder") == "a b"
    assert root.findtext("filename") == "지퍼.jpg"
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["640", "480", "3"]
    polygon = root.find("object/polygon")
    assert polygon is not None
    assert [(element.tag, element.text) for element in polygon][-2:] == [("x3", "321.25"), ("y3", "481")]


def test_a_member_of_unknown_size_is_streamed_and_comes_back() -> None:
    line = b"0 0.123456 0.123456 0.123456 0.123456\n"
    out, most = bytearray(), 0
    with Archive() as archive:
        archive.add("small.txt", b"small")
        archive.begin("large.txt")
        for _ in range(100_000):  # 3.8 MB
            archive.write(line)
            piece = archive.take()
            most = max(most, len(piece))
            out += piece
        archive.add("last.txt", b"last")
        out += b"".join(archive.finish())

    files = members(bytes(out))

    assert most < 64 * 1024
    assert files == {"small.txt": b"small", "large.txt": line * 100_000, "last.txt": b"last"}


def _plain(names: Iterable[str]) -> bytes:
    """What `zipfile` itself makes of empty members when it cannot seek."""

    class Unseekable(io.BytesIO):
        def tell(self) -> int:
            raise OSError

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(info, b"")
    return out.getvalue()


@pytest.mark.parametrize("number", [0, 3, 65_536])  # the last is more than a zip without zip64 can count
def test_the_directory_is_the_one_that_zipfile_writes(number: int) -> None:
    names = [f"labels/지퍼 {n}.txt" if n % 2 else f"labels/{n}.txt" for n in range(number)]

    with Archive() as archive:
        for name in names:
            archive.add(name, b"")
        made = b"".join(archive.finish())

    assert made == _plain(names)


def test_a_directory_beyond_four_gibibytes(tmp_path: Path) -> None:
    far, end = 5 * 2**30, 12 * 2**30
    info = zipfile.ZipInfo("labels/a.txt")
    info.header_offset, info.file_size, info.compress_size, info.CRC = far, far + 1, far + 2, 0
    directory = CentralDirectory()
    directory.add(info)
    with (tmp_path / "sparse.zip").open("wb") as file:
        file.seek(end)
        file.writelines(directory.pieces(end))
    directory.close()

    with zipfile.ZipFile(tmp_path / "sparse.zip") as read:
        [found] = read.infolist()
    assert found.header_offset == far
    assert found.file_size == far + 1
    assert found.compress_size == far + 2


def test_every_task_has_a_format_that_can_carry_it() -> None:
    carried = {
        task: sorted(kind.name for kind in EXPORT_FORMATS.values() if kind.carries(task))
        for task in ("detection", "segmentation", "geometry", "classification", "keypoint", "line")
    }

    everything, documents = ["coco", "dice", "voc", "yolo"], ["coco", "dice"]
    assert carried == {
        "detection": everything,
        "segmentation": everything,
        "geometry": documents,
        "classification": documents,
        "keypoint": documents,
        "line": documents,
    }
