"""Writes files: from the rows of annotations, piece by piece, into the object store."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import msgspec

from labeler_api.db.pool import Row, Snapshot
from labeler_api.object_store.objects import ObjectStore
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.source import CLASSIFICATION, Annotation, Header, Image, LabeledImage, VersionSource
from labeler_api.versions.publishing import store as publishing_store

_WRITE_BYTES = 64 * 1024  # a few hundred annotations: about a millisecond of the event loop between two breaths

_annotations = msgspec.json.Decoder(Annotation)
_images = msgspec.json.Decoder(Image)


@dataclass(frozen=True, slots=True)
class Written:
    """A file in the object store."""

    size_bytes: int
    sha256: str


class StoredSource:
    """The content of a file from rows of the database, in the order of the files: `store.frozen` says which columns."""

    def __init__(
        self, header: Header, annotations: Callable[[], AsyncIterator[str]], images: Callable[[], AsyncIterator[Row]]
    ) -> None:
        self.header = header
        self._stored = annotations
        self._image_rows = images

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        """Yield every annotation, in the order of the files."""
        async for annotation in self._stored():
            yield _annotations.decode(annotation)

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        """Yield every image, in the order of the files."""
        current: LabeledImage | None = None
        async for row in self._image_rows():
            if current is None or row["image_id"] != current.image_id:
                if current is not None:
                    yield current
                current = LabeledImage(row["image_id"], _images.decode(row["image"]), [])
            if row["annotation_type"] == CLASSIFICATION:
                current.labels.append(row["class_id"])
        if current is not None:
            yield current


def frozen(snapshot: Snapshot, version_id: int, header: Header) -> StoredSource:
    """Return the content of a version, from its snapshot rows, which never change."""
    rows, images = (
        partial(publishing_store.frozen, snapshot, version_id),
        partial(publishing_store.frozen_images, snapshot, version_id),
    )
    return StoredSource(header, rows, images)


async def write(
    objects: ObjectStore, bucket: str, key: str, wanted: Format, source: VersionSource, metadata: Mapping[str, str]
) -> Written:
    """Write one file; it appears whole or not at all. Raises Unavailable when the store is away."""
    return await store_chunks(objects, bucket, key, wanted.content_type, wanted.render(source), metadata)


async def store_chunks(
    objects: ObjectStore,
    bucket: str,
    key: str,
    content_type: str,
    pieces: AsyncGenerator[bytes, None],
    metadata: Mapping[str, str],
) -> Written:
    """Write one object from its pieces, as `write` does."""
    digest = sha256()
    async with (
        objects.upload_stream(bucket, key, content_type, metadata) as upload,
        aclosing(gathered(pieces)) as chunks,
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
