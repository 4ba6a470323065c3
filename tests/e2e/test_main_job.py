"""The main job on real servers, over HTTP only: upload, see, lock, annotate, confirm, publish, download."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image, ImageOps
from pycocotools.coco import COCO

import labeler_ops.stack
from tests.e2e.system import System, started

PHOTOS = Path(labeler_ops.stack.__file__).parent / "photos"
FOLDER = "first day/사진"  # a space and Korean letters, as real folders have
TASK = {"task_type": "detection"}


@dataclass(frozen=True)
class Photo:
    """A photograph on disk; the size is that of the picture as it is seen, after its EXIF rotation."""

    name: str
    content: bytes
    size: tuple[int, int]

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.name}"

    @property
    def image_id(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def boxes(self) -> list[list[float]]:
        """What is drawn on it: two boxes inside the picture."""
        width, height = self.size
        return [[10.25, 5.5, width / 4, height / 2], [width / 2, height / 2, width / 2, height / 2]]


@dataclass(frozen=True)
class Project:
    """A project with every photograph in it, and clients of three people who work on it."""

    system: System
    dataset_id: str
    project_id: str
    classes: dict[str, str]
    people: dict[str, httpx.AsyncClient]

    def url(self, rest: str) -> str:
        return f"/api/v1/projects/{self.project_id}/{rest}"

    def lock_url(self, photo: Photo, action: str = "") -> str:
        return f"/api/v1/image-locks/{self.project_id}/{quote(photo.image_id, safe='')}{action}"


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    found = []
    for path in sorted(PHOTOS.iterdir()):
        if path.suffix in {".png", ".jpg"}:
            with Image.open(path) as image:
                size = ImageOps.exif_transpose(image).size
            found.append(Photo(path.name, path.read_bytes(), size))
    assert len(found) >= 8
    return found


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with started(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture(scope="module")
async def project(system: System, photos: list[Photo]) -> AsyncIterator[Project]:
    """Everything that comes before annotating."""
    people = {role: await system.login(role) for role in ("owner", "reviewer", "annotator", "viewer")}
    owner = people["owner"]
    body = {"name": "First day", "task_types": ["detection"], "visibility": "private"}
    dataset_id = (await ok(owner.post("/api/v1/datasets", json=body), 201))["id"]
    await upload(owner, dataset_id, photos)
    project_id = (await ok(owner.get(f"/api/v1/datasets/{dataset_id}/project")))["id"]
    for role in ("reviewer", "annotator", "viewer"):
        member = {"user_email": f"{role}@example.com", "role": role}
        await ok(owner.post(f"/api/v1/projects/{dataset_id}/permissions", json=member), 201)
    classes = {}
    for name, color in (("thing", "#00aa00"), ("배경", "#aa0000")):
        made = owner.post(f"/api/v1/projects/{project_id}/classes", params=TASK, json={"name": name, "color": color})
        classes[name] = (await ok(made, 201))["class_id"]
    yield Project(system, dataset_id, project_id, classes, people)
    for client in people.values():
        await client.aclose()


async def test_the_main_job(project: Project, photos: list[Photo], tmp_path: Path) -> None:
    await assert_bytes_come_back(project, photos)
    await annotate_in_turns(project, photos)
    await confirm(project, photos)
    await assert_published(project, photos, tmp_path)


async def upload(owner: httpx.AsyncClient, dataset_id: str, photos: list[Photo]) -> None:
    files = [("files", (photo.path, photo.content)) for photo in photos]
    summary = await ok(owner.post(f"/api/v1/datasets/{dataset_id}/images", files=files))
    assert summary["images_uploaded"] == len(photos)
    assert summary["failed"] == []
    assert summary["storage_bytes_used"] == sum(len(photo.content) for photo in photos)
    facts = await ok(owner.get(f"/api/v1/datasets/{dataset_id}/summary"))
    assert facts["total_images"] == len(photos)


async def assert_bytes_come_back(project: Project, photos: list[Photo]) -> None:
    """Every photograph is listed with its size, and its link, which needs no token, gives the bytes that were sent."""
    page = await ok(project.people["viewer"].get(project.url("images"), params={"limit": 50, "offset": 0}))
    listed = {image["id"]: image for image in page["images"]}
    assert page["total"] == len(photos)
    assert set(listed) == {photo.image_id for photo in photos}
    async with httpx.AsyncClient(timeout=60) as browser:
        for photo in photos:
            image = listed[photo.image_id]
            width, height = photo.size
            assert image["width"] == width
            assert image["height"] == height
            whole = await browser.get(image["url"])
            assert whole.status_code == 200
            assert whole.content == photo.content
            assert int(whole.headers["content-length"]) == len(photo.content)
            part = await browser.get(image["url"], headers={"Range": "bytes=100-199"})
            assert part.status_code == 206
            assert part.content == photo.content[100:200]
            with Image.open(io.BytesIO((await browser.get(image["thumbnail_url"])).content)) as thumbnail:
                assert max(thumbnail.size) <= 256


async def annotate_in_turns(project: Project, photos: list[Photo]) -> None:
    """Two people want every photograph at the same moment: one gets it and draws, the other is told who has it."""
    for photo in photos:
        people = ("annotator", "reviewer")
        answers = await asyncio.gather(
            *(ok(project.people[who].post(project.lock_url(photo, "/acquire"), json={})) for who in people)
        )
        statuses = {who: answer["status"] for who, answer in zip(people, answers, strict=True)}
        assert sorted(statuses.values()) == ["acquired", "already_locked"]
        holder = next(who for who, status in statuses.items() if status == "acquired")
        (other,) = set(people) - {holder}
        told = answers[people.index(other)]["locked_by"]
        assert told["user_email"] == f"{holder}@example.com"
        assert told["image_id"] == photo.image_id
        await assert_locked_out(project, other, photo)
        for number, box in enumerate(photo.boxes):
            await ok(project.people[holder].post("/api/v1/annotations", json=drawn(project, photo, number, box)))
        await assert_locked_out(project, other, photo)
        released = await ok(project.people[holder].delete(project.lock_url(photo)))
        assert released["status"] == "released"
    rows = await ok(project.people["viewer"].get(f"/api/v1/annotations/project/{project.project_id}"))
    assert len(rows) == sum(len(photo.boxes) for photo in photos)
    facts = await ok(project.people["owner"].get(f"/api/v1/datasets/{project.dataset_id}/summary"))
    assert facts["annotated_images"] == len(photos)
    assert facts["total_annotations"] == len(rows)


async def assert_locked_out(project: Project, who: str, photo: Photo) -> None:
    body = drawn(project, photo, 0, photo.boxes[0])
    answer = await project.people[who].post("/api/v1/annotations", json=body)
    assert answer.status_code == 423
    assert answer.json()["lock"]["image_id"] == photo.image_id
    assert isinstance(answer.json()["detail"], str)


def drawn(project: Project, photo: Photo, number: int, box: list[float]) -> dict[str, Any]:
    """A box as the frontend sends it: the first of a photograph is a thing, the second its background."""
    name = ("thing", "배경")[number]
    width, height = photo.size
    return {
        "project_id": project.project_id,
        "image_id": photo.image_id,
        "annotation_type": "bbox",
        "geometry": {"type": "bbox", "bbox": box, "image_width": width, "image_height": height},
        "class_id": project.classes[name],
        "class_name": name,
        "attributes": {},
    }


async def confirm(project: Project, photos: list[Photo]) -> None:
    """The reviewer confirms every photograph, with the slashes of its id as they are and encoded, as frontends do."""
    reviewer = project.people["reviewer"]
    for number, photo in enumerate(photos):
        encoded = quote(photo.image_id, safe="/" if number % 2 else "")
        answer = await ok(reviewer.post(project.url(f"images/{encoded}/confirm"), params=TASK, json={}))
        assert answer["is_confirmed"] is True
        assert answer["status"] == "completed"
    statuses = await ok(reviewer.get(project.url("images/status"), params={**TASK, "limit": 200}))
    assert {status["status"] for status in statuses["statuses"]} == {"completed"}


async def assert_published(project: Project, photos: list[Photo], directory: Path) -> None:
    """The published COCO file loads, and holds the boxes that were drawn, the sizes and the classes."""
    body = {**TASK, "export_format": "coco", "include_draft": False, "description": "the first day"}
    refused = await project.people["annotator"].post(project.url("versions/publish"), json=body)
    assert refused.status_code == 403
    version = await ok(project.people["owner"].post(project.url("versions/publish"), json=body))
    assert version["version_number"] == "v1.0"
    assert version["export_format"] == "coco"
    assert version["annotation_count"] == 2 * len(photos)
    assert version["image_count"] == len(photos)

    page = await ok(project.people["viewer"].get(project.url("versions")))
    async with httpx.AsyncClient(timeout=60) as browser:
        downloads = [await browser.get(link) for link in (version["download_url"], page["versions"][0]["download_url"])]
    assert downloads[0].content == downloads[1].content
    assert re.fullmatch(r'attachment; filename="\S+_v1\.0_coco\.json"', downloads[0].headers["content-disposition"])

    file = directory / "annotations_coco.json"
    file.write_bytes(downloads[0].content)
    assert_same(COCO(str(file)), photos)


def assert_same(coco: COCO, photos: list[Photo]) -> None:
    categories = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    images = {image["id"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert categories == {1: "thing", 2: "배경"}
    assert {image["file_name"]: (image["width"], image["height"]) for image in images.values()} == {
        photo.path: photo.size for photo in photos
    }
    found: dict[str, list[tuple[str, list[float]]]] = {}
    for entry in coco.loadAnns(coco.getAnnIds()):
        name = images[entry["image_id"]]["file_name"]
        found.setdefault(name, []).append((categories[entry["category_id"]], entry["bbox"]))
        assert entry["area"] == pytest.approx(entry["bbox"][2] * entry["bbox"][3], abs=1e-3)
    assert found == {photo.path: list(zip(("thing", "배경"), photo.boxes, strict=True)) for photo in photos}


async def ok(call: Any, status: int = 200) -> Any:
    """Await a request that has to succeed; return its JSON."""
    answer: httpx.Response = await call
    assert answer.status_code == status, f"{answer.request.method} {answer.request.url.path}: {answer.text}"
    return answer.json()
