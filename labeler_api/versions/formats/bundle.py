"""An archive with the images: the files of a format as they are without, and each image beside them, not packed.

The stream has no bytes of images. Each image leaves a gap of its size, and `gaps` gets its place: the archive is put
together when it is downloaded. `missing_images.txt` names the images that are left out, where there are
any.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import msgspec

from labeler_api.versions.formats import Format
from labeler_api.versions.formats.archive import Archive
from labeler_api.versions.formats.archive_paths import ArchivePaths, Placed
from labeler_api.versions.formats.texts import one_line

MISSING = "missing_images.txt"


class BundledImage(msgspec.Struct, frozen=True):
    """An image's path in the dataset, and its bytes: their key, number and CRC-32."""

    file_name: str
    key: str
    size: int
    crc: int


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """Bytes that are put in at `at`, which counts the bytes of the archive without those of any image."""

    at: int
    size: int
    crc: int
    key: str


async def render(
    kind: Format,
    source: Placed,
    pictures: AsyncIterator[BundledImage],
    missing: Sequence[str],
    gaps: Callable[[Gap], None],
) -> AsyncGenerator[bytes, None]:
    """Yield the archive without the bytes of images, piece by piece. `pictures` come in the order of the source."""
    places = ArchivePaths(kind.label_of)
    with Archive() as archive:
        async for piece in kind.fill(archive, source):
            yield piece
        if missing:
            archive.add(MISSING, "".join(f"{one_line(name)}\n" for name in missing).encode())
        async for picture in pictures:
            name = f"{kind.images_folder}/{places.place(picture.file_name)}"
            gaps(Gap(archive.place(name, picture.size, picture.crc), picture.size, picture.crc, picture.key))
            if piece := archive.take():
                yield piece
        for piece in archive.finish():
            yield piece
