"""What supervision writes is imported as the same boxes, and an export of Pascal VOC comes back exactly."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from labeler_api.versions.formats import VOC
from tests.fixtures import readers
from tests.fixtures.export_sources import Given, made, written
from tests.fixtures.import_reading import read

_EXAMPLES = 25
_NAMES = {"b": {"name": "cat", "order": 0}, "c": {"name": "dog", "order": 1}}

boxes = st.lists(
    st.tuples(
        st.sampled_from(["b", "c"]), st.integers(0, 300), st.integers(0, 200), st.integers(1, 340), st.integers(1, 280)
    ),
    min_size=1,
    max_size=4,
)


def _zip(directory: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(directory))
    return out.getvalue()


def _dataset(directory: Path, drawn: list[tuple[str, int, int, int, int]]) -> Any:
    place = str(directory / "a.png")
    Picture.new("RGB", (640, 480)).save(place)
    found = readers.Detections(
        xyxy=np.array([[x, y, x + w, y + h] for _, x, y, w, h in drawn], dtype=float),
        class_id=np.array([["b", "c"].index(name) for name, *_ in drawn]),
    )
    return readers.Dataset(classes=["cat", "dog"], images=[place], annotations={place: found})


@pytest.mark.parametrize("kind", ["yolo", "coco", "voc"])
@settings(max_examples=_EXAMPLES, deadline=None)
@given(drawn=boxes)
def test_supervision_writes_and_we_read(kind: str, drawn: list[tuple[str, int, int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory, target = Path(name), Path(name) / "out"
        target.mkdir()
        dataset = _dataset(directory, drawn)
        if kind == "yolo":
            dataset.as_yolo(annotations_directory_path=str(target / "labels"), data_yaml_path=str(target / "data.yaml"))
        elif kind == "coco":
            dataset.as_coco(annotations_path=str(target / "annotations.json"))
        else:
            dataset.as_pascal_voc(annotations_directory_path=str(target / "Annotations"))
        content = (target / "annotations.json").read_bytes() if kind == "coco" else _zip(target)
    found = read(content, ["detection"])
    assert found.format == kind
    assert found.messages == []
    # It writes the pixel behind the last one as xmax of Pascal VOC, and five decimals into YOLO.
    off = 1 if kind == "voc" else 0.02
    assert [draft["class_name"] for draft in found.drafts] == [{"b": "cat", "c": "dog"}[name] for name, *_ in drawn]
    for draft, (_, *box) in zip(found.drafts, drawn, strict=True):
        assert draft["geometry"]["bbox"] == pytest.approx(box, abs=off)


@settings(max_examples=_EXAMPLES, deadline=None)
@given(drawn=boxes, path=st.lists(st.sampled_from(["a", "images", "가"]), min_size=1, max_size=3).map("/".join))
async def test_an_export_of_voc_comes_back(drawn: list[tuple[str, int, int, int, int]], path: str) -> None:
    rows = [
        made(n, path, "bbox", {"bbox": [x + 0.25, y, w, h + 0.5]}, class_id=name)
        for n, (name, x, y, w, h) in enumerate(drawn)
    ]
    found = read(await written(VOC, Given(rows, _NAMES)), ["detection"])
    assert found.images == [f"{path}.jpg"]
    assert found.messages == []
    assert found.warnings == []
    told = [(draft["class_name"], draft["geometry"]["bbox"]) for draft in found.drafts]
    assert told == [(_NAMES[name]["name"], [x + 0.25, y, w, h + 0.5]) for name, x, y, w, h in drawn]


def test_json_of_python_is_named_by_its_number() -> None:
    content = json.dumps({"images": [], "annotations": [{"score": float("nan")}]}).encode()
    with pytest.raises(Exception, match=r"NaN \(in 'score'\)"):
        read(content)
