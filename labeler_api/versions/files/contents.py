"""What publishing and exporting decide alike: the task and format asked for, and what a file says once."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import BadRequest
from labeler_api.text.names import quoted
from labeler_api.versions.formats import EXPORT_FORMATS, Format
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Header

# The words of other services for our tasks; annotations of both names belong together (contract#exports).
_TASK_OF = {"object_detection": "detection", "keypoints": "keypoint"}

_NAMED_IMAGES = 5  # of those that are in the way, so many are named: enough to find the rest

_stored_classes = msgspec.json.Decoder(dict[str, dict[str, object]] | list[object])
_used_classes = msgspec.json.Decoder(list[tuple[str | None, str | None]])


def task_of(name: str) -> str:
    """Return our word for a task."""
    return _TASK_OF.get(name, name)


def stored_types(task_type: str) -> list[str]:
    """Return the names under which annotations of a task are stored."""
    return [task_type, *(alias for alias, task in _TASK_OF.items() if task == task_type)]


def offered(name: str, task_type: str) -> Format:
    """Find a format by its name, in any case. Raises BadRequest where there is none, or it cannot carry the task."""
    wanted = EXPORT_FORMATS.get(name.lower())
    if wanted is None:
        raise BadRequest(
            f"The format {quoted(name)} is not offered. Use one of: {', '.join(sorted(EXPORT_FORMATS))}.",
            code="format_not_offered",
        )
    if not wanted.carries(task_type):
        others = ", ".join(sorted(kind.name for kind in EXPORT_FORMATS.values() if kind.carries(task_type)))
        raise BadRequest(
            f"The format {wanted.name} cannot carry the task {task_type}. Use one of: {others}.",
            code="format_not_for_task",
        )
    return wanted


def task_missing(task_type: str, tasks: list[str]) -> BadRequest:
    """The answer to a task that the project has not."""
    return BadRequest(
        f"The project has no task {quoted(task_type)}. Its tasks: {', '.join(tasks) or 'none yet'}.",
        code="task_not_in_project",
    )


def nothing(action: str, text: str) -> BadRequest:
    """The answer where there is nothing to `publish` or `export`."""
    return BadRequest(text, code=f"nothing_to_{action}")


async def require_sizes(wanted: Format, unsized: Callable[[int], Awaitable[list[str]]]) -> None:
    """Raise BadRequest when the format needs the size of every image and `unsized` finds some without."""
    if not wanted.needs_sizes or not (found := await unsized(_NAMED_IMAGES + 1)):
        return
    named = ", ".join(found[:_NAMED_IMAGES]) + (" and more" if len(found) > _NAMED_IMAGES else "")
    raise BadRequest(
        f"The format {wanted.name} tells places in fractions of the image, and the size of these images is not known: "
        f"{named}. Whoever runs the labeler fills them in with `labeler images backfill`; until then: dice or coco.",
        code="image_size_unknown",
        image_ids=found[:_NAMED_IMAGES],
    )


async def emails(call: Call, user_ids: list[int]) -> Mapping[int, str]:
    """Look up the people whom a file names. Raises Unavailable when the gateway is away."""
    users = await call.directory.get_many(user_ids, timeout=call.remaining_seconds)
    if len(users) < len(user_ids):
        await call.directory.ping()  # raises when they are missing because nobody could be asked
    return {user_id: user.email for user_id, user in users.items()}


def header(summary: Row, *, dataset_id: str, task_type: str, made_at: datetime, people: Mapping[int, str]) -> Header:
    """Put together what a file says once."""
    listed = _stored_classes.decode(summary["listed_classes"])
    return Header(
        project_name=summary["project_name"],
        project_description=summary["project_description"],
        project_created_at=summary["project_created_at"],
        dataset_id=dataset_id,
        dataset_name=summary["dataset_name"],
        task_type=task_type,
        version_created_at=made_at,
        annotation_count=summary["annotation_count"],
        image_count=summary["image_count"],
        classes=ClassList(listed if isinstance(listed, dict) else {}, _used_classes.decode(summary["used_classes"])),
        emails=people,
    )
