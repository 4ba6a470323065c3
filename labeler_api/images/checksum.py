"""What a ZIP says of an image's bytes before they come, and how a row of an image has it."""

from typing import NamedTuple

# SQL of rows `i` of image_metadata: the version that links name (labeler_api.links.object_version), and the checksum
# where it is of that version. The API of before replaces an image and leaves the column as it was.
VERSION = "COALESCE(left(i.content_sha256, 16), 't' || trunc(extract(epoch FROM i.last_modified))::bigint)"
CHECKSUM = f"CASE WHEN split_part(i.content_checksum, ' ', 3) = {VERSION} THEN i.content_checksum END"


class Checksum(NamedTuple):
    """CRC-32 of the stored bytes, their number, and the version of them that it was computed of."""

    crc: int
    size: int
    version: str

    def __str__(self) -> str:
        """Spell it as the row has it."""
        return f"{self.crc:08x} {self.size} {self.version}"


def read(text: str) -> Checksum:
    """Read what a row has."""
    crc, size, version = text.split(" ")
    return Checksum(int(crc, 16), int(size), version)
