"""A whole project as the source of one DICE file: every task, every draft."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from labeler_api.db.pool import Row, Snapshot
from labeler_api.deletion.backup import store
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Annotation, Header, LabeledImage

_WITHOUT_TASKS = "detection"  # the word for a project that has none, as in every DICE file of old

_annotation = msgspec.json.Decoder(Annotation)
_tasks = msgspec.json.Decoder(dict[str, dict[str, dict[str, Any]]])
_used = msgspec.json.Decoder(list[tuple[str | None, str | None]])


class AllTasks:
    """The annotations of a project, from a snapshot; `yielded` counts them."""

    def __init__(self, snapshot: Snapshot, project_id: str, dataset_id: str, header: Header) -> None:
        self._snapshot, self._project_id, self._dataset_id = snapshot, project_id, dataset_id
        self.header = header
        self.yielded = 0

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        """Yield every annotation, by image and id."""
        async for annotation in store.annotations(self._snapshot, self._project_id, self._dataset_id):
            self.yielded += 1
            yield _annotation.decode(annotation)

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        """Yield nothing: a DICE file is made of annotations alone."""
        for image in list[LabeledImage]():
            yield image


def dice_header(dataset_id: str, row: Row, content: Row, emails: Mapping[int, str]) -> Header:
    """Say what the file says once. Its classes are those of every task, numbered through, task after task."""
    return Header(
        project_name=row["project_name"],
        project_description=row["project_description"],
        project_created_at=row["project_created_at"],
        dataset_id=dataset_id,
        dataset_name=row["dataset_name"],
        task_type=next(iter(row["task_types"]), _WITHOUT_TASKS),
        version_created_at=row["now"],
        annotation_count=content["annotations"],
        image_count=content["images"],
        classes=ClassList(_listed(row), _used.decode(content["used_classes"])),
        emails=emails,
    )


def _listed(row: Row) -> dict[str, dict[str, Any]]:
    """Every class under `task:id`, in an order of its own: by task, and within it as the task has it."""
    stored = _tasks.decode(row["task_classes"])
    order = {task: number for number, task in enumerate(row["task_types"])}
    listed: dict[str, dict[str, Any]] = {}
    for task in sorted(stored, key=lambda name: (order.get(name, len(order)), name)):
        for class_id in sorted(stored[task], key=lambda key: (stored[task][key].get("order") or 0, key)):
            listed[f"{task}:{class_id}"] = {**stored[task][class_id], "order": len(listed)}
    return listed
