"""Uploads of images with annotations, and imports of stored annotation files (calls 14, 15, 54, contract#uploads)."""

from starlette.requests import Request

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Forbidden, Locked, NotFound, TooLarge
from labeler_api.http.endpoint import endpoint, links_to
from labeler_api.http.forms.multipart import UploadLimits, parts
from labeler_api.imports.schemas import (
    CheckingUploadQuery,
    DatasetUploadForm,
    DatasetUploadResponse,
    ImportingUploadForm,
    ImportingUploadSummary,
    ImportQuery,
    ImportResponse,
    UploadQuery,
)
from labeler_api.imports.stored import service as stored_service
from labeler_api.imports.upload import service as upload_service


async def import_annotations(call: Call, project_id: str, query: ImportQuery) -> ImportResponse:
    """Import the dataset's annotation file

    The last one that was imported with an upload, or the file of the last published version: COCO, DICE, YOLO or
    Pascal VOC, known by its content. All of it is imported, or nothing, and the report says why; with `skip_invalid`
    what does not fit is left out and named. With `force` it replaces every annotation of the project in the same
    transaction. With `dry_run` nothing is written.
    """
    return await stored_service.import_stored(call, project_id, query)


async def upload_images(
    call: Call, dataset_id: str, query: CheckingUploadQuery, request: Request
) -> ImportingUploadSummary:
    """Upload images and ZIP archives, and annotations with them

    File names carry relative paths. A file that is not taken is listed under `failed` and does not fail the others;
    when nothing can be stored, the call is a 422. The `annotation_file` is judged before images are stored, against
    those of the dataset and of this request. When it is refused, nothing is stored, and `detail` says why. Images of
    the file that are in neither are skipped, with a warning in `import_report`, when at least one is there. With
    `skip_invalid` the file is imported without what does not fit, and `import_report` names that. With `dry_run` the
    `annotation_file` is checked against the images that the dataset has, `files` are passed over, and nothing is
    stored.
    """
    form = parts(request, _limits(call))
    if query.dry_run:
        return await upload_service.check(call, dataset_id, form, skip_invalid=query.skip_invalid)
    return await upload_service.into_dataset(call, dataset_id, form, skip_invalid=query.skip_invalid)


async def upload_dataset(call: Call, query: UploadQuery, request: Request) -> DatasetUploadResponse:
    """Create a dataset with its first images

    As creating a dataset and uploading into it. The fields of the form come before its files.
    """
    return await upload_service.into_new_dataset(call, parts(request, _limits(call)), skip_invalid=query.skip_invalid)


def _limits(call: Call) -> UploadLimits:
    return UploadLimits(files=call.settings.max_upload_files, total_bytes=call.settings.max_upload_bytes)


_AFTER_UPLOAD_DATASET = [
    *links_to({"dataset_id": "$response.body#/dataset_id"}, "datasets_get_dataset"),
    *links_to({"project_id": "$response.body#/project_id"}, "images_list_images", "imports_import_annotations"),
]

routes = [
    endpoint(
        "POST",
        "/annotations/import/project/{project_id}",
        import_annotations,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, TooLarge, Locked),
        long=True,
    ),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/images",
        upload_images,
        errors=(BadRequest, Forbidden, NotFound, TooLarge, Locked),
        multipart=ImportingUploadForm,
        long=True,
    ),
    endpoint(
        "POST",
        "/datasets/upload",
        upload_dataset,
        links=_AFTER_UPLOAD_DATASET,
        status=201,
        idempotent=True,
        errors=(BadRequest, TooLarge),
        long=True,
        multipart=DatasetUploadForm,
    ),
]
