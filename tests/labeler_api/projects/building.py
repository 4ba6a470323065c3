"""Rows that the tests of projects need."""

from collections.abc import Iterable

from tests.fixtures.api import Api, Made

KEYS = {
    "id", "name", "description", "dataset_id", "owner_id", "task_types", "task_config", "task_classes", "settings",
    "total_images", "annotated_images", "total_annotations", "status", "created_at", "updated_at", "last_updated_by",
    "dataset_name", "dataset_num_items", "last_updated_by_name", "last_updated_by_email",
}  # fmt: skip


async def annotate(api: Api, made: Made, boxes: Iterable[tuple[str, str, str | None]]) -> None:
    """Insert annotations, one for each (image id, task type, class id)."""
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO annotations (project_id, image_id, task_type, annotation_type, class_id, geometry, created_by)"
            " VALUES ($1, $2, $3, 'bbox', $4, '{\"type\": \"bbox\"}', 2)",
            [(made.project_id, *box) for box in boxes],
        )


def stored_class(order: int = 0, name: str = "scratch") -> dict[str, object]:
    """A class as it is stored."""
    return {
        "name": name,
        "color": "#ff0000",
        "description": None,
        "order": order,
        "image_count": 0,
        "bbox_count": 0,
    }
