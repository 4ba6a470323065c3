"""The classes and annotations of the demo project. Coordinates are pixels of the photographs."""

import math
from dataclasses import dataclass
from typing import Any

TASKS = ("detection", "segmentation", "classification")
_OUTLINE_POINTS = 24  # enough for an ellipse to look round, few enough to edit by hand


@dataclass(frozen=True)
class LabelClass:
    """A class of one task."""

    task: str
    class_id: str
    name: str
    color: str


@dataclass(frozen=True)
class Annotation:
    """An annotation as the frontend would send it."""

    image_id: str
    kind: str
    class_id: str
    geometry: dict[str, Any]


CLASSES = (
    LabelClass("detection", "person", "Person", "#e6194b"),
    LabelClass("detection", "cat", "Cat", "#f58231"),
    LabelClass("detection", "rocket", "Rocket", "#4363d8"),
    LabelClass("detection", "coin", "Coin", "#ffe119"),
    LabelClass("detection", "galaxy", "Galaxy", "#911eb4"),
    LabelClass("segmentation", "saucer", "Saucer", "#3cb44b"),
    LabelClass("segmentation", "helmet", "Helmet", "#42d4f4"),
    LabelClass("segmentation", "optic-disc", "Optic disc", "#bfef45"),
    LabelClass("classification", "indoor", "Indoor", "#9a6324"),
    LabelClass("classification", "outdoor", "Outdoor", "#469990"),
    LabelClass("classification", "space", "Space", "#000075"),
)
CLASS_NAMES = {(one.task, one.class_id): one.name for one in CLASSES}


def _box(image_id: str, class_id: str, size: tuple[int, int], bbox: tuple[int, int, int, int]) -> Annotation:
    return Annotation(image_id, "bbox", class_id, {"type": "bbox", "bbox": list(bbox), **_of_image(size)})


def _ellipse(
    image_id: str, class_id: str, size: tuple[int, int], center: tuple[int, int], radii: tuple[int, int]
) -> Annotation:
    turns = [2 * math.pi * step / _OUTLINE_POINTS for step in range(_OUTLINE_POINTS)]
    points = [
        [round(center[0] + radii[0] * math.cos(turn), 2), round(center[1] + radii[1] * math.sin(turn), 2)]
        for turn in turns
    ]
    return Annotation(image_id, "polygon", class_id, {"type": "polygon", "points": points, **_of_image(size)})


def _class_of(image_id: str, class_id: str) -> Annotation:
    return Annotation(image_id, "classification", class_id, {"type": "classification"})


def _of_image(size: tuple[int, int]) -> dict[str, int]:
    return {"image_width": size[0], "image_height": size[1]}


_SQUARE, _CAT, _COFFEE, _COINS = (512, 512), (451, 300), (600, 400), (384, 303)

ANNOTATIONS = (
    _box("people/astronaut", "person", _SQUARE, (10, 10, 350, 500)),
    _box("people/astronaut", "rocket", _SQUARE, (358, 0, 95, 258)),
    _ellipse("people/astronaut", "helmet", _SQUARE, (398, 428), (112, 82)),
    _class_of("people/astronaut", "indoor"),
    _box("people/camera", "person", _SQUARE, (5, 60, 325, 450)),
    _class_of("people/camera", "outdoor"),
    _box("animals/chelsea", "cat", _CAT, (12, 0, 390, 299)),
    _class_of("animals/chelsea", "indoor"),
    _ellipse("objects/coffee", "saucer", _COFFEE, (277, 223), (200, 162)),
    _class_of("objects/coffee", "indoor"),
    _box("objects/coins", "coin", _COINS, (21, 32, 46, 44)),
    _box("objects/coins", "coin", _COINS, (80, 37, 40, 41)),
    _box("objects/coins", "coin", _COINS, (132, 28, 48, 46)),
    _ellipse("medical/retina", "optic-disc", (1411, 1411), (224, 635), (95, 105)),
    _box("space/rocket", "rocket", (640, 427), (302, 128, 36, 285)),
    _class_of("space/rocket", "outdoor"),
    _box("space/hubble_deep_field", "galaxy", (1000, 872), (712, 448, 52, 52)),
    _class_of("space/hubble_deep_field", "space"),
)
CONFIRMED = ("animals/chelsea", "detection")
