"""Wire types of storage browsing."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

MAX_MAPPINGS = 50_000  # what the upload wizard takes at most
Path = Annotated[str, Meta(max_length=1000)]


class Folder(Struct):
    """A folder with what it and its sub-folders hold; `depth` is the number of slashes of its path, 0 for the top."""

    path: str
    name: str
    file_count: int
    total_size_bytes: int
    depth: int


class StorageStructure(Struct):
    """The folders of a dataset's images, by path: the first 10 000. The totals are those of all of them."""

    dataset_id: str
    total_files: int
    total_size_bytes: int
    folders: list[Folder]
    is_complete: bool


class FileMapping(Struct):
    """A file that is about to be uploaded, and where to; `relative_path` may have the target folder in it already."""

    filename: Path = ""
    relative_path: Path = ""
    size: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class PreviewRequest(Struct):
    """The files of an upload to come."""

    file_mappings: Annotated[list[FileMapping], Meta(max_length=MAX_MAPPINGS)]
    target_folder: Path = ""


class PreviewFile(Struct):
    """A file of an upload to come; a duplicate replaces the image that has its path now."""

    filename: str
    path: str
    size: int
    status: Literal["new", "duplicate"]


class RefusedFile(Struct):
    """A file that the upload would not take, for its name."""

    filename: str
    path: str
    size: int
    reason: str


class PreviewSummary(Struct):
    """How many files of each kind."""

    total_new: int
    total_duplicates: int
    total_files: int


class StoragePreview(Struct):
    """What an upload would add, what it would replace, and what it would refuse for its name: the first hundred."""

    dataset_id: str
    target_folder: str
    current_structure: StorageStructure
    new_files: list[PreviewFile]
    duplicate_files: list[PreviewFile]
    refused_files: list[RefusedFile]
    refused_total: int
    summary: PreviewSummary
