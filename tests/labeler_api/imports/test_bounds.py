"""How much a file may hold: images, names, annotations of an image, classes, and the classes of a task afterwards."""

import asyncio
import io

import pytest

from labeler_api.imports.readers import items, yolo
from labeler_api.imports.readers.items import FileImage, ImageList, Unreadable
from labeler_api.imports.readers.strict_json import Document
from service_kit import container
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotation_files import boxes, coco, dice, imported, packed, project, stored, take
from tests.fixtures.api import Api
from tests.fixtures.import_reading import read

MEBIBYTE = 2**20


@pytest.mark.parametrize(("number", "characters"), [(200_000, 1), (8, 4 * MEBIBYTE)], ids=["many", "long names"])
def test_images_are_as_many_as_memory_has_room_for(number: int, characters: int) -> None:
    images, one = ImageList(), FileImage("images[0]", "x" * characters)
    for _ in range(number):
        images.append(one)
    with pytest.raises(Unreadable, match="more than 200000 images, or their names have more than 33554432 characters"):
        images.append(one)


def test_every_format_counts_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_MAX_IMAGES", 1)
    shape = {"id": 1, "class_id": 0, "class_name": "scratch", "attributes": {}, "bbox": [1, 2, 3, 4]}
    named = ("a.jpg", "b.jpg")
    labeled = [{"id": name, "file_name": name, "width": 1, "height": 1, "annotations": [shape]} for name in named]
    for content in (coco(boxes(1, 2), named), dice(labeled)):
        with pytest.raises(Unreadable, match="is about more than"):
            read(content)


def test_an_image_has_as_many_annotations_as_a_page_shows() -> None:
    at_most = [{"bbox": [1, 2, 3, 4 + number]} for number in range(10_000)]
    assert read(coco(at_most)).messages == []
    [(_, message)] = read(coco([*at_most, {"bbox": [1, 2, 3, 4]}])).messages
    assert message == "has 10001 annotations; 10000 are the most that an image may have"


def test_a_file_has_as_many_classes_as_can_be_ordered() -> None:
    classes = [{"id": number, "name": f"class {number}"} for number in range(10_001)]
    assert read(coco(boxes(1), categories=classes[:-1])).messages == []
    assert ("classes", "are more than 10000") in read(coco(boxes(1), categories=classes)).messages


def test_archives_have_so_many_entries_of_such_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"data.yaml": "names: [a]", "labels/1.txt": "0 0.5 0.5 0.1 0.1\n", "images/1.jpg": "x"}
    assert read(packed(files)).messages == []
    monkeypatch.setattr(yolo, "_MAX_LABEL_BYTES", 10)
    assert [place for place, _ in read(packed(files)).messages] == ["labels/1.txt"]
    monkeypatch.setattr(yolo, "_MAX_ENTRIES", 2)
    with pytest.raises(Unreadable, match="more than 2 entries"):
        read(packed(files))


def test_a_long_text_of_the_file_is_not_kept() -> None:
    document = Document(io.BytesIO(b'{"short":"%s","long":"%s"}' % (b"x" * 4094, b"x" * 4095)))
    assert document.word("short") is not None
    assert document.word("long") is None


async def test_the_classes_of_a_task_take_as_much_as_when_they_are_added_by_hand(api: Api) -> None:
    """Each file brings at most ten thousand, but a second file brings as many again."""
    dataset = await api.dataset(images=1, tasks=["detection"])
    first, second = (
        [{"id": number, "name": f"{prefix}{number} " + "x" * 240} for number in range(8_000)] for prefix in "ab"
    )
    await take(api, dataset, coco(boxes(1), categories=first))
    before = await project(api, dataset)

    await stored(api, dataset, coco(boxes(1), categories=second))
    refused = await imported(await api.login("owner"), dataset, force=True)

    assert refused.status_code == 400
    assert refused.json()["code"] == "classes_too_large"
    assert "4194304 bytes" in refused.json()["detail"]
    assert await project(api, dataset) == before
    # What a class says about itself counts as well.
    await stored(api, dataset, coco(boxes(1), categories=[{"id": 1, "name": "new", "supercategory": "x" * 4 * 10**6}]))
    refused = await imported(await api.login("owner"), dataset, force=True)
    assert refused.status_code == 400
    assert refused.json()["code"] == "classes_too_large"
    assert await project(api, dataset) == before


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "cores", lambda: 2)


async def test_one_person_leaves_a_place_for_reading_files_to_others(two_cores: None, api: Api) -> None:
    """The API was started on two cores: two files are read at once, one of them of one person."""
    own, others = [await api.dataset(owner=owner, images=1, tasks=["detection"]) for owner in ("owner", "reviewer")]
    for dataset in (own, others):
        await stored(api, dataset, coco(boxes(1)))
    async with api.services.parsing.turn(USER_IDS["owner"]):
        waiting = asyncio.create_task(imported(await api.login("owner"), own))
        async with asyncio.timeout(20):
            assert (await imported(await api.login("reviewer"), others)).status_code == 200
        assert not waiting.done()
    assert (await waiting).status_code == 200
