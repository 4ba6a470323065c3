"""What exists when a campaign begins: datasets with images, classes, annotations, members, a version, an invitation."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
from PIL import Image

_DATASETS = 8  # some are deleted on the way
_IMAGES = ["train/good/001", "train/good/002", "three"]


@dataclass(frozen=True)
class Filled:
    """The ids of what exists, by the name of the parameter that takes them."""

    ids: dict[str, list[str] | list[int]]
    links: dict[str, dict[str, str | int]]


def populate(owner: httpx.Client) -> Filled:
    """Make it through the API."""
    datasets, projects, annotations, classes = [], [], [], []
    for number in range(_DATASETS):
        tasks = ["detection", "segmentation", "classification"]
        dataset = _sent(owner.post("/datasets", json={"name": f"Dataset {number}", "task_types": tasks}))["id"]
        project = _sent(owner.get(f"/datasets/{dataset}/project"))["id"]
        files = [("files", (f"{name}.jpg", _picture(), "image/jpeg")) for name in _IMAGES]
        _sent(owner.post(f"/datasets/{dataset}/images", files=files))
        new_class = {"name": "Scratch", "color": "#ff0000", "class_id": f"scratch{number}"}
        classes.append(
            _sent(owner.post(f"/projects/{project}/classes", params={"task_type": "detection"}, json=new_class))[
                "class_id"
            ]
        )
        annotations += [_annotation(owner, project, image, classes[-1]) for image in _IMAGES]
        for account in ("reviewer", "annotator"):
            member = {"user_email": f"{account}@example.com", "role": account}
            _sent(owner.post(f"/projects/{project}/permissions", json=member))
        datasets.append(dataset)
        projects.append(project)
    publish = {"task_type": "detection", "export_format": "coco", "include_draft": True}
    version = _sent(owner.post(f"/projects/{projects[0]}/versions/publish", json=publish))
    export = _sent(owner.post(f"/projects/{projects[0]}/export", json=publish))
    image = _sent(owner.get(f"/projects/{projects[0]}/images"))["images"][0]
    invite = {"project_id": datasets[0], "role": "viewer", "invitee_email": "viewer@example.com"}
    invitation = _sent(owner.post("/invitations", json=invite))["id"]
    return Filled(
        {
            "dataset_id": datasets,
            "project_id": [*projects, datasets[-1]],
            "image_id": _IMAGES,
            "annotation_id": annotations,
            "class_id": classes,
            "version_id": [version["id"]],
            "invitation_id": [invitation],
            "user_id": [1, 2, 3, 4, 5],
            "organization_id": [1],
            "task_type": ["detection", "segmentation", "classification"],
        },
        {
            "images_get_image": _link(image["url"], "dataset_id", "image_id"),
            "images_get_thumbnail": _link(image["thumbnail_url"], "dataset_id", "image_id"),
            "versions_download": _link(version["download_url"], "version_id"),
            "versions_download_export": _link(
                export["download_url"], "project_id", "task_type", "export_id", "file_name"
            ),
        },
    )


def _link(url: str, *names: str) -> dict[str, str | int]:
    """The parameters of a signed link: those of its path, the last with the rest of it, and those of its query."""
    parts = urlsplit(url)
    path = unquote(parts.path).split("/", 2 + len(names))[3:]
    values = dict(zip(names, path, strict=True)) | dict(parse_qsl(parts.query))
    return {name: int(value) if name in {"u", "e", "version_id"} else value for name, value in values.items()}


def _annotation(owner: httpx.Client, project: str, image: str, class_id: str) -> int:
    body = {
        "project_id": project,
        "image_id": image,
        "annotation_type": "bbox",
        "class_id": class_id,
        "geometry": {"type": "bbox", "bbox": [1, 2, 30, 40]},
    }
    number: int = _sent(owner.post("/annotations", json=body))["id"]
    return number


def _picture() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 48), "navy").save(buffer, "JPEG")
    return buffer.getvalue()


def _sent(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()
