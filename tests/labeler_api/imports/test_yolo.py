"""YOLO archives in the layouts that tools write."""

from secrets import token_bytes

import pytest

from labeler_api.imports.readers.items import Unreadable
from tests.fixtures.annotation_files import packed
from tests.fixtures.import_reading import read
from tests.fixtures.language import is_of_a_validator

NAMES = "path: .\nnames:\n  0: scratch\n  1: dent\n"


def test_boxes_and_outlines_are_in_pixels_of_the_image() -> None:
    content = packed({"data.yaml": NAMES, "labels/a/1.txt": "1 0.5 0.5 0.25 0.5\r\n\n0 0 0 1 0 0.5 0.123457\n"})
    found = read(content)
    assert found.images == ["a/1"]
    assert found.shapes == [
        {"image_width": 640, "image_height": 480, "type": "bbox", "bbox": [240, 120, 160, 240]},
        {"image_width": 640, "image_height": 480, "type": "polygon", "points": [[0, 0], [640, 0], [320, 59.26]]},
    ]
    assert [(draft["class_name"], draft["task_type"]) for draft in found.drafts] == [
        ("dent", "detection"),
        ("scratch", "segmentation"),
    ]


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("labels/a/1.txt", "a/1"),
        ("labels/labels/1.txt", "labels/1"),
        ("set/labels/a/1.txt", "set/a/1"),
        ("train/labels/1.txt", "train/1"),
        ("obj_train_data/a/1.txt", "obj_train_data/a/1"),
        ("1.txt", "1"),
    ],
)
def test_layouts(label: str, image: str) -> None:
    found = read(packed({"classes.txt": "scratch\ndent\n", label: "0 0.5 0.5 0.1 0.1", "__MACOSX/._1.txt": "x"}))
    assert found.images == [image]
    assert found.messages == []
    assert len(found.drafts) == 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("names: [no, 1, 가나]", ["no", "1", "가나"]),
        ("names: {0: yes, 5: ~}", ["yes", "~"]),
        ('names: {"1": b, "0": a}', ["b", "a"]),
    ],
)
def test_names_stay_texts(names: str, expected: list[str]) -> None:
    found = read(packed({"sub/data.yaml": names, "labels/1.txt": "0 0.5 0.5 0.1 0.1"}))
    assert [entry.name for entry in found.classes] == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "its class '2' has no name: the archive names 2 classes"),
        ("x 0.5 0.5 0.1 0.1", "its class 'x'"),
        ("0 0.5 0.5 0.1 wide", "no number"),
        ("0 0.5 0.5 0.1 nan", "no parts of the image"),
        ("0 0.5 0.5 0.1 inf", "no parts of the image"),
        ("0 320 240 64 48", "no parts of the image"),
        ("0 0.5 0.5", "three points"),
        ("0 0.5 0.5 0.5 0.5 0.5 0.5 0.5", "x without its y"),
        ("0 0.5 0.5 0 0.1", "geometry.bbox"),
    ],
)
def test_what_is_wrong_is_named(line: str, message: str) -> None:
    found = read(packed({"data.yaml": NAMES, "labels/1.txt": f"0 0.5 0.5 0.1 0.1\n{line}\n"}))
    ((place, told),) = found.messages
    assert place == "labels/1.txt:2"
    assert message in told


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"labels/1.txt": "0 0 0 0 0"}, "neither a data.yaml nor a classes.txt"),
        ({"data.yaml": "nc: 3", "labels/1.txt": "0"}, "has no names of classes"),
        ({"data.yaml": "names: [a, [b]]", "labels/1.txt": "0"}, "has to be a list of names"),
        ({"data.yaml": "names: {a: b}", "labels/1.txt": "0"}, "has to be a list of names"),
        ({"data.yaml": "names: [a", "labels/1.txt": "0"}, "is not valid YAML"),
        ({"data.yaml": "- " * 5000 + "a", "labels/1.txt": "0", "1.jpg": token_bytes(2000)}, "is not valid YAML"),
        ({"data.yaml": b"names: [\xff]", "labels/1.txt": "0"}, "is not valid YAML"),
        ({"data.yaml": token_bytes(2_000_000), "labels/1.txt": "0"}, "larger than 1048576 bytes"),
        ({"data.yaml": NAMES, "labels/1.txt": ""}, "no label files"),
        ({"classes.txt": b"\xff", "labels/1.txt": "0"}, "is not UTF-8"),
        ({"classes.txt": "\n".join(map(str, range(10_001))), "labels/1.txt": "0 0.5"}, "more than 10000 classes"),
    ],
)
def test_an_archive_that_is_none_of_ours(members: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(Unreadable, match=message) as caught:
        read(packed(members))
    assert not is_of_a_validator(str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_mistake_in_yaml_has_a_place() -> None:
    with pytest.raises(Unreadable, match=r"^data\.yaml is not valid YAML; look at line 2, column 3$"):
        read(packed({"data.yaml": "names:\n- `a`\n", "labels/1.txt": "0"}))


def test_one_class_is_no_classes() -> None:
    found = read(packed({"data.yaml": "names: [a]", "labels/1.txt": "7 0.5 0.5 0.1 0.1"}))
    assert found.messages == [("labels/1.txt:1", "its class '7' has no name: the archive names 1 class")]


def test_an_alias_bomb_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(Unreadable, match="has to be a list of names"):
        read(packed({"data.yaml": "\n".join([*lines, "names: *a11"]), "labels/1.txt": "0"}))


def test_the_size_of_the_image_has_to_be_known() -> None:
    content = packed({"data.yaml": NAMES, "labels/1.txt": "0 0.5 0.5 0.1 0.1", "labels/2.txt": ""})
    found = read(content, size=(None, None))
    assert found.messages == [("labels/1.txt", "the size of the image '1' is not known")]
    assert found.warnings == ["1 label file is empty; it was passed over."]
