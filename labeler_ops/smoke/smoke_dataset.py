"""What the steps work on: the deployment, and the dataset that they make and take away again."""

import asyncio
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from labeler_ops.smoke.deployment import Deployment, SmokeAccount, StepFailed, check, decode_json, response_summary
from labeler_ops.smoke.pictures import Picture

_LEFTOVER = re.compile(r"labeler smoke \d{8}-\d{6} [0-9a-f]{8}")
_LEFTOVER_AGE = timedelta(hours=1)  # far longer than a run takes: what is younger may belong to one that is at work
_REPEATS = 5  # of a creation whose answer was lost, while the server is still at it
_PAUSE_SECONDS = 1.0
CREATED = 201
_UNSURE_FROM, _REFUSED = 500, 503  # after another 5xx the dataset may be there or not
_NOT_FOUND = 404


def new_name() -> str:
    """Make a name by which what a killed run left is found again."""
    return f"labeler smoke {datetime.now(UTC):%Y%m%d-%H%M%S} {secrets.token_hex(4)}"


@dataclass
class SmokeDataset:
    """What a run knows. `member` is a second account, for what one alone cannot show.

    `dataset_id` is what is looked at; `made` is what this run made, and the only thing that it may take away.
    """

    deployment: Deployment
    member: SmokeAccount | None = None
    name: str = field(default_factory=new_name)
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    asked: bool = False
    made: str = ""
    dataset_id: str = ""
    project_id: str = ""
    user_id: int = 0
    class_id: str = ""
    pictures: list[Picture] = field(default_factory=list)

    async def ask_for_dataset(self) -> httpx.Response:
        """Ask to create the dataset; asking again under the same key finds the one that was made. Raises StepFailed."""
        self.asked = True
        body = {"name": self.name, "task_types": ["detection"], "visibility": "private"}
        headers = {"Idempotency-Key": self.key}
        answer = await self.deployment.send("POST", "/api/v1/datasets", json=body, headers=headers)
        self.asked = answer.status_code >= _UNSURE_FROM and answer.status_code != _REFUSED
        if answer.status_code == CREATED:
            self.made = decode_json(answer)["id"]
        return answer

    async def create_dataset(self) -> dict[str, Any]:
        """Create the dataset. Raises StepFailed."""
        answer = await self.ask_for_dataset()
        check(answer.status_code == CREATED, f"POST /api/v1/datasets: expected 201, got {response_summary(answer)}")
        self.dataset_id = self.made
        dataset: dict[str, Any] = decode_json(answer)
        return dataset

    def project(self, rest: str = "") -> str:
        """The path of something of the project."""
        return f"/api/v1/projects/{self.project_id}{rest}"

    def dataset(self, rest: str = "") -> str:
        """The path of something of the dataset."""
        return f"/api/v1/datasets/{self.dataset_id}{rest}"


async def clean_up(subject: SmokeDataset) -> str:
    """Delete the dataset with all that is in it, and what runs left that were killed. Raises StepFailed."""
    await _find_lost(subject)
    if not subject.made:
        return "nothing was made"
    await _delete(subject.deployment, subject.made, subject.name)
    await subject.deployment.expect("GET", f"/api/v1/datasets/{subject.made}", _NOT_FOUND)
    notes = ["the dataset is deleted"]
    for dataset_id, name in await _leftovers(subject):
        await _delete(subject.deployment, dataset_id, name)
        notes.append(f"{name!r}, which an earlier run left, is deleted")
    return "; ".join(notes)


async def _find_lost(subject: SmokeDataset) -> None:
    """Learn the id of a dataset whose creation was not answered: the same key gives the same dataset."""
    for _ in range(_REPEATS):
        if not subject.asked:
            return
        with suppress(StepFailed):
            await subject.ask_for_dataset()
        if subject.asked:
            await asyncio.sleep(_PAUSE_SECONDS)
    check(not subject.asked, f"whether the dataset {subject.name!r} was made is not known: look, and delete it")


async def _delete(deployment: Deployment, dataset_id: str, name: str) -> None:
    """Delete a dataset, unless it is gone. The API asks for its name, so another's is never taken for ours."""
    path = f"/api/v1/datasets/{dataset_id}"
    if (await deployment.send("GET", path)).status_code != _NOT_FOUND:
        await deployment.ask("DELETE", path, json={"dataset_name_confirmation": name})


async def _leftovers(subject: SmokeDataset) -> list[tuple[str, str]]:
    before = datetime.now(UTC) - _LEFTOVER_AGE
    return [
        (one["id"], one["name"])
        for one in await subject.deployment.ask("GET", "/api/v1/datasets")
        if one["owner_id"] == subject.user_id
        and _LEFTOVER.fullmatch(one["name"])
        and datetime.fromisoformat(one["created_at"]) < before
    ]
