"""Small bounded caches of one process."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from labeler_api.db.pool import Row
from labeler_api.resilience.single_flight import SingleFlight

T = TypeVar("T")

_MEDIA_SECONDS = 5.0  # contract#images: a removed member loses the images within 5 seconds
_MEDIA_ENTRIES = 20_000  # some 400 pages of 50 images; about 20 MB of rows
_RENDITION_SECONDS = 3600.0  # for an hour, a picture that could not be rendered is not tried again
_THUMBNAIL_BYTES = 64 * 1024 * 1024
_PAGE_BYTES = 64 * 1024 * 1024  # fifty pages of a thousand boxes: those of the projects at work
_COUNT_BYTES = 8 * 1024 * 1024  # two thousand projects of twenty classes
_KIND_SECONDS = 3600.0  # values never change; this frees the memory of inactive users
_KIND_ENTRIES = 50_000  # what two hundred people draw in an hour; about 12 MB
_ADDRESS_SECONDS = 3600.0  # each use checks the link; this frees the memory of inactive users
_ADDRESSES = 8192  # eighty pages of a hundred thumbnails; some 8 MB, and 24 MB of the longest
_LARGEST_SHARE = 8  # one value may take an eighth of the cache at most, or it would push out all the others


class ExpiringCache(Generic[T]):
    """Remembers values for some seconds; when it is full, the oldest go first."""

    def __init__(self, seconds: float, entries: int) -> None:
        self._seconds = seconds
        self._entries = entries
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return the value, or None when there is none that is young enough."""
        entry = self._values.get(key)
        return entry[1] if entry is not None and entry[0] > monotonic() else None

    def put(self, key: Hashable, value: T) -> None:
        """Remember a value that was read just now."""
        self.put_all([(key, value)])

    def put_all(self, pairs: Iterable[tuple[Hashable, T]]) -> None:
        """Remember several."""
        values, until = self._values, monotonic() + self._seconds
        for key, value in pairs:
            values[key] = (until, value)
            values.move_to_end(key)
        while len(values) > self._entries:
            values.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Forget a value that was changed just now."""
        self._values.pop(key, None)


class SizedCache(Generic[T]):
    """Keeps values of a stated size in bytes, the least recently used go first, bounded by the sum."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._values: OrderedDict[Hashable, tuple[int, T]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> T | None:
        """Return the value, or None."""
        entry = self._values.get(key)
        if entry is None:
            return None
        self._values.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Keep a value in place of the one before, unless it is too large to leave room for others."""
        self.size -= self._values.pop(key, (0, None))[0]
        if size * _LARGEST_SHARE > self._limit:
            return
        self._values[key] = (size, value)
        self.size += size
        while self.size > self._limit:
            self.size -= self._values.popitem(last=False)[1][0]


class ByteCache:
    """A `SizedCache` of byte strings that loads what it does not have, once however many ask at the same time.

    `looked_up` is told of every look-up whether the value was there.
    """

    def __init__(self, limit_bytes: int, looked_up: Callable[[bool], None] | None = None) -> None:
        self._looked_up = looked_up or (lambda _found: None)
        self._values: SizedCache[bytes] = SizedCache(limit_bytes)
        self._loads: SingleFlight[Hashable, bytes] = SingleFlight()

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._values.size

    def present(self, key: Hashable) -> bytes | None:
        """Return the value if it is there, and count only that: what is not there will be asked for by `get`."""
        value = self._values.get(key)
        if value is not None:
            self._looked_up(True)
        return value

    async def get(self, key: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the value, loading it where it is not there; errors of `load` pass."""
        value = self._values.get(key)
        self._looked_up(value is not None)
        if value is not None:
            return value
        task = self._loads.running(key) or self._loads.start([key], self._load(key, load))
        # Shielded: the one who asked first may leave while others wait.
        return await asyncio.shield(task)

    async def _load(self, key: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        value = await load()
        self._values.put(key, value, len(value))
        return value


class AnnotationKind(NamedTuple):
    """The parts of an annotation that no change, deletion or restoring alters."""

    project_id: str
    annotation_type: str
    task_type: str


@dataclass(frozen=True, slots=True)
class Caches:
    """What is remembered between requests.

    Media routes: who may see a dataset, the rows of images, thumbnails, and keys of the renditions of images that were
    uploaded before there were renditions (empty if none can be made). `pages`: lists as they were encoded last.
    `counts`: what a project's annotations add up to, by the project's id or its dataset's, with the project and the
    revision that this is true of. `kinds`: annotations by their ids, deleted ones, too. `addresses`: what a good link
    means, by the address as it was sent.
    """

    thumbnails: ByteCache = field(default_factory=lambda: ByteCache(_THUMBNAIL_BYTES))
    viewers: ExpiringCache[bool] = field(default_factory=lambda: ExpiringCache(_MEDIA_SECONDS, _MEDIA_ENTRIES))
    pages: SizedCache[Any] = field(default_factory=lambda: SizedCache(_PAGE_BYTES))
    counts: SizedCache[tuple[Any, str, int]] = field(default_factory=lambda: SizedCache(_COUNT_BYTES))
    renditions: ExpiringCache[str] = field(default_factory=lambda: ExpiringCache(_RENDITION_SECONDS, _MEDIA_ENTRIES))
    kinds: ExpiringCache[AnnotationKind] = field(default_factory=lambda: ExpiringCache(_KIND_SECONDS, _KIND_ENTRIES))
    images: ExpiringCache[Row] = field(default_factory=lambda: ExpiringCache(_MEDIA_SECONDS, _MEDIA_ENTRIES))
    addresses: ExpiringCache[Any] = field(default_factory=lambda: ExpiringCache(_ADDRESS_SECONDS, _ADDRESSES))
