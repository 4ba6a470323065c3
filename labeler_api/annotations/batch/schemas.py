"""Wire types of what is done to many annotations at once."""

from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.annotations.editing.schemas import AnnotationCreate

# What one transaction makes in a few seconds; the project's other writers wait for it.
MAX_ITEMS = 10_000


# Ten thousand annotations of a kilobyte; a polygon of fifty points has about that.
MAX_BATCH_BYTES = 16 * 1024 * 1024


class BatchCreate(Struct):
    """New annotations, of one project or of several."""

    annotations: Annotated[list[AnnotationCreate], Meta(max_length=MAX_ITEMS)]


class BatchResponse(Struct):
    """What became of a batch: the ids of what was made in the order of the items, and a sentence for each refused."""

    created: int
    failed: int
    annotation_ids: list[int]
    errors: list[str]
