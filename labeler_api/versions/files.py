"""Writes the files of a version: from its frozen annotations, piece by piece, into the object store."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from labeler_api.db.pool import Snapshot
from labeler_api.objects import ObjectStore
from labeler_api.versions import store
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.source import CLASSIFICATION, Annotation, Header, Image, LabeledImage

_WRITE_BYTES = 64 * 1024  # a few hundred annotations: about a millisecond of the event loop between two breaths

_annotations = msgspec.json.Decoder(Annotation)
_images = msgspec.json.Decoder(Image)


@dataclass(frozen=True, slots=True)
class Written:
    """A file in the object store."""

    size_bytes: int
    sha256: str


class FrozenSource:
    """The content of a version, read from its snapshot rows, which never change."""

    def __init__(self, snapshot: Snapshot, version_id: int, header: Header) -> None:
        self._snapshot = snapshot
        self._version_id = version_id
        self.header = header

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        """Yield every annotation, in the order of the files."""
        async for row in store.frozen(self._snapshot, self._version_id):
            yield _annotations.decode(row["annotation"])

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        """Yield every image, in the order of the files."""
        current: LabeledImage | None = None
        async for row in store.frozen_images(self._snapshot, self._version_id):
            if current is None or row["image_id"] != current.image_id:
                if current is not None:
                    yield current
                current = LabeledImage(row["image_id"], _images.decode(row["image"]), [])
            if row["annotation_type"] == CLASSIFICATION:
                current.labels.append(row["class_id"])
        if current is not None:
            yield current


async def write(
    objects: ObjectStore, bucket: str, key: str, wanted: Format, source: FrozenSource, metadata: Mapping[str, str]
) -> Written:
    """Write one file; it appears whole or not at all. Raises Unavailable when the store is away."""
    digest = sha256()
    async with (
        objects.upload_stream(bucket, key, wanted.content_type, metadata) as upload,
        aclosing(gathered(wanted.render(source))) as chunks,
    ):
        async for chunk in chunks:
            digest.update(chunk)
            await upload.write(chunk)
            await asyncio.sleep(0)  # neither a full cursor buffer nor a part that is not full yet lets others run
    return Written(upload.size, digest.hexdigest())


async def gathered(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Join small pieces into chunks worth handing on."""
    buffer = bytearray()
    async with aclosing(pieces) as source:
        async for piece in source:
            buffer += piece
            if len(buffer) >= _WRITE_BYTES:
                yield bytes(buffer)
                buffer.clear()
    if buffer:
        yield bytes(buffer)
