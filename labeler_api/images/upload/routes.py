"""Uploads of images, and of annotations with them (calls 14 and 15, contract#uploads)."""

from starlette.requests import Request
from starlette.routing import Route

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Forbidden, Locked, NotFound, TooLarge
from labeler_api.http.endpoint import endpoint, links_to
from labeler_api.http.forms.multipart import UploadLimits, parts
from labeler_api.images.upload import service
from labeler_api.images.upload.files import AnnotationFiles
from labeler_api.images.upload.schemas import (
    CheckingUploadQuery,
    DatasetUploadForm,
    DatasetUploadResponse,
    ImportingUploadForm,
    ImportingUploadSummary,
    UploadQuery,
)

_TAG = "imports"  # the group of the OpenAPI document in which clients find uploads and imports together
_AFTER_UPLOAD_DATASET = [
    *links_to({"dataset_id": "$response.body#/dataset_id"}, "datasets_get_dataset"),
    *links_to({"project_id": "$response.body#/project_id"}, "images_list_images", "imports_import_annotations"),
]


class _Uploads:
    """The handlers. `annotation_file` makes what reads the annotation file of a form; imports knows how."""

    def __init__(self, annotation_file: AnnotationFiles) -> None:
        self._annotation_file = annotation_file

    async def upload_images(
        self, call: Call, dataset_id: str, query: CheckingUploadQuery, request: Request
    ) -> ImportingUploadSummary:
        """Upload images and ZIP archives, and annotations with them

        File names carry relative paths. A file that is not taken is listed under `failed` and does not fail the others;
        when nothing can be stored, the call is a 422. The `annotation_file` is judged before images are stored, against
        those of the dataset and of this request. When it is refused, nothing is stored, and `detail` says why. Images
        of the file that are in neither are skipped, with a warning in `import_report`, when at least one is there. With
        `skip_invalid` the file is imported without what does not fit, and `import_report` names that. With `dry_run`
        the `annotation_file` is checked against the images that the dataset has, `files` are passed over, and nothing
        is stored.
        """
        form = parts(request, _limits(call))
        if query.dry_run:
            return await service.check(call, dataset_id, form, self._annotation_file, skip_invalid=query.skip_invalid)
        return await service.into_dataset(
            call, dataset_id, form, self._annotation_file, skip_invalid=query.skip_invalid
        )

    async def upload_dataset(self, call: Call, query: UploadQuery, request: Request) -> DatasetUploadResponse:
        """Create a dataset with its first images

        As creating a dataset and uploading into it. The fields of the form come before its files.
        """
        return await service.into_new_dataset(
            call, parts(request, _limits(call)), self._annotation_file, skip_invalid=query.skip_invalid
        )


def _limits(call: Call) -> UploadLimits:
    return UploadLimits(files=call.settings.max_upload_files, total_bytes=call.settings.max_upload_bytes)


def routes_with(annotation_file: AnnotationFiles) -> list[Route]:
    """Make the routes. The composition root passes in what is to be done with annotation files."""
    uploads = _Uploads(annotation_file)
    return [
        endpoint(
            "POST",
            "/datasets/{dataset_id}/images",
            uploads.upload_images,
            tag=_TAG,
            errors=(BadRequest, Forbidden, NotFound, TooLarge, Locked),
            multipart=ImportingUploadForm,
            long=True,
        ),
        endpoint(
            "POST",
            "/datasets/upload",
            uploads.upload_dataset,
            tag=_TAG,
            links=_AFTER_UPLOAD_DATASET,
            status=201,
            idempotent=True,
            errors=(BadRequest, TooLarge),
            long=True,
            multipart=DatasetUploadForm,
        ),
    ]
