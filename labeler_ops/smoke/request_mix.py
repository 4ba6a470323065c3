"""The calls that the frontend makes most, on a dataset of their own: opening pages, and a person at work."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from urllib.parse import quote

from labeler_ops.smoke.deployment import Deployment, check
from labeler_ops.smoke.pictures import HEIGHT, WIDTH, picture
from labeler_ops.smoke.sampling import Call
from labeler_ops.smoke.smoke_dataset import SmokeDataset

IMAGES = 10
ANNOTATIONS = 300  # a page of the annotation screen reads them all, after every change
_GEOMETRY = {"type": "bbox", "bbox": [10.25, 20.5, 100.0, 50.75], "image_width": WIDTH, "image_height": HEIGHT}


@dataclass(frozen=True)
class Prepared:
    """A filled dataset."""

    subject: SmokeDataset
    image_ids: list[str]
    annotation_ids: list[int]
    links: Mapping[str, str]


async def prepare(subject: SmokeDataset) -> Prepared:
    """Make a dataset with images and annotations. Raises StepFailed; `clean_up` takes it away."""
    deployment = subject.deployment
    subject.user_id = (await deployment.ask("GET", "/api/v1/auth/me"))["id"]
    await subject.create_dataset()
    subject.project_id = (await deployment.ask("GET", subject.dataset("/project")))["id"]
    subject.pictures = [picture(f"train/{number:03}.jpg", "JPEG") for number in range(IMAGES)]
    files = [("files", (one.path, one.content)) for one in subject.pictures]
    uploaded = await deployment.ask("POST", subject.dataset("/images"), files=files)
    check(uploaded["images_uploaded"] == IMAGES, f"of {IMAGES} images {uploaded['images_uploaded']} were taken")
    image_ids = [one.image_id for one in subject.pictures]
    batch = [drawn(subject.project_id, image_ids[number % IMAGES]) for number in range(ANNOTATIONS)]
    made = await deployment.ask("POST", "/api/v1/annotations/batch", json={"annotations": batch})
    check(made["created"] == ANNOTATIONS, f"of {ANNOTATIONS} annotations {made['created']} were made")
    page = await deployment.ask("GET", subject.project("/images"), params={"limit": 50, "offset": 0})
    image = page["images"][0]
    links = {"image": image["url"], "thumbnail": image["thumbnail_url"]}
    return Prepared(subject, image_ids, made["annotation_ids"], links)


def drawn(project_id: str, image_id: str) -> dict[str, Any]:
    """A box as the frontend sends it."""
    return {"project_id": project_id, "image_id": image_id, "annotation_type": "bbox", "geometry": _GEOMETRY}


def calls(prepared: Prepared) -> dict[str, Call]:
    """List what is measured."""
    subject, deployment = prepared.subject, prepared.subject.deployment
    project, dataset = subject.project_id, subject.dataset_id
    reads = {
        "me": "/api/v1/auth/me",
        "datasets": "/api/v1/datasets",
        "invitations, received": "/api/v1/invitations?type=received&status=pending",
        "project of a dataset": f"/api/v1/datasets/{dataset}/project",
        "images": f"/api/v1/projects/{project}/images?limit=50&offset=0",
        "statuses": f"/api/v1/projects/{project}/images/status?task_type=detection&limit=50&offset=0",
        "annotations, one image": f"/api/v1/annotations/project/{project}?limit=1000&image_id={prepared.image_ids[0]}",
        "annotations, all": f"/api/v1/annotations/project/{project}?skip=0&limit=1000",
        "members": f"/api/v1/projects/{project}/permissions",
        "locks": f"/api/v1/image-locks/{project}",
        "versions": f"/api/v1/projects/{project}/versions",
    }
    links = {f"{name} by its link": _link(deployment, link) for name, link in prepared.links.items()}
    return {name: _read(deployment, path) for name, path in reads.items()} | links | _writes(prepared)


def _writes(prepared: Prepared) -> dict[str, Call]:
    """What a person at work does; each write goes to the next image or annotation."""
    deployment, project = prepared.subject.deployment, prepared.subject.project_id
    images, annotations = cycle(prepared.image_ids), cycle(prepared.annotation_ids)

    async def acquire() -> None:
        await deployment.expect(
            "POST", f"/api/v1/image-locks/{project}/{quote(next(images), safe='')}/acquire", json={}
        )

    async def move() -> None:
        await deployment.expect("PUT", f"/api/v1/annotations/{next(annotations)}", json={"geometry": _GEOMETRY})

    async def draw() -> None:
        await deployment.expect("POST", "/api/v1/annotations", json=drawn(project, next(images)))

    return {"acquire a lock": acquire, "move a box": move, "draw a box": draw}


def _read(deployment: Deployment, path: str) -> Call:
    return lambda: deployment.expect("GET", path)


def _link(deployment: Deployment, link: str) -> Call:
    return lambda: deployment.download(link)
