"""Storage browsing (calls 16 and 17, contract#uploads)."""

from labeler_api.context import Call
from labeler_api.errors import Forbidden, NotFound, TooLarge
from labeler_api.http.endpoint import endpoint
from labeler_api.storage.browsing import service
from labeler_api.storage.browsing.schemas import PreviewRequest, StoragePreview, StorageStructure

_PREVIEW_BYTES = 16 * 1024 * 1024  # 50 000 files at some 300 bytes


async def get_structure(call: Call, dataset_id: str) -> StorageStructure:
    """List the folders of a dataset's images"""
    return await service.structure(call, dataset_id)


async def preview_upload(call: Call, dataset_id: str, body: PreviewRequest) -> StoragePreview:
    """Say which files of an upload are new and which replace an image

    `target_folder` is put before each `relative_path` that does not begin with it already. Names are judged as the
    upload judges them: `refused_files` says what it would not take, and why.
    """
    return await service.preview(call, dataset_id, body)


routes = [
    endpoint(
        "GET", "/datasets/{dataset_id}/storage/structure", get_structure, errors=(Forbidden, NotFound), large=True
    ),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/storage/preview",
        preview_upload,
        reads=True,
        errors=(Forbidden, NotFound, TooLarge),
        max_json_bytes=_PREVIEW_BYTES,
    ),
]
