"""Thumbnails that are in memory, for the server to send at once.

An address is remembered once its link was found good; whether it still is, is asked each time: its expiry, whether the
person may still see the dataset, and whether the link still means the present version of the image. What the caches do
not say goes the usual way.
"""

import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from labeler_api.http.at_once import Names, Ready
from labeler_api.http.endpoint import matches
from labeler_api.http.response import lines
from labeler_api.images.media.service import Thumbnail, how_long
from labeler_api.resilience.caches import Caches
from labeler_api.tokens.signed_links import LinkQuery, object_version

BEGINNING = b"/media/thumbnails/"
ROUTE = "/media/thumbnails/{dataset_id}/{image_id:path}"
_LONGEST_BYTES = 2048  # of an address that is remembered; ours have some 300


class _Known(Struct, frozen=True):
    """What a good link to a thumbnail means."""

    image: tuple[str, str]
    viewer: tuple[str, int]
    version: str
    expires: int
    key: str
    etag: str
    lines: bytes
    """Header fields of its answer, but for how long it may be kept and its length."""


def remember(caches: Caches, address: bytes, image: tuple[str, str], query: LinkQuery, thumbnail: Thumbnail) -> None:
    """Remember what an address leads to, which was found good just now."""
    known: _Known | None = caches.addresses.get(address)
    if len(address) > _LONGEST_BYTES or (known is not None and known.key == thumbnail.key):
        return
    viewer, kept = (image[0], query.u), lines(thumbnail.fields[1:])
    caches.addresses.put(address, _Known(image, viewer, query.v, query.e, thumbnail.key, thumbnail.etag, kept))


def finder(caches: Caches) -> Callable[[bytes, Names], Ready | None]:
    """Return what finds the answer to an address in these caches."""
    known_at, row_of, may_see, content_of = (
        caches.addresses.get,
        caches.images.get,
        caches.viewers.get,
        caches.thumbnails.present,
    )

    def find(address: bytes, fields: Mapping[bytes, bytes]) -> Ready | None:
        known: _Known | None = known_at(address)
        if known is None or known.expires < time.time():
            return None
        row = row_of(known.image)
        if row is None or row["thumbnail_key"] != known.key or object_version(row) != known.version:
            return None
        if not may_see(known.viewer):
            return None
        kept = b"cache-control: %b\r\n%b" % (how_long(known.expires), known.lines)
        wanted = fields.get(b"if-none-match")
        if wanted is not None and matches(wanted.decode("latin-1"), known.etag):
            return Ready(ROUTE, 304, kept, b"")
        content = content_of((known.key, known.etag))
        if content is None:
            return None
        return Ready(ROUTE, 200, b"%bcontent-length: %d\r\n" % (kept, len(content)), content)

    return find
