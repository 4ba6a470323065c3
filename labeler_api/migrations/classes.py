"""The one form of a project's classes: `{task: {class id: {name, color, description, order, image_count, bbox_count}}}`."""

from typing import Any

_DEFAULT_COLOR = "#000000"  # what exports say of a class without a colour


def as_objects(stored: Any, task_types: list[str]) -> dict[str, dict[str, Any]]:
    """Bring stored classes into form. A list becomes an object by class id; nothing that was stored is dropped.

    A list in place of the whole belongs to the project's first task.
    """
    if isinstance(stored, list):
        stored = {task_types[0] if task_types else "detection": stored} if stored else {}
    if not isinstance(stored, dict):
        return {}
    return {task: _of_task(classes) for task, classes in stored.items()}


def _of_task(classes: Any) -> dict[str, Any]:
    if isinstance(classes, list):
        classes = _by_id(classes)
    if not isinstance(classes, dict):
        return {}
    orders = [info.get("order") for info in classes.values() if isinstance(info, dict)]
    free = max((order for order in orders if isinstance(order, int)), default=-1) + 1
    mended: dict[str, Any] = {}
    for class_id, info in classes.items():
        mended[class_id] = _whole(class_id, info, free)
        free += mended[class_id]["order"] == free
    return mended


def _by_id(listed: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, item in enumerate(listed):
        info = dict(item) if isinstance(item, dict) else {"name": str(item)}
        class_id = info.pop("id", info.pop("class_id", None))
        key = str(index if class_id is None else class_id)
        while key in found:  # two classes of one id: both are kept, the later one under a longer id
            key += "_"
        found[key] = info
    return found


def _whole(class_id: str, info: Any, free_order: int) -> dict[str, Any]:
    whole: dict[str, Any] = (
        dict(info) if isinstance(info, dict) else {"name": str(info if info is not None else class_id)}
    )
    defaults = {
        "name": class_id,
        "color": _DEFAULT_COLOR,
        "description": None,
        "order": free_order,
        "image_count": 0,
        "bbox_count": 0,
    }
    for field, default in defaults.items():
        if whole.get(field) is None:
            whole[field] = default
    return whole
