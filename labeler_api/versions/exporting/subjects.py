"""What an export is about: the annotations of a task as they are now, of all images or of some; or a version."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from labeler_api.db.pool import Row, Snapshot
from labeler_api.errors import AppError, BadRequest, NotFound
from labeler_api.members.authorization.service import Access
from labeler_api.versions.exporting import store
from labeler_api.versions.files import contents, file_writing
from labeler_api.versions.files import store as files_store
from labeler_api.versions.formats.source import Header
from labeler_api.versions.publishing import store as publishing_store
from labeler_api.versions.schemas import ExportRequest

_NAMED_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported, in any snapshot. `nothing` makes the error for a summary that counts nothing."""

    project_id: str
    dataset_id: str
    task_type: str
    summary: Callable[[Snapshot], Awaitable[Row | None]]
    unsized: Callable[[Snapshot, int], Awaitable[list[str]]]
    source: Callable[[Snapshot, Header], file_writing.StoredSource]
    pictures: Callable[[Snapshot, str], AsyncIterator[Row]]
    nothing: Callable[[Row], AppError]


async def find(snapshot: Snapshot, access: Access, body: ExportRequest) -> Subject:
    """Find out what a request is about. Raises BadRequest for images that are not there, NotFound for a version."""
    if body.version_id is not None:
        return await _of_version(snapshot, access, body, body.version_id)
    task_type = contents.task_of(
        body.task_type or await files_store.first_task(snapshot, access.require_project_id()) or "detection"
    )
    if body.image_ids is not None:
        await _require_images(snapshot, access.dataset_id, body.image_ids)
    chosen = store.Chosen(
        project_id=access.require_project_id(),
        dataset_id=access.dataset_id,
        stored_types=contents.stored_types(task_type),
        include_draft=body.include_draft,
        image_ids=body.image_ids,
    )
    return Subject(
        project_id=access.require_project_id(),
        dataset_id=access.dataset_id,
        task_type=task_type,
        summary=lambda snapshot: store.summary_of(snapshot, chosen, task_type),
        unsized=lambda snapshot, limit: store.unsized(snapshot, chosen, limit),
        source=lambda snapshot, header: file_writing.StoredSource(
            header,
            partial(store.annotations, snapshot, chosen),
            partial(store.images, snapshot, chosen),
        ),
        pictures=lambda snapshot, after: store.chosen(snapshot, chosen, after),
        nothing=partial(_nothing, chosen, task_type),
    )


async def _of_version(snapshot: Snapshot, access: Access, body: ExportRequest, version_id: int) -> Subject:
    if body.image_ids is not None or body.include_draft:
        raise BadRequest(
            "A version is exported as it was published. Leave out image_ids and include_draft, or version_id.",
            code="version_is_whole",
        )
    version = await store.version(snapshot, version_id, access.require_project_id(), access.dataset_id)
    if version is None or (body.task_type is not None and contents.task_of(body.task_type) != version.task_type):
        of_task = "" if body.task_type is None else f" of {body.task_type}"
        raise NotFound(f"The project has no version{of_task} of this id.", code="version_not_found")
    return Subject(
        project_id=access.require_project_id(),
        dataset_id=access.dataset_id,
        task_type=version.task_type,
        summary=lambda snapshot: store.summary_of_version(snapshot, version),
        unsized=lambda snapshot, limit: publishing_store.frozen_unsized(snapshot, version.id, limit),
        source=lambda snapshot, header: file_writing.frozen(snapshot, version.id, header),
        pictures=lambda snapshot, after: store.frozen(snapshot, version, after),
        nothing=lambda _: contents.nothing("export", "The version has no annotations: there is nothing to export."),
    )


async def _require_images(snapshot: Snapshot, dataset_id: str, image_ids: list[str]) -> None:
    unknown = await files_store.unknown_images(snapshot, dataset_id, image_ids, _NAMED_IMAGES + 1)
    if unknown:
        named = ", ".join(unknown[:_NAMED_IMAGES]) + (" and more" if len(unknown) > _NAMED_IMAGES else "")
        raise BadRequest(
            f"The dataset has no images of these ids: {named}. Send ids as the list of images tells them.",
            code="image_not_found",
            image_ids=unknown[:_NAMED_IMAGES],
        )


def _nothing(chosen: store.Chosen, task_type: str, summary: Row) -> AppError:
    if task_type not in summary["task_types"]:
        return contents.task_missing(task_type, summary["task_types"])
    where = "" if chosen.image_ids is None else " on these images"
    if chosen.include_draft:
        return contents.nothing(
            "export", f"There are no annotations of {task_type}{where}: there is nothing to export."
        )
    return contents.nothing(
        "export",
        f"No annotation of {task_type}{where} is confirmed yet. Confirm some first, or include the drafts.",
    )
