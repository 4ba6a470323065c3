"""Image locks (contract 55-58)."""

from labeler_api.context import Call
from labeler_api.http.endpoint import endpoint
from labeler_api.locks import service
from labeler_api.locks.schemas import AcquireResponse, HeartbeatResponse, ImageId, LockListResponse, ReleaseResponse


async def acquire(call: Call, project_id: str, image_id: ImageId) -> AcquireResponse:
    """Take an image to work on, or learn who has it

    The lock lives for five minutes from the last acquire, heartbeat or write of its holder.
    """
    return await service.acquire(call, project_id, image_id)


async def release(call: Call, project_id: str, image_id: ImageId) -> ReleaseResponse:
    """Give an image back"""
    return await service.release(call, project_id, image_id)


async def heartbeat(call: Call, project_id: str, image_id: ImageId) -> HeartbeatResponse:
    """Go on holding an image

    A lock that has expired is not revived: the answer is then `not_locked` or `not_owner`.
    """
    return await service.heartbeat(call, project_id, image_id)


async def list_locks(call: Call, project_id: str) -> LockListResponse:
    """List who works on which image of a project"""
    return await service.page(call, project_id)


routes = [
    endpoint("POST", "/image-locks/{project_id}/{image_id:path}/acquire", acquire, errors=(403, 404)),
    endpoint("POST", "/image-locks/{project_id}/{image_id:path}/heartbeat", heartbeat, errors=(403, 404)),
    endpoint("DELETE", "/image-locks/{project_id}/{image_id:path}", release, errors=(403, 404)),
    endpoint("GET", "/image-locks/{project_id}", list_locks, etag=True, errors=(404,)),
]
