"""The demo project: what it is made of, and that it is loaded once, whole, whatever happens meanwhile."""

import io
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import labeler_ops.stack.demo
from labeler_ops.stack.demo.labels import ANNOTATIONS, CLASSES, CONFIRMED, TASKS
from labeler_ops.stack.demo.photographs import PHOTOGRAPHS
from tests.fixtures.running_stack import READY_SECONDS, Up, log_in

PHOTOS = Path(labeler_ops.stack.demo.__file__).parent.parent / "photos"
_ORIENTATION = 0x0112  # EXIF, of TIFF 6.0


def pictures() -> dict[str, Image.Image]:
    found: dict[str, Image.Image] = {}
    for photograph in PHOTOGRAPHS:
        picture: Image.Image = Image.open(io.BytesIO(photograph.read()))
        picture.load()
        found[photograph.image_id] = picture
    return found


def test_the_photographs_are_of_the_kinds_that_were_agreed() -> None:
    found = pictures()
    assert len(found) >= 8
    assert {picture.format for picture in found.values()} == {"JPEG", "PNG"}
    assert [name for name, picture in found.items() if picture.getexif().get(_ORIENTATION, 1) != 1] == [
        "animals/chelsea_rotated"
    ]
    assert any(picture.width * picture.height >= 12_000_000 for picture in found.values())


def test_every_photograph_has_its_source_and_the_repository_stays_small() -> None:
    sources = (PHOTOS / "SOURCES.md").read_text()
    files = [path for path in PHOTOS.iterdir() if path.suffix in {".jpg", ".png"}]
    assert not [path.name for path in files if f"| `{path.name}` |" not in sources]
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_the_annotations_fit_their_photographs_and_classes() -> None:
    found = pictures()
    classes = {(one.task, one.class_id) for one in CLASSES}
    tasks = {"bbox": "detection", "polygon": "segmentation", "classification": "classification"}
    for one in ANNOTATIONS:
        picture = found[one.image_id]
        assert (tasks[one.kind], one.class_id) in classes
        if one.kind == "classification":
            continue
        assert one.geometry["image_width"] == picture.width
        assert one.geometry["image_height"] == picture.height
        if one.kind == "bbox":
            x, y, width, height = one.geometry["bbox"]
            assert x >= 0 <= y
            assert x + width <= picture.width
            assert y + height <= picture.height
        else:
            assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in one.geometry["points"])


def assert_complete(facts: dict[str, Any]) -> None:
    """The demo project has everything, and everything once."""
    with log_in(facts) as client:
        (dataset,) = client.get("/datasets").json()
        project = client.get(f"/datasets/{dataset['id']}/project").json()
        assert dataset["name"] == "Demo photographs"
        assert dataset["num_items"] == len(PHOTOGRAPHS)
        assert project["task_types"] == list(TASKS)
        assert {(task, name) for task, classes in project["task_classes"].items() for name in classes} == {
            (one.task, one.class_id) for one in CLASSES
        }
        check_images(client, project["id"])
        check_annotations(client, project["id"])
        members = client.get(f"/projects/{project['id']}/permissions").json()
        assert {(one["user_email"], one["role"]) for one in members} == {
            (f"{role}@example.com", role) for role in ("owner", "reviewer", "annotator", "viewer")
        }
        assert client.get(f"/image-locks/{project['id']}").json()["locks"] == []


def check_images(client: httpx.Client, project_id: str) -> None:
    images = client.get(f"/projects/{project_id}/images", params={"limit": 200}).json()["images"]
    sizes = {name: picture.size for name, picture in pictures().items()}
    sizes["animals/chelsea_rotated"] = sizes["animals/chelsea"]  # as it is seen, not as it is stored
    assert {one["id"]: (one["width"], one["height"]) for one in images} == sizes
    for one in images:
        content = next(photograph.read() for photograph in PHOTOGRAPHS if photograph.image_id == one["id"])
        assert client.get(one["url"]).content == content


def check_annotations(client: httpx.Client, project_id: str) -> None:
    made = client.get(f"/annotations/project/{project_id}").json()
    assert Counter((one["image_id"], one["annotation_type"], one["class_id"]) for one in made) == Counter(
        (one.image_id, one.kind, one.class_id) for one in ANNOTATIONS
    )
    statuses = client.get(f"/projects/{project_id}/images/status", params={"task_type": CONFIRMED[1], "limit": 200})
    confirmed = [one["image_id"] for one in statuses.json()["statuses"] if one["is_image_confirmed"]]
    assert confirmed == [CONFIRMED[0]]


def test_it_is_loaded_once_and_stays_as_people_leave_it(home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path) as up:
        assert_complete(up.ready())
        assert "demo data" not in up.output


@pytest.mark.destructive
def test_a_load_that_was_cut_off_is_finished_by_the_next_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Up(home, files=tmp_path / "a") as up:
        wait_until_annotating(up, home)
        os.kill(up.process.pid, signal.SIGKILL)
        up.ended()
    assert not (home / "demo.json").exists()
    with Up(home, files=tmp_path / "b") as up:
        assert_complete(up.ready())


_MADE = re.compile(r'"method": ?"POST", ?"route": ?"/api/v1/annotations", ?"status": ?200')


def wait_until_annotating(up: Up, home: Path) -> None:
    """Wait until the first annotations are made, long before the last ones are."""
    log = home / "logs" / "api.log"
    deadline = time.monotonic() + READY_SECONDS
    while not log.exists() or len(_MADE.findall(log.read_text())) < 2:
        assert up.process.poll() is None, up.output
        assert not up.ready_file.exists(), "the load was over before it could be cut off"
        assert time.monotonic() < deadline, up.output
        time.sleep(0.002)
