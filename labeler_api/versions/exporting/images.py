"""The images of an export: which are there, what a ZIP says of their bytes, and which are left out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from labeler_api.db.pool import Row, Snapshot
from labeler_api.images.checksums import checksum
from labeler_api.images.checksums.checksum import Checksum
from labeler_api.images.checksums.service import Unread
from labeler_api.versions.exporting.subjects import Subject
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.archive_paths import ArchivePaths
from labeler_api.versions.formats.bundle import BundledImage
from labeler_api.versions.formats.source import Header
from labeler_api.versions.formats.yolo_paths import Splits

AT_ONCE = 500  # images read between two looks at the database: what is noted by then stays when the export is given up

Found = dict[str, Checksum]


async def unread(snapshot: Snapshot, subject: Subject, found: Found, after: str) -> list[Unread]:
    """List images without a noted size and checksum, in the order of the files, behind an id and up to a limit."""
    images: list[Unread] = []
    async for row in subject.pictures(snapshot, after):
        if row["s3_key"] is not None and row["checksum"] is None and row["s3_key"] not in found:
            images.append(Unread(row["dataset_id"], row["image_id"], row["s3_key"], row["version"]))
            if len(images) == AT_ONCE:
                break
    return images


@dataclass(slots=True)
class Survey:
    """What is known after reading all images of an export: which are left out, and the splits of the others."""

    left_out: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    annotations_left_out: int = 0
    splits: dict[str, list[str]] = field(default_factory=dict)

    def of(self, header: Header) -> Header:
        """Subtract the images that are left out from the counts in the header."""
        return replace(
            header,
            annotation_count=header.annotation_count - self.annotations_left_out,
            image_count=header.image_count - len(self.left_out),
            splits=self.splits,
        )


async def survey(snapshot: Snapshot, subject: Subject, kind: Format, found: Found) -> Survey:
    """Look at all images. An image that is not there, or is not in the store, is left out with its annotations."""
    seen, places, splits = Survey(), ArchivePaths(kind.label_of), Splits()
    async for row in subject.pictures(snapshot, ""):
        if checksum_of(row, found) is None:
            seen.left_out.add(row["image_id"])
            seen.missing.append(row["file_name"])
            seen.annotations_left_out += row["annotations"]
        else:
            splits.add(places.place(row["file_name"]))
    seen.splits = splits.told()
    return seen


def checksum_of(row: Row, found: Found) -> Checksum | None:
    """Return what a ZIP says of an image's bytes; None for one that is not there."""
    if row["s3_key"] is None:
        return None
    return checksum.read(row["checksum"]) if row["checksum"] else found.get(row["s3_key"])


async def pictures(snapshot: Snapshot, subject: Subject, found: Found) -> AsyncIterator[BundledImage]:
    """Yield the images that are there, in the order of the files."""
    async for row in subject.pictures(snapshot, ""):
        if (told := checksum_of(row, found)) is not None:
            yield BundledImage(row["file_name"], row["s3_key"], told.size, told.crc)
