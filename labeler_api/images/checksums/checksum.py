"""What is stored about an image's bytes: the CRC-32 and size that a ZIP needs first, and the orientation."""

from typing import NamedTuple

# SQL of rows `i` of image_metadata: the version that links name (labeler_api.tokens.signed_links.object_version), and
# the checksum where it is of that version. An older API replaces an image and leaves the column as it was.
VERSION = "COALESCE(left(i.content_sha256, 16), 't' || trunc(extract(epoch FROM i.last_modified))::bigint)"
ORIENTATION = f"""CASE WHEN split_part(i.content_checksum, ' ', 3) = {VERSION}
    THEN NULLIF(split_part(i.content_checksum, ' ', 4), '')::int END"""
CHECKSUM = f"CASE WHEN split_part(i.content_checksum, ' ', 3) = {VERSION} THEN i.content_checksum END"


class Checksum(NamedTuple):
    """CRC-32 of the stored bytes, their number, and the version of them that it was computed of.

    `orientation` is that of EXIF, by which browsers turn the picture; None where nobody has looked.
    """

    crc: int
    size: int
    version: str
    orientation: int | None = None

    def __str__(self) -> str:
        """Spell it as the row has it."""
        told = f"{self.crc:08x} {self.size} {self.version}"
        return told if self.orientation is None else f"{told} {self.orientation}"


def read(text: str) -> Checksum:
    """Read what a row has."""
    crc, size, version, *orientation = text.split(" ")
    return Checksum(int(crc, 16), int(size), version, *map(int, orientation))
