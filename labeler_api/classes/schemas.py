"""Wire types of classes."""

from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.projects.schemas import ClassDescription, ClassId, ClassName, ClassOrder, Color

# As long as a stored id may be; one of another form is one that no class has.
ClassRef = Annotated[str, Meta(min_length=1, max_length=50)]


class TaskQuery(Struct):
    """The task that the classes belong to."""

    task_type: Annotated[str, Meta(min_length=1, max_length=50)]


class AddClass(Struct):
    """A new class; without a `class_id` it gets one of eight hexadecimal digits."""

    name: ClassName
    color: Color
    class_id: ClassId | None = None
    description: ClassDescription | None = None


class UpdateClass(Struct):
    """What to change of a class; what is null or not sent stays."""

    name: ClassName | None = None
    color: Color | None = None
    description: ClassDescription | None = None
    order: ClassOrder | None = None


class ReorderClasses(Struct):
    """The ids of the classes in their new order; those left out keep their place."""

    class_ids: Annotated[
        list[Annotated[str, Meta(max_length=50)]], Meta(max_length=10_000, extra_json_schema={"uniqueItems": True})
    ]


class ClassResponse(Struct):
    """A class of a task (contract#classes)."""

    class_id: str
    name: str
    color: str
    description: str | None
    order: int
    image_count: int
    bbox_count: int
