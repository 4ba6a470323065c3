"""Every call of the labeler frontend that reads or changes the Labeler DB, as steps that can be repeated for ever."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

IMAGE = "train/7"
_IMAGES = 200  # that boxes are drawn on in turns
_BOX = {"type": "bbox", "bbox": [10.5, 20.5, 99.0, 51.0], "image_width": 640, "image_height": 480}

Prepare = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Step:
    """One call. `prepare` makes what it needs each time, unmeasured; what it returns is put in the path for `{}`."""

    name: str
    method: str
    path: str
    body: Any = None
    prepare: Prepare | None = None
    writes: bool = False


class Frontend:
    """The calls of somebody who works on one image of a filled project."""

    def __init__(self, api: httpx.AsyncClient, dataset: str, project: str) -> None:
        self._api, self._dataset, self._project = api, dataset, project
        self._numbers: Iterator[int] = count(1)
        self._lock = f"/image-locks/{project}/train%2F7"

    def reads(self) -> list[Step]:
        """What is asked for on opening the dashboard and the annotation page, and again and again after that."""
        dataset, project = self._dataset, self._project
        annotations = f"/annotations/project/{project}?skip=0&limit=1000"
        status = f"/projects/{project}/images/status?task_type=detection&offset=0"
        return [
            Step("me", "GET", "/auth/me"),
            Step("datasets", "GET", "/datasets"),
            Step("dataset", "GET", f"/datasets/{dataset}"),
            Step("project of a dataset", "GET", f"/datasets/{dataset}/project"),
            Step("size of a dataset", "GET", f"/datasets/{dataset}/size"),
            Step("summary of a dataset", "GET", f"/datasets/{dataset}/summary"),
            Step("8 images of a dataset", "GET", f"/datasets/{dataset}/images?limit=8&offset=0"),
            Step("permissions of a dataset", "GET", f"/datasets/{dataset}/permissions"),
            Step("projects", "GET", "/projects"),
            Step("project", "GET", f"/projects/{project}"),
            Step("project, after a save", "GET", f"/projects/{project}", prepare=self.drawn),
            Step("members", "GET", f"/projects/{dataset}/permissions"),
            Step("statistics", "GET", f"/projects/{project}/stats"),
            Step("history of a project", "GET", f"/annotations/history/project/{project}?skip=0&limit=10"),
            Step("history of an annotation", "GET", "/annotations/history/annotation/{}", prepare=self.drawn),
            Step("invitations, received", "GET", "/invitations?type=received&status=pending"),
            Step("50 images", "GET", f"/projects/{project}/images?limit=50&offset=0"),
            Step("50 statuses", "GET", f"{status}&limit=50"),
            Step("200 statuses", "GET", f"{status}&limit=200"),
            Step("annotations of an image", "GET", f"{annotations}&image_id={IMAGE}"),
            Step("1,000 annotations", "GET", annotations),
            Step("1,000 annotations, after a save", "GET", annotations, prepare=self.drawn),
            Step("annotation", "GET", "/annotations/{}", prepare=self.drawn),
            Step("locks", "GET", f"/image-locks/{project}"),
            Step("lock of an image", "GET", f"{self._lock}/status"),
            Step("versions", "GET", f"/projects/{project}/versions"),
        ]

    def writes(self) -> list[Step]:
        """What changes something: on the annotation page, and in a project's settings."""
        project, lock = self._project, self._lock
        image = f"/projects/{project}/images/train%2F7"
        task = "?task_type=detection"
        drawn = self.drawn
        steps = [
            Step("acquire a lock", "POST", f"{lock}/acquire", {}, self._released),
            Step("acquire a lock again", "POST", f"{lock}/acquire", {}, self._acquired),
            Step("heartbeat", "POST", f"{lock}/heartbeat", {}, self._acquired),
            Step("release a lock", "DELETE", lock, None, self._acquired),
            Step("draw a box", "POST", "/annotations", self._box(IMAGE)),
            Step("move a box", "PUT", "/annotations/{}", {"geometry": _BOX}, drawn),
            Step("delete a box", "DELETE", "/annotations/{}", None, drawn),
            Step("confirm an annotation", "POST", "/annotations/{}/confirm", {}, drawn),
            Step("unconfirm an annotation", "POST", "/annotations/{}/unconfirm", {}, self._confirmed),
            Step("restore an annotation", "POST", "/annotations/{}/restore", {"revision": 1}, self._moved),
            Step("confirm an image", "POST", f"{image}/confirm{task}", {}, drawn),
            Step("unconfirm an image", "POST", f"{image}/unconfirm{task}", {}, self._image_confirmed),
            Step("a batch of 10 boxes", "POST", "/annotations/batch", {"annotations": [self._box(IMAGE)] * 10}),
            Step("make a dataset", "POST", "/datasets", {"name": "Another", "task_types": ["detection"]}),
            Step("change a dataset", "PUT", f"/datasets/{self._dataset}", {"name": "Benchmark"}),
            Step("add a class", "POST", f"/projects/{project}/classes{task}", {"name": "{n}", "color": "#ff0000"}),
            Step("change a class", "PATCH", f"/projects/{project}/classes/{{}}{task}", {"name": "{n}"}, self._class),
            Step("delete a class", "DELETE", f"/projects/{project}/classes/{{}}{task}", None, self._class),
        ]
        return [Step(one.name, one.method, one.path, one.body, one.prepare, writes=True) for one in steps]

    def _box(self, image: str) -> dict[str, Any]:
        body = {"project_id": self._project, "image_id": image, "annotation_type": "bbox", "geometry": _BOX}
        return {**body, "class_id": "c1", "class_name": "crack"}

    async def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send one call; `{n}` in a body becomes a number of its own. Raises for any answer but a success."""
        if isinstance(body, dict) and body.get("name") == "{n}":
            body = {**body, "name": f"class {next(self._numbers)}"}
        answer = await self._api.request(method, f"/api/v1{path}", json=body)
        if not answer.is_success:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    async def drawn(self) -> int:
        """Draw a box on an image that has few; its id."""
        image = f"train/{101 + next(self._numbers) % _IMAGES}"
        made: int = (await self.send("POST", "/annotations", self._box(image))).json()["id"]
        return made

    async def _moved(self) -> int:
        made = await self.drawn()
        await self.send("PUT", f"/annotations/{made}", {"geometry": _BOX})
        return made

    async def _confirmed(self) -> int:
        made = await self.drawn()
        await self.send("POST", f"/annotations/{made}/confirm", {})
        return made

    async def _image_confirmed(self) -> None:
        await self.send("POST", f"/projects/{self._project}/images/train%2F7/confirm?task_type=detection", {})

    async def _acquired(self) -> None:
        await self.send("POST", f"{self._lock}/acquire", {})

    async def _released(self) -> None:
        await self._acquired()
        await self.send("DELETE", self._lock)

    async def _class(self) -> str:
        path = f"/projects/{self._project}/classes?task_type=detection"
        made: str = (await self.send("POST", path, {"name": "{n}", "color": "#ff0000"})).json()["class_id"]
        return made
