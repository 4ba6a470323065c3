"""One project as the frontend finds it, and the people who look at it."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.fixtures.api import Api
from tests.fixtures.frontend_uploads import upload

TASK = {"task_type": "detection"}
FOLDER_ID = "train/good/001"
BOX = {"type": "bbox", "bbox": [10.25, 5.5, 20.75, 30], "image_width": 64, "image_height": 48}
JSON = {"Content-Type": "application/json"}  # the frontend's wrapper sends it always, with and without a body


@dataclass(frozen=True)
class OpenProject:
    """A dataset with two uploaded images and one class; clients by account."""

    api: Api
    dataset_id: str
    project_id: str
    class_id: str
    owner: httpx.AsyncClient

    async def draw(self, image_id: str = FOLDER_ID, **changed: Any) -> dict[str, Any]:
        """A box as the annotation screen sends it; the created annotation."""
        body = {
            "project_id": self.project_id,
            "image_id": image_id,
            "annotation_type": "bbox",
            "geometry": BOX,
            "class_id": self.class_id,
            "class_name": "scratch",
        } | changed
        created: dict[str, Any] = ok(await self.owner.post("/api/v1/annotations", json=body)).json()
        return created

    async def get(self, path: str, **query: Any) -> Any:
        """What a GET of the owner answers."""
        return ok(await self.owner.get(f"/api/v1{path}", params=query, headers=JSON)).json()


def ok(answer: httpx.Response, status: int = 200) -> httpx.Response:
    assert answer.status_code == status, answer.text
    return answer


async def built(api: Api) -> OpenProject:
    """Make it by the frontend's own calls."""
    owner = await api.login("owner")
    body = {"name": "Scratches", "task_types": ["detection"], "visibility": "private"}
    dataset_id = ok(await owner.post("/api/v1/datasets", json=body), 201).json()["id"]
    ok(await upload(owner, dataset_id, f"{FOLDER_ID}.jpg", "top.jpg"))
    project_id = ok(await owner.get(f"/api/v1/datasets/{dataset_id}/project")).json()["id"]
    added = await owner.post(
        f"/api/v1/projects/{project_id}/classes", params=TASK, json={"name": "scratch", "color": "#ff0000"}
    )
    return OpenProject(api, dataset_id, project_id, ok(added, 201).json()["class_id"], owner)
