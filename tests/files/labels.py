"""Label files as the world's programs write them, made small; and what must become of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.fixtures.annotation_files import packed

NAMES = "names: [cat, dog]\n"
CAT, DOG = "0 0.5 0.5 0.25 0.25\n", "1 0.25 0.25 0.1 0.2\n"
CAT_BOX, DOG_BOX = [240, 180, 160, 120], [128, 72, 64, 96]  # of an image of 640 x 480
BOX = [10, 20, 30, 40]


@dataclass(frozen=True)
class Case:
    """A file, the images that are there before, and what must be there afterwards: or why it is refused.

    `found` are (image, class, box or points); `warned` and `refused` are parts of what is said.
    """

    name: str
    content: bytes
    images: Sequence[str]
    found: Sequence[tuple[str, str, Any]] = ()
    warned: Sequence[str] = ()
    refused: str | None = None
    tasks: Sequence[str] = ("detection",)


def yolo(members: Mapping[str, str]) -> bytes:
    """An archive of these labels, with the classes cat and dog."""
    return packed({"data.yaml": NAMES, **members})


def coco(annotation: Mapping[str, Any] = {}, image: Mapping[str, Any] = {}, category: Mapping[str, Any] = {}) -> bytes:
    """A box of a cat on `a.jpg`; NaN is written as Python writes it."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480, **image}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, **annotation}],
        "categories": [{"id": 1, "name": "cat", **category}],
    }
    return msgspec.json.encode(content).replace(b'"NaN"', b"NaN").replace(b'"-Infinity"', b"-Infinity")


def _on_a(name: str, content: bytes, found: str = "cat", **values: Any) -> Case:
    return Case(name, content, ["a.jpg"], [("a", found, BOX)], **values)


def _refused(name: str, content: bytes, told: str, **values: Any) -> Case:
    return Case(name, content, ["a.jpg"], refused=told, **values)


_ROBOFLOW = {
    "README.roboflow.txt": "An export.\nIt has 2 images.\n",
    "train/labels/1.txt": CAT,
    "valid/labels/1.txt": DOG,
}
_BOTH = [("train/images/1", "cat", CAT_BOX), ("valid/images/1", "dog", DOG_BOX)]
_A_AND_B = [("a", "cat", CAT_BOX), ("b", "dog", DOG_BOX)]

PAIRING = [
    Case("roboflow", yolo(_ROBOFLOW), ["train/images/1.jpg", "valid/images/1.jpg"], _BOTH),
    Case(
        "roboflow-in-a-folder",
        yolo({f"set.v1/{name}": text for name, text in _ROBOFLOW.items()}),
        ["train/images/1.jpg", "valid/images/1.jpg"],
        _BOTH,
    ),
    Case(
        "roboflow-beside-other-images",
        yolo(_ROBOFLOW),
        ["train/images/1.jpg", "valid/images/1.jpg", "train/1.jpg", "valid/1.jpg", "1.jpg"],
        _BOTH,
    ),
    Case("without-a-folder-images", yolo(_ROBOFLOW), ["train/1.jpg", "valid/1.jpg"],
         [("train/1", "cat", CAT_BOX), ("valid/1", "dog", DOG_BOX)]),
    Case(
        "ultralytics",
        packed({"coco8/data.yaml": "path: coco8\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n",
                "coco8/labels/train/001.txt": CAT, "coco8/labels/val/002.txt": DOG}),
        ["coco8/images/train/001.jpg", "coco8/images/val/002.jpg", "coco8/train/001.jpg"],
        [("coco8/images/train/001", "cat", CAT_BOX), ("coco8/images/val/002", "dog", DOG_BOX)],
    ),
    Case(
        "ultralytics-without-its-folder",
        yolo({"coco8/labels/train/001.txt": CAT}),
        ["images/train/001.jpg"],
        [("images/train/001", "cat", CAT_BOX)],
    ),
    Case(
        "ultralytics-with-a-folder-more",
        yolo({"labels/train/001.txt": CAT}),
        ["coco8/images/train/001.jpg"],
        [("coco8/images/train/001", "cat", CAT_BOX)],
    ),
    Case(
        "two-folders-labels",
        yolo({"labels/set/labels/1.txt": CAT}),
        ["labels/set/images/1.jpg", "set/labels/1.jpg"],
        [("labels/set/images/1", "cat", CAT_BOX)],
    ),
    Case(
        "capital-folders",
        yolo({"Train/Labels/1.txt": CAT, "Valid/Labels/1.txt": DOG}),
        ["Train/Images/1.jpg", "Valid/Images/1.jpg"],
        [("Train/Images/1", "cat", CAT_BOX), ("Valid/Images/1", "dog", DOG_BOX)],
    ),
    Case(
        "windows",
        yolo({"train\\labels\\1.txt": CAT}),
        ["train/images/1.jpg", "train/1.jpg"],
        [("train/images/1", "cat", CAT_BOX)],
    ),
    Case("an-export-of-before", yolo({"labels/images/zip/7.txt": CAT}), ["images/zip/7.jpg"],
         [("images/zip/7", "cat", CAT_BOX)]),
    Case("two-for-one", yolo(_ROBOFLOW), ["1.jpg"], refused="2 images of the file"),
    Case("one-for-one-and-another", yolo({"labels/1.txt": CAT, "more/labels/1.txt": DOG}), ["1.jpg"],
         refused="2 images of the file"),
    Case("nobody-knows-which", yolo({"labels/1.txt": CAT}), ["a/1.jpg", "b/1.jpg"], refused="2 images of the dataset"),
]  # fmt: skip

LISTS = [
    Case("labelimg", packed({"labels/a.txt": CAT, "labels/b.txt": DOG, "labels/classes.txt": "cat\ndog\n"}),
         ["a.jpg", "b.jpg"], _A_AND_B),
    Case(
        "cvat-subsets",
        packed({
            "obj.data": "classes = 2\ntrain = data/Train.txt\nvalid = data/Fold.txt\nnames = data/obj.names\n",
            "obj.names": "cat\ndog\n",
            "obj_Train_data/a.txt": CAT, "Train.txt": "data/obj_Train_data/a.jpg\n",
            "obj_Fold_data/b.txt": DOG, "Fold.txt": "data/obj_Fold_data/b.jpg\n",
        }),
        ["a.jpg", "b.jpg"],
        _A_AND_B,
    ),
    Case("lists-for-images-of-that-name", yolo({"labels/train.txt": CAT, "labels/classes.txt": DOG}),
         ["train.jpg", "classes.jpg"], [("classes", "dog", DOG_BOX), ("train", "cat", CAT_BOX)]),
    Case("a-list-beside-an-image-of-that-name",
         packed({"classes.txt": "cat\n", "a.txt": CAT, "Validation.txt": "a.jpg\n"}),
         ["a.jpg", "Validation.jpg"], [("a", "cat", CAT_BOX)]),
    Case("labels.txt", packed({"labels.txt": "cat\ndog\n", "a.txt": CAT}), ["a.jpg"], [("a", "cat", CAT_BOX)]),
    Case("darknet-of-roboflow", packed({"train/_darknet.labels": "cat\ndog\n", "valid/_darknet.labels": "cat\ndog\n",
         "train/a.txt": CAT, "valid/b.txt": DOG}), ["a.jpg", "b.jpg"], _A_AND_B),
    Case("lists-that-differ", packed({"train/classes.txt": "cat\n", "valid/classes.txt": "dog\n", "train/a.txt": CAT}),
         ["a.jpg"], refused="name different classes"),
    Case("names-of-darknet", packed({"coco.names": "cat\ndog\n", "a.txt": CAT}), ["a.jpg"], [("a", "cat", CAT_BOX)]),
    Case("another-yaml", packed({"coco8.yaml": NAMES, "labels/a.txt": CAT}), ["a.jpg"], [("a", "cat", CAT_BOX)]),
    Case("prose-beside-labels", packed({"classes.txt": "cat\ndog\n", "a.txt": CAT, "README.txt": "made in May\n",
         "설명.txt": "5월에 만듦\n"}), ["a.jpg"], [("a", "cat", CAT_BOX)]),
    Case("prose-in-a-label", packed({"classes.txt": "cat\n", "a.txt": "made in May\n"}), ["a.jpg"], refused="a.txt:1"),
    Case("a-label-of-no-image", yolo({"labels/b.txt": CAT}), ["a.jpg"], refused="no image 'b'"),
]  # fmt: skip

_LEFT_OUT = ["key points"]
_PERSON = [("a", "person", [192, 48, 256, 384])]


def _pose(shape: str, points: str, count: int, name: str = "data.yaml", **members: str) -> bytes:
    label = "0 0.5 0.5 0.4 0.8" + f" {points}" * count
    return packed({name: f"names: [person]\nkpt_shape: {shape}\n", "labels/a.txt": label, **members})


POSE = [
    Case("pose-17x3", _pose("[17, 3]", "0.4 0.2 2", 17), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-4x2", _pose("[4, 2]", "0.4 0.2", 4), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-1x3", _pose("[1, 3]", "0.4 0.2 2", 1), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-beyond-the-border", _pose("[2, 2]", "1.4 -0.2", 2), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-2x3", _pose("[2, 3]", "0.4 0.2 2", 2), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-in-lines", _pose("\n- 17\n- 3", "0.4 0.2 2", 17), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-as-text", _pose("'(17, 3)'", "0.4 0.2 2", 17), ["a.jpg"], _PERSON, _LEFT_OUT),
    Case("pose-in-another-yaml", _pose("[4, 2]", "0.4 0.2", 4, "pose.yaml", **{"classes.txt": "person\n"}),
         ["a.jpg"], _PERSON, _LEFT_OUT),
    _refused("pose-of-another-shape", _pose("[5, 2]", "0.4 0.2", 4), "kpt_shape [5, 2]"),
    _refused("pose-of-no-shape", _pose("17", "0.4 0.2", 4), "kpt_shape in data.yaml"),
    Case("outlines-without-kpt_shape", yolo({"labels/a.txt": "0 0.1 0.1 0.9 0.1 0.5 0.9\n"}), ["a.jpg"],
         [("a", "cat", [[64, 48], [576, 48], [320, 432]])]),
]  # fmt: skip

NUMBERS = [
    *(
        Case(f"class-{word}", yolo({"labels/a.txt": DOG.replace("1", word, 1)}), ["a.jpg"], [("a", "dog", DOG_BOX)])
        for word in ("1.0", "1.000000000000000000e+00", "1.", "01", "+1", "1e0", "10E-1")
    ),
    *(
        _refused(f"class-{word}", yolo({"labels/a.txt": DOG.replace("1", word, 1)}), "labels/a.txt:1")
        for word in ("0.5", "-1", "1_0", "nan", "inf", "2.0", "1e400")
    ),
    Case("names-by-fractions", packed({"data.yaml": "names: {0.0: cat, 1.0: dog}", "labels/a.txt": DOG}), ["a.jpg"],
         [("a", "dog", DOG_BOX)]),
]  # fmt: skip

_NO_OUTLINES: list[Any] = [[[]], [[], []], None, [], [[[]]]]

COCO = [
    _on_a("text-image-id", coco({"image_id": "1"})),
    _on_a("text-id-of-the-image", coco(image={"id": "1"})),
    _on_a("text-category-id", coco({"category_id": "1"})),
    _on_a("text-id-of-the-category", coco(category={"id": "1"})),
    _on_a("text-of-a-float", coco({"image_id": "1.0"})),
    _on_a("float-ids", coco({"id": 1.0, "image_id": 1.0, "category_id": 1.0}, {"id": 1.0}, {"id": 1.0})),
    _on_a("float-id-on-one-side", coco({"image_id": 1.0, "category_id": 1.0})),
    _refused("fraction-as-id", coco({"image_id": 1.5}, {"id": 1.5}), "1.5"),
    _refused("fraction-as-category", coco({"category_id": 1.5}), "1.5"),
    _on_a("float-size", coco(image={"width": 640.0, "height": 480.0})),
    _on_a("text-size", coco(image={"width": "640", "height": None})),
    _on_a("colour-array", coco(category={"color": [220, 20, 60]})),
    _on_a("colour-object", coco(category={"color": {"r": 220}})),
    _on_a("colour-of-fractions", coco(category={"color": [0.5, 0.1, 1]})),
    _on_a("supercategory-number", coco(category={"supercategory": 3})),
    _on_a("number-as-name", coco(category={"name": 7}), "7"),
    _on_a("float-as-name", coco(category={"name": 7.0}), "7"),
    _refused("list-as-name", coco(category={"name": ["cat"]}), "name has to be a text"),
    *(
        _on_a(f"empty-ring-{number}", coco({"segmentation": outline}), tasks=["detection", "segmentation"])
        for number, outline in enumerate(_NO_OUTLINES)
    ),
    Case("a-ring-beside-an-empty-one", coco({"segmentation": [[], [1, 1, 9, 1, 5, 9]]}), ["a.jpg"],
         [("a", "cat", [[1, 1], [9, 1], [5, 9]])], tasks=["segmentation"]),
    _refused("nan-area", coco({"area": "NaN"}), "NaN"),
    _refused("nan-box", coco({"bbox": ["NaN", 20, 30, 40]}), "NaN"),
    _refused("infinite-score", coco({"score": "-Infinity"}), "-Infinity"),
    _refused("nan-in-categories", coco(category={"supercategory": "NaN"}), "NaN"),
    _on_a("rotation-of-0", coco({"attributes": {"rotation": 0.0}})),
    _on_a("rotation-of-360", coco({"attributes": {"rotation": 360}})),
    _refused("rotation-of-nothing", coco({"attributes": {"rotation": "left"}}), "rotation"),
    _refused("sides-swapped", coco(image={"width": 480, "height": 640}), "480 x 640"),
    _refused("sides-swapped-and-halved", coco(image={"width": 240, "height": 320}), "240 x 320"),
    _on_a("scaled", coco(image={"width": 320, "height": 240}), warned=["another size"]),
]  # fmt: skip

_HEX = "3b4f0a1b"
SPELLINGS = [
    Case("percent", coco(image={"file_name": "a%20b/c%20d.jpg"}), ["a b/c d.jpg"], [("a b/c d", "cat", BOX)]),
    Case("percent-for-real", coco(image={"file_name": "a%20b.jpg"}), ["a b.jpg", "a%20b.jpg"],
         [("a%20b", "cat", BOX)]),
    Case("percent-here", coco(image={"file_name": "a b.jpg"}), ["a%20b.jpg"], [("a%20b", "cat", BOX)]),
    Case("percent-of-korean", coco(image={"file_name": "%EB%B6%88%EB%9F%89.jpg"}), ["x/불량.jpg"],
         [("x/불량", "cat", BOX)]),
    Case("percent-of-no-utf8", coco(image={"file_name": "%ff.jpg"}), ["a.jpg"], refused="no image"),
    Case("label-studio", coco(image={"file_name": f"images/{_HEX}-cat.jpg"}), ["cat.jpg"], [("cat", "cat", BOX)]),
    Case("label-studio-deep", coco(image={"file_name": f"../data/upload/1/{_HEX}-my%20cat.jpg"}), ["x/my cat.jpg"],
         [("x/my cat", "cat", BOX)]),
    Case("label-studio-yolo", yolo({f"labels/{_HEX}-cat.txt": CAT}), ["cat.jpg"], [("cat", "cat", CAT_BOX)]),
    Case("label-studio-for-real", coco(image={"file_name": f"images/{_HEX}-cat.jpg"}), ["cat.jpg", f"{_HEX}-cat.jpg"],
         [(f"{_HEX}-cat", "cat", BOX)]),
    Case("label-studio-two", coco(image={"file_name": f"images/{_HEX}-cat.jpg"}), ["cat.jpg", "x/cat.jpg"],
         refused="2 images"),
    Case("label-studio-twice", yolo({f"labels/{_HEX}-cat.txt": CAT, "labels/00000000-cat.txt": DOG}), ["cat.jpg"],
         refused="2 images of the file"),
    Case("label-studio-no-number", coco(image={"file_name": "images/3b4f0a1-cat.jpg"}), ["cat.jpg"],
         refused="no image"),
    Case("label-studio-no-hex", coco(image={"file_name": "images/zzzzzzzz-cat.jpg"}), ["cat.jpg"], refused="no image"),
]  # fmt: skip

ALL = [*PAIRING, *LISTS, *POSE, *NUMBERS, *COCO, *SPELLINGS]
