"""The parts of a class, wherever one is sent."""

from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.names import NAME
from labeler_api.patterns import CLASS_ID, COLOR

Color = Annotated[str, Meta(max_length=60, pattern=COLOR)]
# Annotations keep the id in 50 characters and the name in 255.
ClassId = Annotated[str, Meta(min_length=1, max_length=50, pattern=CLASS_ID)]
ClassName = Annotated[str, Meta(min_length=1, max_length=255, pattern=NAME)]
ClassDescription = Annotated[str, Meta(max_length=10_000)]
# Of a task's classes together: ten thousand with a name and a colour, or some hundreds with the longest description.
MAX_CLASSES_BYTES = 4 * 1024 * 1024
ClassOrder = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class NewClass(Struct):
    """A class of a new project; without an `order` it follows those before it."""

    name: ClassName
    color: Color
    description: ClassDescription | None = None
    order: ClassOrder | None = None
