"""Wire types of classes."""

from typing import Annotated

from msgspec import Meta, Struct

# What the frontend sends is #rrggbb; the other forms of CSS are what older clients may have.
Color = Annotated[
    str, Meta(max_length=60, pattern=r"^(#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,30}|(rgb|hsl)a?\([0-9a-z.,%/ -]{1,45}\))$")
]
# Annotations keep the id in 50 characters and the name in 255.
ClassId = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]+$")]
ClassName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=10_000)]


class TaskQuery(Struct):
    """The task that the classes belong to."""

    task_type: Annotated[str, Meta(min_length=1, max_length=50)]


class AddClass(Struct):
    """A new class; without a `class_id` it gets one of eight hexadecimal digits."""

    name: ClassName
    color: Color
    class_id: ClassId | None = None
    description: Description | None = None


class ReorderClasses(Struct):
    """The ids of the classes in their new order; those left out keep their place."""

    class_ids: Annotated[list[Annotated[str, Meta(max_length=50)]], Meta(max_length=10_000)]


class ClassResponse(Struct):
    """A class of a task (contract, 6.3)."""

    class_id: str
    name: str
    color: str
    description: str | None
    order: int
    image_count: int
    bbox_count: int
