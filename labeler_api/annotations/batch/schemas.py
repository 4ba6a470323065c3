"""Wire types of what is done to many annotations at once."""

from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.annotations.editing.schemas import AnnotationCreate, AnnotationId, ConfirmResponse

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


class BulkConfirm(Struct):
    """The annotations to confirm; one that is named twice is confirmed once."""

    annotation_ids: Annotated[list[AnnotationId], Meta(max_length=MAX_ITEMS)]


class BulkConfirmResponse(Struct):
    """What became of each annotation: its state, or a sentence that says why it stayed as it is."""

    confirmed: int
    failed: int
    results: list[ConfirmResponse]
    errors: list[str]
