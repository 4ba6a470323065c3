"""Wire types of imports."""

from typing import Literal

from msgspec import Struct

from labeler_api.images.upload.schemas import ImportReport


class ImportQuery(Struct):
    """Whether annotations that the project has already are replaced; whether what does not fit is left out.

    With `dry_run` nothing is written, and the report says what would be.
    """

    force: bool = False
    skip_invalid: bool = False
    dry_run: bool = False


class ImportResponse(Struct):
    """The answer to an import that succeeded (call 54, contract#annotations)."""

    status: Literal["success"]
    project_id: str
    imported: int
    skipped: int
    total: int
    report: ImportReport
