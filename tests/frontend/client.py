"""The annotation screen, call by call: what it asks for, what it keeps, and what it would then show.

Not its code, but its rules (contract#progress): after every page of images it asks for the first two hundred
statuses, keeps them by the id of the image, and shows every image that it has no status of as not started. Between two
such calls it changes what it keeps by what its own person does. Like the browser around it, it sends the tag of an
answer that it has, and uses that answer again when it is told that nothing changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.frontend.opened import JSON, ok

PAGE = 50  # images a page, and statuses when a task is chosen
STATUSES = 200  # statuses after each page of images
NOT_STARTED, IN_PROGRESS, COMPLETED = "not-started", "in-progress", "completed"
BOX = {"type": "bbox", "bbox": [10.25, 5.5, 20.75, 30], "image_width": 640, "image_height": 480}
# The task is told by the type; a `no_object` says it in its attributes.
_TASKS = {
    **dict.fromkeys(["bbox", "rotated_bbox"], "detection"),
    **dict.fromkeys(["polyline", "circle"], "geometry"),
    "polygon": "segmentation",
    "classification": "classification",
}


def _task_of(annotation: Mapping[str, Any]) -> str | None:
    """Return the task that an annotation belongs to."""
    found: str | None = _TASKS.get(annotation["annotation_type"]) or annotation["attributes"].get("task_type")
    return found


@dataclass(frozen=True)
class Filters:
    """The numbers beside the three filters."""

    completed: int
    in_progress: int
    not_started: int


@dataclass
class Browser:
    """One person's browser: calls with their token, and what the browser keeps of answers that carry a tag."""

    client: httpx.AsyncClient
    kept: dict[str, tuple[str, Any]] = field(default_factory=dict)
    unchanged: int = 0

    async def get(self, path: str, **query: Any) -> Any:
        """Answer of a GET, its own or the one that is kept."""
        url = str(httpx.URL(f"/api/v1{path}", params=query))
        tag, body = self.kept.get(url, ("", None))
        answer = await self.client.get(url, headers={**JSON, **({"If-None-Match": tag} if tag else {})})
        if tag and answer.status_code == httpx.codes.NOT_MODIFIED:
            self.unchanged += 1
            return body
        ok(answer)
        if "ETag" in answer.headers:
            self.kept[url] = (answer.headers["ETag"], answer.json())
        return answer.json()

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Answer of a call that changes something; a body is sent with and without content."""
        url = f"/api/v1{path}"
        answer = await self.client.request(method, url, params=query, json=dict(body or {}), headers=JSON)
        return ok(answer).json()


class Screen:
    """The annotation screen of one project, as one person has it open."""

    def __init__(self, client: httpx.AsyncClient, project_id: str) -> None:
        self.browser = Browser(client)
        self.project_id = project_id
        self.task = ""
        self.image_id = ""
        self.total = 0
        self.images: list[str] = []
        self.annotations: dict[int, dict[str, Any]] = {}
        self._statuses: dict[str, dict[str, Any]] = {}

    async def open(self, task: str = "") -> None:
        """Load the page: choose a task (the given one, else the first that somebody began), and open an image."""
        await self.browser.get("/auth/me")
        tasks = (await self.browser.get(f"/projects/{self.project_id}"))["task_types"]
        begun = [name for name in tasks if await self._is_begun(name)] if len(tasks) > 1 else []
        self.task = task or (begun or tasks)[0]
        self.images, self._statuses = [], {}
        await self.scroll()
        await self.open_image(self.images[0])

    async def _is_begun(self, task: str) -> bool:
        statuses = await self._read_statuses(task, PAGE)
        return any(status["status"] != NOT_STARTED for status in statuses)

    async def scroll(self) -> bool:
        """Load the next page of images, and the statuses after it. False: there was none."""
        path = f"/projects/{self.project_id}/images"
        page = await self.browser.get(path, limit=PAGE, offset=len(self.images))
        self.total = page["total"]
        self.images += [image["id"] for image in page["images"]]
        await self.refresh()
        return bool(page["images"])

    async def refresh(self) -> None:
        """Read the statuses of the chosen task."""
        for status in await self._read_statuses(self.task, STATUSES):
            self._statuses[status["image_id"]] = status

    async def _read_statuses(self, task: str, limit: int) -> list[dict[str, Any]]:
        path = f"/projects/{self.project_id}/images/status"
        found: list[dict[str, Any]] = (await self.browser.get(path, task_type=task, limit=limit, offset=0))["statuses"]
        return found

    async def choose_task(self, task: str) -> None:
        """Go to another task: what is kept of the one before is of no use."""
        self.task, self._statuses = task, {}
        await self._read_statuses(task, PAGE)
        await self.refresh()
        if self.image_id:
            await self.list_annotations()

    async def open_image(self, image_id: str) -> None:
        """Leave the image that is open, and hold this one."""
        if self.image_id:
            await self.browser.send("DELETE", f"/image-locks/{self.project_id}/{self.image_id}")
        self.image_id = image_id
        await self.browser.send("POST", f"/image-locks/{self.project_id}/{image_id}/acquire")
        await self.list_annotations()

    async def list_annotations(self) -> None:
        """Read what is drawn on the image, and a thousand of the whole project for the panel beside it."""
        path = f"/annotations/project/{self.project_id}"
        found = await self.browser.get(path, skip=0, limit=1000, image_id=self.image_id)
        self.annotations = {annotation["id"]: annotation for annotation in found}
        await self.browser.get(path, skip=0, limit=1000)

    # What the person does. Each ends with the image's annotations read again, and the image's status as it now shows.

    async def draw(self, **changed: Any) -> dict[str, Any]:
        """Draw a box; the created annotation."""
        body = {
            "project_id": self.project_id,
            "image_id": self.image_id,
            "annotation_type": "bbox",
            "geometry": BOX,
            "class_id": "c1",
            "class_name": "scratch",
        } | changed
        created: dict[str, Any] = await self.browser.send("POST", "/annotations", body)
        await self._saved(IN_PROGRESS)
        return created

    async def say_no_object(self) -> dict[str, Any]:
        """Say that nothing of the task is on the image."""
        return await self.draw(
            annotation_type="no_object",
            geometry={"type": "no_object"},
            class_id=None,
            class_name="__background__",
            attributes={"task_type": self.task},
        )

    async def move(self, annotation_id: int) -> None:
        """Move a box: its geometry alone is sent."""
        await self.browser.send("PUT", f"/annotations/{annotation_id}", {"geometry": BOX})
        await self._saved(IN_PROGRESS)

    async def delete(self, annotation_id: int) -> None:
        """Delete an annotation; with the last one of the task the image is one that nobody began."""
        await self.browser.send("DELETE", f"/annotations/{annotation_id}")
        await self._saved(None)

    async def confirm(self, annotation_id: int) -> None:
        """Confirm an annotation; with the last draft of the task the image is done."""
        await self.browser.send("POST", f"/annotations/{annotation_id}/confirm")
        await self.list_annotations()
        drafts = [one for one in self._of_task() if one["annotation_state"] == "draft"]
        self._show(None if drafts else COMPLETED)

    async def unconfirm(self, annotation_id: int) -> None:
        """Make an annotation a draft again."""
        await self.browser.send("POST", f"/annotations/{annotation_id}/unconfirm")
        await self._saved(IN_PROGRESS)

    async def confirm_image(self) -> None:
        """Confirm the image in the chosen task."""
        path = f"/projects/{self.project_id}/images/{self.image_id}/confirm"
        await self.browser.send("POST", path, task_type=self.task)
        await self._saved(COMPLETED)

    async def unconfirm_image(self) -> None:
        """Take that back."""
        path = f"/projects/{self.project_id}/images/{self.image_id}/unconfirm"
        await self.browser.send("POST", path, task_type=self.task)
        await self._saved(IN_PROGRESS)

    async def _saved(self, status: str | None) -> None:
        await self.list_annotations()
        self._show(status if self._of_task() else NOT_STARTED)

    def _of_task(self) -> list[dict[str, Any]]:
        return [one for one in self.annotations.values() if _task_of(one) == self.task]

    def _show(self, status: str | None) -> None:
        if status is not None:
            self._statuses[self.image_id] = {"image_id": self.image_id, "status": status}

    # What the screen shows.

    def status(self, image_id: str) -> str:
        """How an image is marked in the list."""
        return str(self._statuses.get(image_id, {}).get("status", NOT_STARTED))

    def filters(self) -> Filters:
        """Count by filter, all images of the project and not only those that were scrolled to."""
        counts = Counter(str(status["status"]) for status in self._statuses.values())
        begun = counts[COMPLETED] + counts[IN_PROGRESS]
        return Filters(counts[COMPLETED], counts[IN_PROGRESS], self.total - begun)

    def shown(self, status: str) -> set[str]:
        """Return the images that a filter other than the one for `not-started` lets through."""
        return {image_id for image_id, entry in self._statuses.items() if entry["status"] == status}
