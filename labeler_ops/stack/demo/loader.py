"""Loads the demo project over HTTP, as people with a browser would.

Every step looks first at what is there: a load that was cut off is finished by the next one.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Container, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from labeler_ops.errors import StackError
from labeler_ops.stack.accounts import ACCOUNTS, DemoAccount
from labeler_ops.stack.demo.labels import ANNOTATIONS, CLASS_NAMES, CLASSES, CONFIRMED, TASKS, Annotation
from labeler_ops.stack.demo.photographs import PHOTOGRAPHS

DATASET_NAME = "Demo photographs"
_DESCRIPTION = "Photographs of free licence to try the labeler with; the sources are in SOURCES.md beside them."
_MEMBERS = ("reviewer", "annotator", "viewer")
_TASK_OF = {"bbox": "detection", "polygon": "segmentation", "classification": "classification"}
_SECONDS = 120.0  # the upload makes eleven thumbnails, on a machine that is busy starting
_ALREADY = frozenset({400, 409})  # what the API answers to a member or class that is there already


async def load(api: str) -> dict[str, Any]:
    """Load what is missing of the demo project; returns its ids. Raises StackError when the API refuses."""
    try:
        async with (
            _login(api, "owner") as owner,
            _login(api, "annotator") as annotator,
            _login(api, "reviewer") as reviewer,
        ):
            dataset_id = await _dataset(owner)
            project_id = (await _ok(owner.get(f"/datasets/{dataset_id}/project")))["id"]
            await _photographs(owner, dataset_id)
            await _classes(owner, project_id)
            await _members(owner, project_id)
            await _annotations(annotator, project_id)
            await _confirm(reviewer, project_id)
    except httpx.HTTPError as error:
        raise StackError(f"the demo data could not be loaded, the API does not answer: {error!r}") from error
    return {"dataset_id": dataset_id, "project_id": project_id}


@asynccontextmanager
async def _login(api: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
    account = _account(role)
    async with httpx.AsyncClient(base_url=f"{api}/api/v1", timeout=_SECONDS, trust_env=False) as client:
        body = {"email": account.email, "password": account.password}
        token = (await _ok(client.post("/auth/login", json=body)))["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def _dataset(owner: httpx.AsyncClient) -> str:
    mine = _account("owner").user_id
    for dataset in await _ok(owner.get("/datasets", params={"limit": 100})):
        if dataset["name"] == DATASET_NAME and dataset["owner_id"] == mine:
            return str(dataset["id"])
    body = {"name": DATASET_NAME, "description": _DESCRIPTION, "task_types": TASKS, "visibility": "private"}
    return str((await _ok(owner.post("/datasets", json=body)))["id"])


async def _photographs(owner: httpx.AsyncClient, dataset_id: str) -> None:
    """Upload all of them: a repeated path replaces the object and keeps one row."""
    contents = await asyncio.gather(*(asyncio.to_thread(one.read) for one in PHOTOGRAPHS))
    files = [("files", (one.path, content)) for one, content in zip(PHOTOGRAPHS, contents, strict=True)]
    summary = await _ok(owner.post(f"/datasets/{dataset_id}/images", files=files))
    if summary["failed"]:
        raise StackError(f"the API refuses photographs of the demo project: {summary['failed']}")


async def _classes(owner: httpx.AsyncClient, project_id: str) -> None:
    for one in CLASSES:
        body = {"class_id": one.class_id, "name": one.name, "color": one.color}
        await _ok(owner.post(f"/projects/{project_id}/classes", params={"task_type": one.task}, json=body), _ALREADY)


async def _members(owner: httpx.AsyncClient, project_id: str) -> None:
    for role in _MEMBERS:
        body = {"user_email": _account(role).email, "role": role}
        await _ok(owner.post(f"/projects/{project_id}/permissions", json=body), _ALREADY)


async def _annotations(annotator: httpx.AsyncClient, project_id: str) -> None:
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in ANNOTATIONS:
        by_image[annotation.image_id].append(annotation)
    for image_id, wanted in by_image.items():
        made = await _ok(annotator.get(f"/annotations/project/{project_id}", params={"image_id": image_id}))
        # They are made in this order, so those that are there are the first ones.
        await _annotate(annotator, project_id, wanted[len(made) :])
        # Release the image at once: the first person who opens it should not wait until the lock expires.
        await _ok(annotator.delete(f"/image-locks/{project_id}/{quote(image_id, safe='')}"))


async def _annotate(annotator: httpx.AsyncClient, project_id: str, annotations: Sequence[Annotation]) -> None:
    for one in annotations:
        body = {
            "project_id": project_id,
            "image_id": one.image_id,
            "annotation_type": one.kind,
            "geometry": one.geometry,
            "class_id": one.class_id,
            "class_name": CLASS_NAMES[_TASK_OF[one.kind], one.class_id],
        }
        await _ok(annotator.post("/annotations", json=body))


async def _confirm(reviewer: httpx.AsyncClient, project_id: str) -> None:
    image_id, task = CONFIRMED
    path = f"/projects/{project_id}/images/{quote(image_id)}/confirm"
    await _ok(reviewer.post(path, params={"task_type": task}, json={}))


def _account(role: str) -> DemoAccount:
    return next(account for account in ACCOUNTS if account.role == role)


async def _ok(request: Awaitable[httpx.Response], also: Container[int] = ()) -> Any:
    response = await request
    if response.is_success:
        return response.json() if response.content else None
    if response.status_code in also:
        return None
    raise StackError(
        f"the demo data could not be loaded: {response.request.method} {response.request.url.path}"
        f" answers {response.status_code}: {response.text[:500]}"
    )
