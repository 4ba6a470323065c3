"""Wire types of uploads, and of the report about an annotation file."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from labeler_api.projects.tasks import TaskType
from labeler_api.text.names import NAME


class FailedFile(Struct):
    """A file that was not taken, and why."""

    filename: str
    reason: str


class UploadedImage(Struct):
    """An image that was stored; `replaced` when its path was there already."""

    id: str
    file_name: str
    width: int
    height: int
    size: int
    replaced: bool


class UploadSummary(Struct):
    """What became of an upload; `folder_structure` counts the images of each folder.

    `failed` names each file of the form that was not taken; of those in archives only as many as make a hundred.
    `failed_total` counts all of them.
    """

    images_uploaded: int
    annotations_imported: int
    storage_bytes_used: int
    folder_structure: dict[str, int]
    failed: list[FailedFile]
    failed_total: int
    images: list[UploadedImage]


class UploadForm(Struct):
    """The form of an upload; file names carry relative paths, and a ZIP is expanded."""

    files: Annotated[list[bytes], Meta(min_length=1)]
    annotation_file: bytes | None = None


ImportFormatName = Literal["coco", "dice", "yolo", "voc"]


class Problem(Struct):
    """What is wrong at one place of the file."""

    place: str
    message: str


class UploadQuery(Struct):
    """What happens to what does not fit: it is left out (`skip_invalid`), or refuses the file."""

    skip_invalid: bool = False


class CheckingUploadQuery(UploadQuery):
    """The same; and whether the annotation file is checked alone (`dry_run`), so that nothing is stored."""

    dry_run: bool = False


class AddedClass(Struct):
    """A class that an import added to a task."""

    task_type: str
    class_id: str
    name: str


class ImportReport(Struct):
    """What became of an annotation file: all of it is imported, or nothing.

    `skipped` are annotations that the project had already, exactly alike. `total` counts those of the file, but not
    those of images that the dataset does not have; `skipped_images` counts such images. When the import failed, `code`
    and `detail` say why, and `errors` where; `error_count` counts those beyond the first hundred, too. With
    `skip_invalid` they name what was left out, and `total` does not count it. `checked` is the status of a dry run:
    `total` annotations would be written, less those that the project has already.
    """

    status: Literal["imported", "failed", "checked"]
    format: ImportFormatName | None = None
    imported: int = 0
    skipped: int = 0
    total: int = 0
    replaced: int = 0
    images: int = 0
    skipped_images: int = 0
    tasks: dict[str, int] = {}
    tasks_added: list[str] = []
    classes_added: list[AddedClass] = []
    warnings: list[str] = []
    errors: list[Problem] = []
    error_count: int = 0
    code: str | None = None
    detail: str | None = None


class ImportingUploadSummary(UploadSummary):
    """What became of an upload, and of the annotation file that came with it; null when none did."""

    import_report: ImportReport | None


class DatasetUploadResponse(Struct):
    """A dataset that was made with its first images (call 14, contract#uploads)."""

    dataset_id: str
    dataset_name: str
    project_id: str
    upload_summary: ImportingUploadSummary


class DatasetFields(Struct):
    """The fields of a form that makes a dataset; they come before its files."""

    dataset_name: Annotated[str, Meta(min_length=1, max_length=200, pattern=NAME)]
    dataset_description: Annotated[str, Meta(max_length=10_000)] | None = None
    task_types: Annotated[list[TaskType], Meta(max_length=20)] = []
    visibility: Literal["private", "public"] = "private"
    skip_invalid: bool = False


class ImportingUploadForm(UploadForm):
    """The form of an upload; `skip_invalid` is the same as in the query."""

    skip_invalid: bool = False


class DatasetUploadForm(Struct):
    """The form that makes a dataset: its fields first, then files; `task_types` is a JSON list of tasks."""

    dataset_name: Annotated[str, Meta(min_length=1, max_length=200, pattern=NAME)]
    files: Annotated[list[bytes], Meta(min_length=1)]
    dataset_description: Annotated[str, Meta(max_length=10_000)] | None = None
    task_types: str | None = None
    visibility: Literal["private", "public"] = "private"
    annotation_file: bytes | None = None
    skip_invalid: bool = False
