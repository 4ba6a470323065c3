"""Import the annotation file that a dataset has (call 54, contract#uploads)."""

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Forbidden, Locked, NotFound, TooLarge
from labeler_api.http.endpoint import endpoint
from labeler_api.imports.stored import service
from labeler_api.imports.stored.schemas import ImportQuery, ImportResponse


async def import_annotations(call: Call, project_id: str, query: ImportQuery) -> ImportResponse:
    """Import the dataset's annotation file

    The last one that was imported with an upload, or the file of the last published version: COCO, DICE, YOLO or
    Pascal VOC, known by its content. All of it is imported, or nothing, and the report says why; with `skip_invalid`
    what does not fit is left out and named. With `force` it replaces every annotation of the project in the same
    transaction. With `dry_run` nothing is written.
    """
    return await service.import_stored(call, project_id, query)


routes = [
    endpoint(
        "POST",
        "/annotations/import/project/{project_id}",
        import_annotations,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, TooLarge, Locked),
        long=True,
    ),
]
