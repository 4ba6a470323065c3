"""The bytes of images and thumbnails, for holders of a signed link who may still see the dataset."""

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Literal

from msgspec import structs

from labeler_api.context import Call, Principal
from labeler_api.db.pool import Row
from labeler_api.errors import Forbidden, NotFound, Unauthenticated
from labeler_api.http.response import Field, encoded
from labeler_api.images.listing import store as listing_store
from labeler_api.images.media import renditions
from labeler_api.images.media.schemas import ImageLinkQuery
from labeler_api.images.pictures import rendition
from labeler_api.images.pictures.formats import CONTENT_TYPES
from labeler_api.images.upload.object_metadata import is_other_version
from labeler_api.members.authorization import service as members
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.object_store.objects import ObjectStream
from labeler_api.tokens.signed_links import LinkQuery, object_version

_THUMBNAIL_BYTES = 1024 * 1024  # ours have some 10 KB; a larger object is not a thumbnail
_SAFE_TYPES = frozenset(CONTENT_TYPES.values())
_OF_ALL = {  # shown as an image and never run as anything else
    "Vary": "Origin",  # a copy that an <img> fetched without CORS must not be given to a canvas
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


@dataclass(frozen=True, slots=True)
class Media:
    """What a good link leads to: where the bytes are, and the headers that go with them."""

    call: Call
    key: str
    size: int | None
    etag: str
    headers: dict[str, str]
    content_sha256: str | None
    content_type: str | None

    def open(self, byte_range: str | None = None) -> AbstractAsyncContextManager[ObjectStream]:
        """Open the object."""
        return self.call.objects.open(self.call.settings.s3_bucket_datasets, self.key, byte_range)

    def refine(self, stream: ObjectStream) -> dict[str, str]:
        """Headers that only the open object can tell."""
        if is_other_version(stream.metadata, self.content_sha256):
            # Not what the row describes: shown, but not to be kept as what the link names.
            return {"Cache-Control": "no-store", "ETag": f'"{stream.etag}"'}
        # A row from before types were stored: the store knows at least what the name said.
        return {} if self.content_type else _type_headers(stream.content_type)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What a good link to a thumbnail leads to: its object, and the header fields of its answer."""

    call: Call
    key: str
    etag: str
    fields: list[Field]
    """How long it may be kept, and behind that what is the same as long as the link is good."""

    async def read(self) -> bytes:
        """Return all of it, from memory when it was asked for lately. Raises NotFound for what is no thumbnail."""
        return await self.call.services.caches.thumbnails.get((self.key, self.etag), self._load)

    async def _load(self) -> bytes:
        async with self.call.objects.open(self.call.settings.s3_bucket_datasets, self.key) as stream:
            if stream.size > _THUMBNAIL_BYTES:
                raise _no_thumbnail()
            return await stream.read()


async def image(call: Call, dataset_id: str, image_id: str, query: ImageLinkQuery) -> Media:
    """Find what browsers are shown of the image of a link, or its original where the query wants it.

    The rendition of an older image is made now. Raises NotFound for a link that is no longer good, whatever the reason.
    """
    row = await _linked(call, "images", dataset_id, image_id, query)
    key = None if query.original else await renditions.key_of(call, row, query.u)
    if key is None:
        return _media(call, query, row, row["s3_key"], row["content_type"])
    media = _media(call, query, row, key, rendition.CONTENT_TYPE)
    return replace(media, size=None, etag=f'"{query.v}-shown"', content_type=rendition.CONTENT_TYPE)


async def thumbnail(call: Call, dataset_id: str, image_id: str, query: LinkQuery) -> Thumbnail:
    """Find the thumbnail of a link. Raises NotFound as `image` does."""
    row = await _linked(call, "thumbnails", dataset_id, image_id, query)
    if row["thumbnail_key"] is None:
        raise _no_thumbnail()
    etag = f'"{query.v}"'
    fields = [(b"cache-control", how_long(query.e)), *_THUMBNAIL_FIELDS, (b"etag", etag.encode("latin-1"))]
    return Thumbnail(call, row["thumbnail_key"], etag, fields)


def _media(call: Call, query: LinkQuery, row: Row, key: str, content_type: str | None) -> Media:
    return Media(
        call=call,
        key=key,
        size=row["size"],
        etag=f'"{query.v}"',
        headers=_headers(query, content_type),
        content_sha256=row["content_sha256"],
        content_type=row["content_type"],
    )


async def _linked(
    call: Call, kind: Literal["images", "thumbnails"], dataset_id: str, image_id: str, query: LinkQuery
) -> Row:
    """Check the link, then that its user may still see the dataset, then that it means the present version.

    A link to a deleted image is good for users who may restore that image.
    """
    call.links.check(kind, f"{dataset_id}/{image_id}", query)
    caches = call.services.caches
    row = caches.images.get((dataset_id, image_id))
    if row is None or object_version(row) != query.v or not caches.viewers.get((dataset_id, query.u)):
        return await _looked_up(call, dataset_id, image_id, query)
    return row


async def _looked_up(call: Call, dataset_id: str, image_id: str, query: LinkQuery) -> Row:
    try:
        profile = await call.directory.require_active(query.u)
    except (Unauthenticated, Forbidden):
        raise _no_such_image() from None
    user = Principal(user_id=profile.id, email=profile.email, is_admin=profile.is_admin, profile=profile)
    call = structs.replace(call, user=user)
    async with call.db.read() as connection:
        access = await members.authorize(connection, call, dataset_id, Role.VIEWER, ProjectLock.NONE)
        row = await listing_store.find(connection, dataset_id, image_id)
        if row is not None:
            call.services.caches.images.put((dataset_id, image_id), row)
            call.services.caches.viewers.put((dataset_id, query.u), True)
            if object_version(row) == query.v:
                return row
        deleted = (
            await listing_store.find_deleted(connection, dataset_id, image_id) if access.role >= Role.ADMIN else []
        )
    for one in deleted:
        if object_version(one) == query.v:
            return one
    if row is None:
        raise _no_such_image()
    raise NotFound("This image has been replaced. Load the list again.", code="image_replaced")


def _no_thumbnail() -> NotFound:
    return NotFound("This image has no thumbnail.", code="thumbnail_not_found")


def _no_such_image() -> NotFound:
    return NotFound("There is no such image, or you may not see it.", code="image_not_found")


def _headers(query: LinkQuery, content_type: str | None) -> dict[str, str]:
    """Headers of every answer with bytes of somebody's."""
    return {"Cache-Control": how_long(query.e).decode(), **_OF_ALL, **_type_headers(content_type)}


def how_long(expires: int) -> bytes:
    """Say how long a browser may keep what a link leads to."""
    return b"private, max-age=%d, immutable" % max(0, expires - int(time.time()))


def _type_headers(content_type: str | None) -> dict[str, str]:
    if content_type in _SAFE_TYPES:
        return {"Content-Type": content_type, "Content-Disposition": "inline"}
    return {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}


_THUMBNAIL_FIELDS = tuple(encoded({**_OF_ALL, **_type_headers("image/jpeg")}))
