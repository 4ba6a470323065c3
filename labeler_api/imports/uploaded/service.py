"""The annotation file of an upload: kept until the images are stored, judged before, imported after."""

from labeler_api.context import Call
from labeler_api.errors import AppError, Invalid, invalid
from labeler_api.http.forms.multipart import Part, Spool
from labeler_api.idempotency.streamed_uploads import StreamedFiles
from labeler_api.images.upload.files import Uploaded
from labeler_api.images.upload.schemas import ImportReport
from labeler_api.images.upload.session import UploadSession
from labeler_api.imports.checking import service as checking_service
from labeler_api.imports.stored import service as stored_service
from labeler_api.members.authorization.service import Access


class UploadedAnnotations:
    """The part `annotation_file` of a form, kept until the images are stored."""

    def __init__(self, sent: StreamedFiles | None, *, skip_invalid: bool) -> None:
        self._sent = sent
        self.skip_invalid = skip_invalid
        self._spool: Spool | None = None
        self._refusal: AppError | None = None
        self._prepared: checking_service.Prepared | None = None
        self._came = 0

    async def take(self, part: Part) -> None:
        """Read the part."""
        self._came += 1
        self.close()
        if self._came > 1:
            self._refusal = Invalid(
                "The form has several annotation files. Send them one by one.", code="several_annotation_files"
            )
            return  # what is not read is skipped
        self._spool = await part.spool(stored_service.MAX_FILE_BYTES)
        if self._sent is not None:
            self._sent.add(part.name, part.filename or "", self._spool.size if self._spool is not None else None)
        if self._spool is None:
            self._refusal = Invalid(
                f"The annotation file is over the limit of {stored_service.MAX_FILE_BYTES} bytes.",
                code="annotation_file_too_large",
            )

    async def judge(self, call: Call, access: Access, session: UploadSession) -> None:
        """Read the file, and check it against the images that there will be. Raises what refuses it."""
        if self._refusal is not None:
            raise self._refusal
        if self._spool is not None:
            self._prepared = await stored_service.judge_uploaded(
                call, access, self._spool, session, skip_invalid=self.skip_invalid
            )

    async def checked(self, call: Call, access: Access) -> ImportReport:
        """Say what an import would do. Raises what refuses the file."""
        if self._refusal is not None:
            raise self._refusal
        if self._spool is None:
            raise invalid(
                "is missing: a dry run is about the file in this field of the form", "body", "annotation_file"
            )
        return await stored_service.check_uploaded(call, access, self._spool, skip_invalid=self.skip_invalid)

    async def imported(self, call: Call, uploaded: Uploaded) -> ImportReport | None:
        """Import what was read; None when no file came."""
        if self._spool is None:
            return None
        prepared = self._prepared if uploaded.ids_are_as_predicted else None
        return await stored_service.import_uploaded(
            call, uploaded.access, self._spool, prepared, skip_invalid=self.skip_invalid
        )

    def close(self) -> None:
        """Remove the temporary files."""
        if self._prepared is not None:
            self._prepared.drafts.close()
            self._prepared = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None
