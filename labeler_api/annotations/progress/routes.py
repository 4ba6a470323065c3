"""How far the work is: statuses of images, statistics of tasks."""

from labeler_api.annotations.progress import service as progress_service
from labeler_api.annotations.progress.schemas import ImageStatusList, ProjectStats, StatusQuery
from labeler_api.context import Call
from labeler_api.http.endpoint import Encoded, Reply


async def list_statuses(call: Call, project_id: str, query: StatusQuery) -> Reply[ImageStatusList]:
    """List the status of each image of a project

    In the order of the list of images, so that pages of both line up. Behind the page stand, in the same order, the
    other images that somebody began, 10 000 at most: whatever is missing is not started. A page that a `cursor` leads
    to stands alone. The ETag follows the project's revision and that of its images.
    """
    encoded, etag = await progress_service.page(call, project_id, query)
    return Reply(Encoded(b"") if encoded is None else encoded, {"ETag": etag})


async def stats(call: Call, project_id: str) -> ProjectStats:
    """Count the images of each task by progress"""
    return await progress_service.stats(call, project_id)
