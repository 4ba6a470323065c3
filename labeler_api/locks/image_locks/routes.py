"""Image locks (calls 55 to 60, contract#image-locks)."""

from labeler_api.context import Call
from labeler_api.errors import Forbidden, NotFound
from labeler_api.http.endpoint import endpoint, links_to
from labeler_api.locks.image_locks import service
from labeler_api.locks.image_locks.schemas import (
    AcquireResponse,
    ForceResponse,
    HeartbeatResponse,
    ImageId,
    LockInfo,
    LockListResponse,
    ReleaseResponse,
)


async def acquire(call: Call, project_id: str, image_id: ImageId) -> AcquireResponse:
    """Take an image to work on, or learn who has it

    The lock lives for five minutes from the last acquire, heartbeat or write of its holder. An image that the dataset
    does not have is a 404; the other calls about its lock answer that there is none.
    """
    return await service.acquire(call, project_id, image_id)


async def release(call: Call, project_id: str, image_id: ImageId) -> ReleaseResponse:
    """Give an image back

    The `status` says what became of it: `not_locked`, too, for an image that the dataset does not have.
    """
    return await service.release(call, project_id, image_id)


async def heartbeat(call: Call, project_id: str, image_id: ImageId) -> HeartbeatResponse:
    """Go on holding an image

    A lock that has expired is not revived: the answer is then `not_locked` or `not_owner`.
    """
    return await service.heartbeat(call, project_id, image_id)


async def list_locks(call: Call, project_id: str) -> LockListResponse:
    """List who works on which image of a project"""
    return await service.page(call, project_id)


async def status(call: Call, project_id: str, image_id: ImageId) -> LockInfo | None:
    """Say who holds an image

    `null` when nobody does, or when the dataset does not have the image.
    """
    return await service.status(call, project_id, image_id)


async def force(call: Call, project_id: str, image_id: ImageId) -> ForceResponse:
    """Free an image that somebody else holds

    What the holder saves from then on needs a lock of their own again. The `status` is `not_locked` when nobody
    holds the image, or when the dataset does not have it.
    """
    return await service.force(call, project_id, image_id)


_AFTER_ACQUIRE = [
    *links_to(
        {"project_id": "$request.path.project_id", "image_id": "$request.path.image_id"},
        "locks_heartbeat",
        "locks_status",
        "locks_release",
        "locks_force",
    ),
]

routes = [
    endpoint(
        "POST",
        "/image-locks/{project_id}/{image_id:path}/acquire",
        acquire,
        links=_AFTER_ACQUIRE,
        errors=(Forbidden, NotFound),
    ),
    endpoint("POST", "/image-locks/{project_id}/{image_id:path}/heartbeat", heartbeat, errors=(Forbidden, NotFound)),
    endpoint("DELETE", "/image-locks/{project_id}/{image_id:path}", release, errors=(Forbidden, NotFound)),
    endpoint("DELETE", "/image-locks/{project_id}/{image_id:path}/force", force, errors=(Forbidden, NotFound)),
    endpoint("GET", "/image-locks/{project_id}/{image_id:path}/status", status, errors=(NotFound,)),
    endpoint("GET", "/image-locks/{project_id}", list_locks, etag=True, errors=(NotFound,)),
]
