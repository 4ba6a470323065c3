"""Archives with the images in them, which lie in the store without: what is written, and how it is put together.

An export with images writes two objects. The **parts** are the bytes of the archive but those of the images; the
**plan** is a line for each image: where its bytes go in, how many they are, their CRC-32, and their key. So an export
of a hundred thousand images stores some ten megabytes, and takes no longer than one without.

A download reads the plan piece by piece and sends, in turn, bytes of the parts and of the images as they lie in the
store. It holds one connection to the store at a time and none to the database. Every byte has its place before the
first is sent, so any range of the archive is sent as well as the whole, and twice the same.
"""

import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO, Self

import msgspec

from labeler_api.errors import NotFound, RangeNotSatisfiable, Unavailable
from labeler_api.object_store.objects import ObjectStore
from labeler_api.versions.files import file_writing
from labeler_api.versions.formats import Format, bundle
from labeler_api.versions.formats.archive_paths import Placed
from labeler_api.versions.formats.bundle import BundledImage, Gap

CONTENT_TYPE = "application/zip"

_PLAN_IN_MEMORY = 1024 * 1024  # of some six thousand images; what is more waits on disk
_PLAN_BYTES = 256 * 1024  # read at once: 1,500 lines, some two milliseconds of the event loop
_PARTS_BYTES = 1024 * 1024  # read at once: labels, or the heads of five thousand images
_RANGE = re.compile(r"bytes=(\d+)-(\d*)|bytes=-(\d+)")

_gaps = msgspec.json.Decoder(Gap)


@dataclass(frozen=True, slots=True)
class BundlePlace:
    """Where a bundle lies: `key` is that of the parts, and of the plan with another ending."""

    bucket: str
    key: str

    @property
    def plan_key(self) -> str:
        """Key of the plan. Comes later than the parts, and tells that the bundle is whole."""
        return f"{self.key}.plan"


async def write(
    objects: ObjectStore,
    place: BundlePlace,
    kind: Format,
    source: Placed,
    pictures: AsyncIterator[BundledImage],
    missing: Sequence[str],
    metadata: Mapping[str, str],
) -> file_writing.Written:
    """Write parts and plan; tell the size of the archive, and a digest that says which one it is."""
    with SpooledTemporaryFile(max_size=_PLAN_IN_MEMORY) as plan:
        images_bytes = 0

        def gap(one: Gap) -> None:
            nonlocal images_bytes
            images_bytes += one.size
            plan.write(msgspec.json.encode(one) + b"\n")

        chunks = bundle.render(kind, source, pictures, missing, gap)
        parts = await file_writing.store_chunks(objects, place.bucket, place.key, CONTENT_TYPE, chunks, metadata)
        size = parts.size_bytes + images_bytes
        told = {**metadata, "archive_bytes": str(size), "parts_bytes": str(parts.size_bytes)}
        plan.seek(0)
        lines = await file_writing.store_chunks(
            objects, place.bucket, place.plan_key, "application/x-ndjson", _pieces(plan), told
        )
    return file_writing.Written(size, sha256(f"{parts.sha256} {lines.sha256}".encode()).hexdigest())


async def _pieces(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    while piece := file.read(_PLAN_BYTES):
        yield piece


@dataclass(slots=True)
class Bundle:
    """A bundle in the store; `size` is that of the archive."""

    objects: ObjectStore
    place: BundlePlace
    images_bucket: str
    size: int
    parts_bytes: int
    _window: tuple[int, bytes] = field(default=(0, b""), init=False)

    @classmethod
    async def find(cls, objects: ObjectStore, place: BundlePlace, images_bucket: str) -> Self:
        """Look at what is there. Raises NotFound where nothing is."""
        told = (await objects.head(place.bucket, place.plan_key)).metadata or {}
        return cls(objects, place, images_bucket, int(told["archive_bytes"]), int(told["parts_bytes"]))

    @asynccontextmanager
    async def open(self, byte_range: str | None = None) -> AsyncIterator["BundleStream"]:
        """Open the archive, or one range of it. Raises RangeNotSatisfiable for one that begins beyond the end."""
        start, end = self._within(byte_range)
        yield BundleStream(self, start, end, byte_range is not None)

    def _within(self, byte_range: str | None) -> tuple[int, int]:
        match = _RANGE.fullmatch(byte_range) if byte_range else None
        if match is None:
            return 0, self.size
        first, last, suffix = match.groups()
        if suffix is not None:
            return max(0, self.size - int(suffix)), self.size
        if int(first) >= self.size:
            raise RangeNotSatisfiable("The range begins beyond the end of the archive.")
        return int(first), min(int(last) + 1, self.size) if last else self.size

    async def chunks(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` to before `end`."""
        position = at = 0  # in the archive, and in the parts
        async with aclosing(self._gaps()) as gaps:
            async for gap in gaps:
                async for chunk in self._parts(at, gap.at, start - position, end - position):
                    yield chunk
                position, at = position + gap.at - at, gap.at
                first, last = max(0, start - position), min(gap.size, end - position)
                if first < last:
                    async with aclosing(self._image(gap, first, last)) as image:
                        async for chunk in image:
                            yield chunk
                position += gap.size
                if position >= end:
                    return
        async for chunk in self._parts(at, self.parts_bytes, start - position, end - position):
            yield chunk

    async def _gaps(self) -> AsyncGenerator[Gap, None]:
        """Read the plan in pieces: no connection is held between them."""
        rest, read, size = b"", 0, None
        while size is None or read < size:
            wanted = f"bytes={read}-{read + _PLAN_BYTES - 1}"
            try:
                async with self.objects.open(self.place.bucket, self.place.plan_key, wanted) as stream:
                    size, piece = stream.size, await stream.read()
            except RangeNotSatisfiable:  # an empty plan
                return
            read += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield _gaps.decode(line)

    async def _parts(self, at: int, to: int, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield parts from `at` to before `to`, of which those from `start` to `end`, counted from `at`, are wanted."""
        at, to = at + max(0, start), min(to, at + end)
        while at < to:
            begin, held = self._window
            if not begin <= at < begin + len(held):
                wanted = f"bytes={at}-{min(at + _PARTS_BYTES, self.parts_bytes) - 1}"
                async with self.objects.open(self.place.bucket, self.place.key, wanted) as stream:
                    begin, held = self._window = at, await stream.read()
            piece = held[at - begin : to - begin]
            yield piece
            at += len(piece)

    async def _image(self, gap: Gap, first: int, last: int) -> AsyncGenerator[bytes, None]:
        whole = (first, last) == (0, gap.size)
        wanted, crc = None if whole else f"bytes={first}-{last - 1}", 0
        try:
            async with self.objects.open(self.images_bucket, gap.key, wanted) as stream:
                if stream.size != gap.size:
                    raise _gone()
                async for chunk in stream.iter_chunks():
                    crc = zlib.crc32(chunk, crc)
                    yield chunk
        except NotFound:
            raise _gone() from None
        if whole and crc != gap.crc:  # the connection is cut: who unpacks it would find a damaged archive
            raise Unavailable("An image in the store is not the one that was exported.", code="export_outdated")


class BundleStream:
    """An archive, or a range of it, that is being sent."""

    def __init__(self, whole: Bundle, start: int, end: int, is_range: bool) -> None:
        self._bundle, self._start, self._end = whole, start, end
        self.length = end - start
        self.content_range = f"bytes {start}-{end - 1}/{whole.size}" if is_range else None

    def iter_chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes. Raises NotFound when an image is there no more, Unavailable when the store breaks off."""
        return self._bundle.chunks(self._start, self._end)


def _gone() -> NotFound:
    return NotFound("An image of this export has been replaced or removed since. Export again.", code="export_outdated")
