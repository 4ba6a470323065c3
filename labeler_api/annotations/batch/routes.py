"""Create many annotations at once."""

from labeler_api.annotations.batch import service as batch_service
from labeler_api.annotations.batch.schemas import BatchCreate, BatchResponse
from labeler_api.context import Call


async def create_batch(call: Call, body: BatchCreate) -> BatchResponse:
    """Create many annotations

    Up to 10 000, of one project or of several. Each item is judged for itself: what is refused is counted in `failed`
    and has a sentence in `errors`, which begins with its index; the others are made, all of them or none.
    """
    return await batch_service.create(call, body)
