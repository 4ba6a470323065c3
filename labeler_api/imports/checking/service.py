"""Reads a file of annotations and checks all of it, before any transaction is open."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection
from labeler_api.errors import Invalid
from labeler_api.http.forms.multipart import Spool
from labeler_api.images.upload.schemas import ImportFormatName, ImportReport
from labeler_api.imports.checking import drafts as drafting
from labeler_api.imports.checking import matching
from labeler_api.imports.checking.drafts import Drafts
from labeler_api.imports.checking.exif_rotation import is_turned
from labeler_api.imports.readers.items import FileClass, PlacedImage, Problems, Reader, Unreadable
from labeler_api.imports.readers.opening import open_reader
from labeler_api.imports.writing import store as writing_store
from labeler_api.members.authorization.service import Access, not_found
from labeler_api.text.counted_nouns import counted

_LOOKED_AT = 1000  # missing labels that are opened once more: people put some texts beside theirs, not thousands
_NAMED, _NAME_CHARACTERS = 3, 100  # in the warning about images that are skipped


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was read and found right."""

    format: ImportFormatName
    drafts: Drafts
    classes: list[FileClass]
    warnings: list[str]
    skipped_images: int
    left_out: Problems


@contextmanager
def closing(prepared: Prepared) -> Iterator[Prepared]:
    """Remove what was prepared when the block ends."""
    try:
        yield prepared
    finally:
        prepared.drafts.close()


Look = Callable[[ReadConnection], Awaitable[list[PlacedImage | None]]]
Place = Callable[[Look], Awaitable[list[PlacedImage | None]]]


async def prepare(
    call: Call, access: Access, spool: Spool, place: Place | None = None, *, skip_invalid: bool = False
) -> Prepared:
    """Read a file and check it against the images of the dataset. Raises Invalid with everything that is wrong.

    Images that the dataset does not have are skipped when it has at least one: people upload a part of what a file
    describes. `place` gives a connection that sees the images, and may refuse those that were found. With
    `skip_invalid` what does not fit is left out, unless nothing else is there.
    """
    problems, ambiguous, missing = Problems(), Problems(), Problems()
    try:
        reader = await _opened(call, access, spool, problems)

        async def look(connection: ReadConnection) -> list[PlacedImage | None]:
            nonlocal ambiguous, missing
            ambiguous, missing = Problems(), Problems()  # it may be asked again
            return await matching.place(connection, access.dataset_id, reader.images, ambiguous, missing)

        images = await (place or _stored(call))(look)
        texts = await asyncio.to_thread(_no_labels, reader, images)
        missing.drop({reader.images[number].place for number in texts})
        problems.include(ambiguous)
        if skip_invalid or not any(images):
            problems.include(missing)
        async with call.services.parsing.turn(call.user_id):
            drafts = await asyncio.to_thread(drafting.make_drafts, reader, images, problems)
    except Unreadable as error:
        raise _refusal(f"The annotation file cannot be read: {error}.", "annotation_file_unreadable") from None
    if (problems.count if not skip_invalid else problems.is_fatal) or not drafts.total:
        drafts.close()
        raise _not_importable(reader, problems)
    warnings = await asyncio.to_thread(_warnings, reader, images, texts, problems)
    return Prepared(reader.format, drafts, reader.classes, warnings, images.count(None) - len(texts), problems)


def _no_labels(reader: Reader, images: Sequence[PlacedImage | None]) -> set[int]:
    """Find the missing "images" that are not images, such as a README among labels."""
    missing = (number for number, one in enumerate(images) if one is None)
    return {number for number in islice(missing, _LOOKED_AT) if not reader.is_about_an_image(number)}


def _stored(call: Call) -> Place:
    async def place(look: Look) -> list[PlacedImage | None]:
        async with call.db.read() as connection:
            return await look(connection)

    return place


async def _opened(call: Call, access: Access, spool: Spool, problems: Problems) -> Reader:
    async with call.db.read() as connection:
        project = await writing_store.project(connection, access.require_project_id())
    if project is None:  # deleted since the access was checked
        raise not_found()
    async with call.services.parsing.turn(call.user_id):
        return await asyncio.to_thread(open_reader, spool.file, set(project["task_types"]), problems)


def _warnings(reader: Reader, images: list[PlacedImage | None], texts: Set[int], left_out: Problems) -> list[str]:
    named = enumerate(zip(reader.images, images, strict=True))
    skipped = [image.name for number, (image, one) in named if one is None and number not in texts]
    return [
        *reader.warnings,
        *_about_sizes(reader, images),
        *_about_turned(reader, images),
        *_about_skipped(skipped),
        *_about_left_out(left_out),
    ]


def _about_sizes(reader: Reader, images: list[PlacedImage | None]) -> list[str]:
    differ = drafting.sizes_differ(reader.images, images)
    if not differ:
        return []
    what = counted(differ, "image has", "images have")
    return [f"{what} another size in the file than in the dataset; look whether the shapes fit."]


def _about_turned(reader: Reader, images: list[PlacedImage | None]) -> list[str]:
    turned = sum(one is not None and is_turned(image, one) for image, one in zip(reader.images, images, strict=True))
    if not turned:
        return []
    what = counted(turned, "image has", "images have")
    return [f"{what} the size of before its EXIF orientation in the file; the shapes were turned with the picture."]


def _about_left_out(problems: Problems) -> list[str]:
    if not problems.count:
        return []
    left_out = counted(problems.count, "item does not fit and was", "items do not fit and were")
    return [f"{left_out} left out; `errors` says which, and why."]


def _about_skipped(skipped: Sequence[str]) -> list[str]:
    """Name the first images of the file that the dataset does not have: people upload a part of what it describes."""
    if not skipped:
        return []
    named = ", ".join(name[:_NAME_CHARACTERS] for name in skipped[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    if len(skipped) == 1:
        return [f"1 image of the file is not in the dataset and was skipped: {named}."]
    return [f"{len(skipped)} images of the file are not in the dataset and were skipped: {named}{more}."]


def _not_importable(reader: Reader, problems: Problems) -> Invalid:
    if not problems.count:
        return _refusal("The annotation file holds no annotations.", "no_annotations", reader.format)
    first = problems.first[0]
    further = problems.count - 1
    more = f", and {counted(further, 'more problem', 'more problems')}" if further else ""
    text = f"Nothing was imported. {first.place}: {first.message}{more}."
    return _refusal(text, "import_refused", reader.format, problems)


def _refusal(
    text: str, code: str, format_name: ImportFormatName | None = None, problems: Problems | None = None
) -> Invalid:
    """Make the error; it carries the report, and the first problems in the form of every 422."""
    problems = problems or Problems()
    report = ImportReport(
        status="failed",
        format=format_name,
        errors=problems.first,
        error_count=problems.count,
        code=code,
        detail=text,
    )
    errors = [{"loc": [problem.place], "message": problem.message} for problem in problems.first]
    return Invalid(text, code=code, errors=errors, report=report)
