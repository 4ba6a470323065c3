"""Pascal VOC, and COCO in archives, as the world's programs write them; see `labels`."""

from collections.abc import Sequence
from secrets import token_bytes

from tests.files.labels import BOX, CAT, CAT_BOX, Case, coco
from tests.fixtures.annotation_files import packed


def _refused(name: str, content: bytes, told: str) -> Case:
    return Case(name, content, ["a.jpg"], refused=told)


def _object(name: str, box: Sequence[float], more: str = "") -> str:
    left, top, right, bottom = box
    corners = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox>{more}</object>"


def voc(*objects: str, folder: str = "VOC2012", name: str = "a.jpg", size: tuple[int, int] = (640, 480)) -> str:
    width, height = size
    return (
        f"<annotation><folder>{folder}</folder><filename>{name}</filename><path>C:\\data\\{name}</path>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    )


_CAT = _object("cat", (11, 21, 40, 60))
_DOG = _object("dog", (1, 1, 640, 480))
_WHOLE = [0, 0, 640, 480]
_RING = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate([(2, 2), (12, 2), (7, 12)], start=1))
_OUTLINED = _object("cat", (11, 21, 40, 60), f"<polygon>{_RING}</polygon>")
_UPRIGHT = "<attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes>"
_BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "x"><!ENTITY c SYSTEM "file:///etc/passwd">]>'

VOC = [
    Case("voc-labelimg", packed({"photos/a.xml": voc(_CAT, _DOG, folder="photos")}), ["photos/a.jpg", "a.jpg"],
         [("photos/a", "cat", BOX), ("photos/a", "dog", _WHOLE)]),
    Case("voc-devkit", packed({"VOC2012/Annotations/a.xml": voc(_CAT), "VOC2012/Annotations/b.xml": voc(name="b.jpg"),
         "VOC2012/ImageSets/Main/train.txt": "a\n", "VOC2012/ImageSets/Main/cat_train.txt": "a  1\nb -1\n",
         "VOC2012/labelmap.txt": "cat:128,0,0::\n"}), ["a.jpg", "b.jpg"], [("a", "cat", BOX)], ["no objects"]),
    Case("voc-devkit-with-its-images", packed({"Annotations/a.xml": voc(_CAT)}), ["JPEGImages/a.jpg", "a.jpg"],
         [("JPEGImages/a", "cat", BOX)]),
    Case("voc-of-kaggle", packed({"annotations/a.xml": voc(_CAT, folder="images", name="a.png")}), ["images/a.png"],
         [("images/a", "cat", BOX)]),
    Case("voc-of-roboflow", packed({"train/a.xml": voc(_CAT, folder=""), "valid/a.xml": voc(_DOG, folder="")}),
         ["train/a.jpg", "valid/a.jpg"], [("train/a", "cat", BOX), ("valid/a", "dog", _WHOLE)]),
    Case("voc-of-windows", packed({"photos\\a.xml": voc(_CAT, folder="D:\\photos")}), ["photos/a.jpg"],
         [("photos/a", "cat", BOX)]),
    Case("voc-whose-image-was-renamed", packed({"new.xml": voc(_CAT, name="old.jpg")}), ["new.jpg", "old.jpg"],
         [("new", "cat", BOX)]),
    Case("voc-whose-xml-was-renamed", packed({"none.v2.xml": voc(_CAT, name="old.jpg")}), ["old.jpg", "new.jpg"],
         [("old", "cat", BOX)]),
    Case("voc-without-an-extension", packed({"a.xml": voc(_CAT, name="a")}), ["a.png"], [("a", "cat", BOX)]),
    Case("voc-fractions", packed({"a.xml": voc(_object("cat", (11.5, 21.25, 40, 60.0)))}), ["a.jpg"],
         [("a", "cat", [10.5, 20.25, 29.5, 39.75])]),
    Case("voc-from-zero", packed({"a.xml": voc(_object("cat", (0, 0, 40, 60)))}), ["a.jpg"],
         [("a", "cat", [-1, -1, 41, 61])], ["first pixel"]),
    Case("voc-in-utf16", packed({"a.xml": voc(_CAT).encode("utf-16")}), ["a.jpg"], [("a", "cat", BOX)]),
    Case("voc-outline", packed({"a.xml": voc(_OUTLINED)}), ["a.jpg"], [("a", "cat", [[1, 1], [11, 1], [6, 11]])],
         tasks=["segmentation"]),
    Case("voc-outline-for-boxes", packed({"a.xml": voc(_OUTLINED)}), ["a.jpg"], [("a", "cat", BOX)], ["outline"]),
    Case("voc-rotated-by-0", packed({"a.xml": voc(_object("cat", (11, 21, 40, 60), _UPRIGHT))}), ["a.jpg"],
         [("a", "cat", BOX)]),
    Case("voc-rotated", packed({"a.xml": voc(_object("cat", (11, 21, 40, 60), _UPRIGHT.replace("0.0", "90")))}),
         ["a.jpg"], [("a", "cat", BOX)], ["rotation"]),
    _refused("voc-with-entities", packed({"a.xml": _BOMB + voc(_CAT)}), "document type"),
    _refused("voc-cut-off", packed({"a.xml": voc(_CAT)[:-20]}), "not valid XML"),
    _refused("voc-swapped", packed({"a.xml": voc(_CAT, size=(480, 640))}), "480 x 640"),
    _refused("voc-corners-swapped", packed({"a.xml": voc(_object("cat", (40, 60, 11, 21)))}), "object[0]"),
    _refused("voc-no-number", packed({"a.xml": voc(_CAT.replace(">11<", "><"))}), "xmin"),
    _refused("voc-not-finite", packed({"a.xml": voc(_CAT.replace(">11<", ">nan<"))}), "xmin"),
    _refused("voc-no-name", packed({"a.xml": voc(_object("", (1, 2, 3, 4)))}), "no name"),
    _refused("voc-deep", packed({"a.xml": "<annotation>" + "<a>" * 50 + "</a>" * 50 + "</annotation>",
             "noise": token_bytes(5000)}), "deeper"),
    _refused("xml-of-another-kind", packed({"all.xml": "<annotations><image/></annotations>"}), "no Pascal VOC"),
    _refused("voc-two-for-one", packed({"train/a.xml": voc(_CAT), "valid/a.xml": voc(_DOG)}), "2 images of the file"),
]  # fmt: skip

_PICTURE = b"\xff\xd8\xff\xe0 no picture"
_CAPTIONS = b'{"images":[],"annotations":[{"image_id":1,"caption":"x"}]}'

ZIPPED = [
    Case("coco-of-cvat", packed({"annotations/instances_default.json": coco(), "images/default/a.jpg": _PICTURE}),
         ["a.jpg"], [("a", "cat", BOX)]),
    Case("coco-of-cvat-beside-others",
         packed({"annotations/instances_default.json": coco(), "images/default/a.jpg": _PICTURE}),
         ["a.jpg", "images/default/a.jpg"], [("images/default/a", "cat", BOX)]),
    Case("coco-of-roboflow",
         packed({"train/_annotations.coco.json": coco(), "README.roboflow.txt": "An export.\n",
                 "valid/_annotations.coco.json": coco(category={"name": "dog"})}),
         ["train/a.jpg", "valid/a.jpg", "a.jpg"], [("train/a", "cat", BOX), ("valid/a", "dog", BOX)]),
    Case("coco-with-captions",
         packed({"annotations/instances_val2017.json": coco(), "annotations/captions_val2017.json": _CAPTIONS}),
         ["a.jpg"], [("a", "cat", BOX)]),
    Case("label-studio-with-notes",
         packed({"classes.txt": "cat\ndog\n", "notes.json": b'{"categories":[{"id":0,"name":"cat"}]}',
                 "labels/3b4f0a1b-a.txt": CAT}), ["a.jpg"], [("a", "cat", CAT_BOX)]),
    _refused("zipped-coco-with-nan", packed({"annotations/instances_default.json": coco({"area": "NaN"})}), "NaN"),
    _refused("zipped-coco-that-is-wrong", packed({"train/_annotations.coco.json": coco({"bbox": [1, 2, 3]})}),
             "train/_annotations.coco.json: annotations[0]"),
]  # fmt: skip
