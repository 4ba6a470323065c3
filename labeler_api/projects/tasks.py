"""The tasks that a project may have, and what each is configured with at first."""

from typing import Literal, get_args

TaskType = Literal["classification", "detection", "segmentation", "geometry", "keypoint", "line"]
TASK_TYPES: tuple[str, ...] = get_args(TaskType)

# Written when a dataset is created with these tasks (contract#datasets).
_AT_CREATION: dict[str, dict[str, object]] = {
    "detection": {"type": "bbox"},
    "segmentation": {"type": "polygon"},
    "classification": {"type": "single"},
    "geometry": {"type": "line"},
}

# Written when a task is added to a project (contract#projects).
_WHEN_ADDED: dict[str, dict[str, object]] = {
    "detection": {"show_labels": True, "show_confidence": False},
    "segmentation": {"show_labels": True, "show_confidence": False},
    "classification": {"multi_label": False, "show_confidence": False},
}


def config_at_creation(task_type: str) -> dict[str, object]:
    """Return the configuration of a task that a new dataset starts with."""
    return _AT_CREATION.get(task_type, {})


def config_when_added(task_type: str) -> dict[str, object]:
    """Return the configuration of a task that is added later."""
    return _WHEN_ADDED.get(task_type, {})
