"""Uploads of images with their annotations, into a dataset or into a new one (calls 14 and 15, contract#uploads).

The annotation file may come anywhere in the form. It waits in a temporary file until the last image has come, so that
those of the same request count as existing. Then it is judged, and when it is refused, so is the request: nothing of it
is stored, since anything but an error looks like a success on the screen.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from hashlib import sha256

import msgspec
import structlog
from msgspec.structs import replace

from labeler_api.context import Call
from labeler_api.datasets import service as datasets
from labeler_api.datasets.schemas import CreateDataset, DatasetResponse
from labeler_api.errors import AppError, RetryTransaction, invalid
from labeler_api.http.forms.multipart import Part
from labeler_api.http.input.decoding import convert
from labeler_api.idempotency.streamed_uploads import StreamedFiles
from labeler_api.images.upload import store
from labeler_api.images.upload.files import AnnotationFile, AnnotationFiles, Uploaded, nothing_stored
from labeler_api.images.upload.files import upload as upload_images
from labeler_api.images.upload.schemas import (
    DatasetFields,
    DatasetUploadResponse,
    ImportingUploadSummary,
    UploadQuery,
)
from labeler_api.members.authorization.service import authorize
from labeler_api.members.policy import ProjectLock, Role

_TRIES = 3  # of finding a dataset that an equal request takes away again


_REUSED = "idempotency_key_reused"  # an error about the key is not about the dataset that the key belongs to


_FIELD_BYTES = 64 * 1024  # a description of 10 000 characters of any script


_tasks = msgspec.json.Decoder(list[str])


log = structlog.get_logger("labeler_api.imports")


async def check(
    call: Call, reference: str, form: AsyncIterator[Part], annotation_file: AnnotationFiles, *, skip_invalid: bool
) -> ImportingUploadSummary:
    """Read the annotation file of a form, check it against the images that the dataset has, and store nothing."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
    annotations = annotation_file(None, skip_invalid=skip_invalid)
    try:
        async for part in _with_option(form, annotations):
            if part.name == "annotation_file" and part.filename:
                await annotations.take(part)
        report = await annotations.checked(call, access)
    finally:
        annotations.close()
    return ImportingUploadSummary(
        images_uploaded=0,
        annotations_imported=0,
        storage_bytes_used=0,
        folder_structure={},
        failed=[],
        failed_total=0,
        images=[],
        import_report=report,
    )


async def into_dataset(
    call: Call,
    reference: str,
    form: AsyncIterator[Part],
    annotation_file: AnnotationFiles,
    sent: StreamedFiles | None = None,
    *,
    skip_invalid: bool,
) -> ImportingUploadSummary:
    """Store the images of a form, and import its annotation file. Raises Invalid when nothing of it could be kept."""
    annotations = annotation_file(sent, skip_invalid=skip_invalid)
    try:
        uploaded = await upload_images(call, reference, _with_option(form, annotations), annotations, sent)
        if sent is not None:
            async with call.db.begin() as tx:
                await sent.keep(tx, complete=True)
        with _images_are_stored(uploaded):
            report = await annotations.imported(call, uploaded)
    finally:
        annotations.close()
    if not uploaded.summary.images and (report is None or not report.imported):
        raise nothing_stored(uploaded.summary)
    values = {name: getattr(uploaded.summary, name) for name in uploaded.summary.__struct_fields__}
    values["annotations_imported"] = report.imported if report is not None else 0
    return ImportingUploadSummary(**values, import_report=report)


@contextmanager
def _images_are_stored(uploaded: Uploaded) -> Iterator[None]:
    """Add to an error that the images are there: somebody took a lock meanwhile, or a part of the service is away."""
    try:
        yield
    except AppError as error:
        number = len(uploaded.summary.images)
        error.extra["images_uploaded"] = number
        if number:
            images = "image is" if number == 1 else f"{number} images are"
            error.detail += f" The {images} stored; none of the annotations is."
        raise


async def into_new_dataset(
    call: Call, form: AsyncGenerator[Part, None], annotation_file: AnnotationFiles, *, skip_invalid: bool
) -> DatasetUploadResponse:
    """Make a dataset of the form's fields, then upload the rest of the form into it.

    When the upload is cut short before an image is stored, nothing remains; afterwards the dataset stays with what it
    has, and the error names it. The same goes for files of which none could be stored.
    A request that is sent again with its Idempotency-Key goes on in the dataset of the first, also while that is still
    under way; one with other fields or files is refused before it changes anything.
    """
    fields, first = await _fields(form)
    call = _of_these_fields(call, fields)
    dataset, sent = await _made_or_found(call, fields)
    try:
        project = await datasets.project(call, dataset.id)
        async with aclosing(_rest(first, form)) as rest:
            skips = skip_invalid or fields.skip_invalid
            summary = await into_dataset(
                replace(call, idempotency=None), dataset.id, rest, annotation_file, sent, skip_invalid=skips
            )
    except BaseException as error:
        # Shielded: a client that leaves must not leave an empty dataset behind.
        await asyncio.shield(_drop_if_empty(call, dataset.id, sent, error))
        raise
    return DatasetUploadResponse(
        dataset_id=dataset.id, dataset_name=dataset.name, project_id=project.id, upload_summary=summary
    )


def _of_these_fields(call: Call, fields: DatasetFields) -> Call:
    """Let the fields belong to what an Idempotency-Key is for."""
    if call.idempotency is None:
        return call
    told = msgspec.to_builtins(fields)
    if not fields.skip_invalid:  # requests from before there was the field are sent again with their keys
        del told["skip_invalid"]
    digest = sha256(call.idempotency.request_sha256.encode() + msgspec.json.encode(told)).hexdigest()
    return replace(call, idempotency=replace(call.idempotency, request_sha256=digest))


async def _made_or_found(call: Call, fields: DatasetFields) -> tuple[DatasetResponse, StreamedFiles | None]:
    """Make the dataset, or find the one that an equal request made; with a key, count among its requests."""
    wanted = CreateDataset(
        name=fields.dataset_name,
        description=fields.dataset_description,
        task_types=fields.task_types,
        visibility=fields.visibility,
    )
    for _ in range(_TRIES):
        dataset = await datasets.create(call, wanted)
        if call.idempotency is None:
            return dataset, None
        if (sent := await StreamedFiles.enter(call)) is not None:
            return dataset, sent
        # The first request has failed and removed its dataset between the two steps: make another one.
    raise RetryTransaction("Others send the same request at this moment. Try again.", retry_after=1)


async def _drop_if_empty(call: Call, dataset_id: str, sent: StreamedFiles | None, error: BaseException) -> None:
    """Remove a dataset into which nothing was uploaded, unless an equal request is still uploading.

    Objects without a row are left to the sweep. Where a process died in an equal request, that one counts as under way,
    and the dataset stays: it may be sent again, or the dataset be deleted.
    """
    with suppress(AppError):
        async with call.db.begin() as tx:
            alone = sent is None or await sent.leave(tx)
            dropped = alone and await store.drop_empty_dataset(tx, dataset_id)
            if dropped and call.idempotency is not None:
                await store.forget_key(tx, call.user_id, call.idempotency.key)
        if dropped:
            return
    if isinstance(error, AppError) and error.code != _REUSED:
        error.extra["dataset_id"] = dataset_id
        error.detail += f" The dataset {dataset_id} stays."


async def _fields(form: AsyncIterator[Part]) -> tuple[DatasetFields, Part]:
    """Read the fields in front of the first file. Raises Invalid."""
    values: dict[str, str] = {}
    async for part in form:
        if part.filename or (part.name == "files" and not await part.is_empty()):
            return _typed(values), part  # a file without a name is one, too: it is named among those not taken
        if part.name in DatasetFields.__struct_fields__:
            values[part.name] = await _text(part)
    _typed(values)  # what is wrong with the fields goes first
    raise invalid("is missing: send one or more files in the form's field of this name", "body", "files")


async def _with_option(form: AsyncIterator[Part], annotations: AnnotationFile) -> AsyncGenerator[Part, None]:
    """Yield the parts of a form, and take the option that one of them may be, wherever it stands."""
    async for part in form:
        if part.filename is None and part.name == "skip_invalid":
            annotations.skip_invalid = convert({part.name: await _text(part)}, UploadQuery, "body").skip_invalid
        yield part


async def _rest(first: Part, form: AsyncIterator[Part]) -> AsyncGenerator[Part, None]:
    yield first
    async for part in form:
        if not part.filename and part.name in DatasetFields.__struct_fields__:
            raise invalid("comes too late: send the fields of the form before its files", "body", part.name)
        yield part


async def _text(part: Part) -> str:
    content = bytearray()
    async for chunk in part.chunks():
        content += chunk
        if len(content) > _FIELD_BYTES:
            raise invalid("is too long", "body", part.name)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise invalid("is not UTF-8", "body", part.name) from None


def _typed(values: dict[str, str]) -> DatasetFields:
    given: dict[str, object] = dict(values)
    if "task_types" in values:
        given["task_types"] = _listed(values["task_types"])
    return convert(given, DatasetFields, "body")


def _listed(text: str) -> list[str]:
    """Read a JSON list of tasks; anything else counts as an empty one (contract#uploads)."""
    try:
        return list(dict.fromkeys(_tasks.decode(text)))
    except (msgspec.MsgspecError, RecursionError):
        return []
