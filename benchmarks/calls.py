"""The calls that the frontend makes most: on loading the dashboard and the annotation page, and while somebody works."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

VARIANTS = 256  # one image and one annotation for each connection, so that writers do not wait for one row


@dataclass(frozen=True)
class Ask:
    """A call in as many variants as connections shall differ in; connection n sends variant n modulo their number.

    `status` is what it has to answer, None for anything that is 2xx.
    """

    name: str
    method: str
    paths: Sequence[str]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def content(self, variant: int) -> bytes:
        """The JSON body of a variant; `$` in a string stands for the variant's number."""
        if self.body is None:
            return b""
        return json.dumps(self.body).replace("$", str(variant + 1)).encode()


async def asks(api: httpx.AsyncClient, dataset: str, project: str, annotation_ids: Sequence[int]) -> list[Ask]:
    """List the calls for a filled project. Whoever writes to it makes the tag of the unchanged page an old one."""
    geometry = {"type": "bbox", "bbox": [10.5, 20.5, 99.0, 51.0], "image_width": 640, "image_height": 480}
    created = {"project_id": project, "image_id": "train/$", "annotation_type": "bbox", "geometry": geometry}
    everything = f"/api/v1/annotations/project/{project}?skip=0&limit=1000"
    tag = (await api.get(everything)).raise_for_status().headers["ETag"]
    locks = [f"/api/v1/image-locks/{project}/train%2F{number + 1}" for number in range(VARIANTS)]
    return [
        Ask("me", "GET", ["/api/v1/auth/me"]),
        Ask("invitations, received", "GET", ["/api/v1/invitations?type=received&status=pending"]),
        Ask("project of a dataset", "GET", [f"/api/v1/datasets/{dataset}/project"]),
        Ask("50 images", "GET", [f"/api/v1/projects/{project}/images?limit=50&offset=0"]),
        Ask("50 statuses", "GET", [f"/api/v1/projects/{project}/images/status?task_type=detection&limit=50&offset=0"]),
        Ask("annotations, one image", "GET", [f"/api/v1/annotations/project/{project}?limit=1000&image_id=train/7"]),
        Ask("annotations, 1 000", "GET", [everything]),
        Ask("annotations, unchanged", "GET", [everything], headers={"If-None-Match": tag}, status=304),
        Ask("locks", "GET", [f"/api/v1/image-locks/{project}"]),
        Ask("acquire a lock", "POST", [f"{lock}/acquire" for lock in locks], {}),
        Ask("move a box", "PUT", [f"/api/v1/annotations/{one}" for one in annotation_ids], {"geometry": geometry}),
        Ask("draw a box", "POST", ["/api/v1/annotations"] * VARIANTS, created),
    ]
