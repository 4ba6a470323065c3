"""Every call of the labeler frontend that reads or changes the Labeler DB, as steps that can be repeated for ever."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import httpx

IMAGE = "train/7"
_IMAGES = 200  # that boxes are drawn on in turns
_BOX = {"type": "bbox", "bbox": [10.5, 20.5, 99.0, 51.0], "image_width": 640, "image_height": 480}

Prepare = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Step:
    """One call. `prepare` makes what it needs each time, unmeasured; what it returns is put in the path for `{}`.

    And in the body, for a value that is `{}`.
    """

    name: str
    method: str
    path: str
    body: Any = None
    prepare: Prepare | None = None
    writes: bool = False
    by_colleague: bool = False


@dataclass(frozen=True)
class Colleague:
    """Another account, no member of the project."""

    user_id: int
    email: str
    api: httpx.AsyncClient


class Frontend:
    """The calls of somebody who works on one image of a filled project."""

    def __init__(self, api: httpx.AsyncClient, dataset: str, project: str, colleague: Colleague) -> None:
        self._api, self._dataset, self._project, self._colleague = api, dataset, project, colleague
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
            Step("confirm 10 annotations", "POST", "/annotations/bulk-confirm", {"annotation_ids": "{}"}, self._ten),
            Step("make a dataset", "POST", "/datasets", {"name": "Another", "task_types": ["detection"]}),
            Step("change a dataset", "PUT", f"/datasets/{self._dataset}", {"name": "Benchmark"}),
            Step("change a project", "PATCH", f"/projects/{project}", {"description": "Of a benchmark"}),
            Step("add a task", "POST", "/projects/{}/task-types", {"task_type": "segmentation"}, self._another),
            Step("free an image", "DELETE", f"{lock}/force", None, self._acquired),
            Step("add a class", "POST", f"/projects/{project}/classes{task}", {"name": "{n}", "color": "#ff0000"}),
            Step("change a class", "PATCH", f"/projects/{project}/classes/{{}}{task}", {"name": "{n}"}, self._class),
            Step("delete a class", "DELETE", f"/projects/{project}/classes/{{}}{task}", None, self._class),
            Step(
                "reorder classes",
                "PUT",
                f"/projects/{project}/classes/reorder{task}",
                {"class_ids": "{}"},
                self._classes,
            ),
        ]
        return [replace(one, writes=True) for one in steps]

    def people(self) -> list[Step]:
        """What changes who may work on the project."""
        members, who = f"/projects/{self._project}/permissions", self._colleague.user_id
        of_dataset, email = f"/datasets/{self._dataset}/permissions", self._colleague.email
        hired = self._hired
        steps = [
            Step("add a member", "POST", members, {"user_email": email, "role": "annotator"}, self._dismissed),
            Step("change a member", "PATCH", f"{members}/{who}", {"role": "reviewer"}, hired),
            Step("remove a member", "DELETE", f"{members}/{who}", None, hired),
            Step(
                "transfer a project",
                "POST",
                "/projects/{}/transfer-ownership",
                {"new_owner_user_id": who},
                self._shared,
            ),
            Step(
                "add a member of a dataset",
                "POST",
                f"{of_dataset}/invite",
                {"user_email": email, "role": "member"},
                self._dismissed,
            ),
            Step("change a member of a dataset", "PUT", f"{of_dataset}/{who}", {"role": "member"}, hired),
            Step("remove a member of a dataset", "DELETE", f"{of_dataset}/{who}", None, hired),
        ]
        return [replace(one, writes=True) for one in steps]

    def invitations(self) -> list[Step]:
        """Of which the API takes twenty in an hour."""
        body = {"project_id": self._project, "invitee_user_id": self._colleague.user_id, "role": "annotator"}
        steps = [
            Step("invite somebody", "POST", "/invitations", body, self._dismissed),
            Step("cancel an invitation", "POST", "/invitations/{}/cancel", {}, self._invited),
            Step(
                "accept an invitation", "POST", "/invitations/accept", {"token": "{}"}, self._token, by_colleague=True
            ),
        ]
        return [replace(one, writes=True) for one in steps]

    async def take(self, step: Step, made: Any) -> None:
        """Make the call of a step, for which `made` was prepared."""
        body = step.body
        if isinstance(body, dict):
            body = {name: made if value == "{}" else value for name, value in body.items()}
        path = step.path.format(made) if made is not None else step.path
        await self.send(step.method, path, body, self._colleague.api if step.by_colleague else self._api)

    def _box(self, image: str) -> dict[str, Any]:
        body = {"project_id": self._project, "image_id": image, "annotation_type": "bbox", "geometry": _BOX}
        return {**body, "class_id": "c1", "class_name": "crack"}

    async def send(
        self, method: str, path: str, body: Any = None, api: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        """Send one call; `{n}` in a body becomes a number of its own. Raises for any answer but a success."""
        if isinstance(body, dict) and body.get("name") == "{n}":
            body = {**body, "name": f"class {next(self._numbers)}"}
        answer = await (api or self._api).request(method, f"/api/v1{path}", json=body)
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

    async def _classes(self) -> list[str]:
        return [await self._class(), await self._class()]

    async def _ten(self) -> list[int]:
        return [await self.drawn() for _ in range(10)]

    async def _another(self) -> str:
        made = (await self.send("POST", "/datasets", {"name": "Another", "task_types": ["detection"]})).json()["id"]
        project: str = (await self.send("GET", f"/datasets/{made}/project")).json()["id"]
        return project

    async def _shared(self) -> str:
        project = await self._another()
        body = {"user_email": self._colleague.email, "role": "annotator"}
        await self.send("POST", f"/projects/{project}/permissions", body)
        return project

    async def _dismissed(self) -> None:
        members = f"/projects/{self._project}/permissions"
        if any(one["user_id"] == self._colleague.user_id for one in (await self.send("GET", members)).json()):
            await self.send("DELETE", f"{members}/{self._colleague.user_id}")
        sent = (await self.send("GET", "/invitations?type=sent&status=pending")).json()["invitations"]
        for one in sent:
            await self.send("POST", f"/invitations/{one['id']}/cancel", {})

    async def _hired(self) -> None:
        await self._dismissed()
        body = {"user_email": self._colleague.email, "role": "annotator"}
        await self.send("POST", f"/projects/{self._project}/permissions", body)

    async def _invited(self) -> int:
        await self._dismissed()
        body = {"project_id": self._project, "invitee_user_id": self._colleague.user_id, "role": "annotator"}
        made: int = (await self.send("POST", "/invitations", body)).json()["id"]
        return made

    async def _token(self) -> str:
        await self._invited()
        path = "/invitations?type=received&status=pending"
        received = (await self.send("GET", path, api=self._colleague.api)).json()["invitations"]
        token: str = received[0]["token"]
        return token
