"""Confirming: one annotation, or all of an image. No write in the sense of locks (contract, section 15, locks)."""

from labeler_api.annotations import store_confirm, store_status
from labeler_api.annotations.schemas import ConfirmResponse, name_of
from labeler_api.annotations.schemas_status import ImageConfirmResponse, image_confirm
from labeler_api.annotations.service import lock_project, no_annotation, require_editable
from labeler_api.annotations.store_status import Mark, Touched
from labeler_api.context import Call
from labeler_api.errors import BadRequest
from labeler_api.members.policy import Role
from labeler_api.members.service import require_role


async def confirm(call: Call, annotation_id: int) -> ConfirmResponse:
    """Confirm an annotation; after the task's last draft on the image this confirms the image, too."""
    return await _set_state(call, annotation_id, "confirmed", Mark.CONFIRM_IF_COMPLETE)


async def unconfirm(call: Call, annotation_id: int) -> ConfirmResponse:
    """Make an annotation a draft again; the image is no longer confirmed in that task."""
    return await _set_state(call, annotation_id, "draft", Mark.CLEAR)


async def confirm_image(call: Call, project: str, image_id: str, task_type: str | None) -> ImageConfirmResponse:
    """Confirm an image in a task, or in each task that has annotations on it, and the drafts with it."""
    async with call.db.begin() as tx:
        access = await require_role(tx, call, project, Role.REVIEWER)
        await lock_project(tx, access)
        tasks = await store_confirm.confirm_drafts(tx, access.project, image_id, task_type, call.user_id)
        if not tasks:
            what = f"no annotation of the task {task_type!r}" if task_type else "no annotation"
            raise BadRequest(f"The image {image_id!r} has {what} to confirm.", code="nothing_to_confirm")
        touched = [Touched(image_id, task, Mark.CONFIRM) for task in tasks]
        rows = await store_status.settle(tx, access.project, touched, call.user_id)
    return image_confirm(image_id, rows)


async def _set_state(call: Call, annotation_id: int, state: str, mark: Mark) -> ConfirmResponse:
    async with call.db.begin() as tx:
        _, access = await require_editable(tx, call, annotation_id)
        await lock_project(tx, access)
        row = await store_confirm.set_state(tx, annotation_id, state, call.user_id)
        if row is None:
            raise no_annotation(annotation_id)
        touched = [Touched(row["image_id"], row["task_type"], mark)]
        await store_status.settle(tx, access.project, touched, call.user_id)
    ids = [row["confirmed_by"]] if row["confirmed_by"] is not None else []
    users = await call.directory.get_many(ids, timeout=call.remaining_seconds)
    return ConfirmResponse(
        annotation_id=row["id"],
        annotation_state=row["annotation_state"],
        confirmed_at=row["confirmed_at"],
        confirmed_by=row["confirmed_by"],
        confirmed_by_name=name_of(users, row["confirmed_by"]),
    )
