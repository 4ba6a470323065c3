"""Where browsers find an image and its thumbnail."""

import asyncio

from msgspec import Struct

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.images.paths import is_rendition_of
from labeler_api.images.pictures.rendition import NOT_DRAWN
from labeler_api.tokens.signed_links import object_version

_NOT_DRAWN_NAMES = (".tif", ".tiff")
_SIGNED_AT_ONCE = 20  # signing a link of the store takes some 0.2 ms: more of them must not hold the event loop


class ImageLinks(Struct, frozen=True):
    """Absolute URLs; no thumbnail's where there is none."""

    url: str
    thumbnail_url: str | None


async def image_links(call: Call, rows: list[Row]) -> list[ImageLinks]:
    """Make the links of images that the caller may see, in order.

    The rows were read just now and for this caller, so the media route need not ask the database for them at once.
    """
    if call.settings.image_delivery == "presigned":
        return await _presigned(call, rows)
    note_shown(call, rows)
    return _signed(call, rows)


def note_shown(call: Call, rows: list[Row]) -> None:
    """Remember for the media route that these rows were true just now, and that the caller may see the images."""
    caches = call.services.caches
    caches.images.put_all(((row["dataset_id"], row["id"]), row) for row in rows)
    for dataset_id in {row["dataset_id"] for row in rows}:
        caches.viewers.put((dataset_id, call.user_id), True)


def stay_good(call: Call, rows: list[Row]) -> bool:
    """Whether links and rows hold as long as no image changes.

    Links to the store itself are signed again with each call. The rendition of an older image may still be made.
    """
    return call.settings.image_delivery != "presigned" and all(is_shown_as_it_is(row) or shown_key(row) for row in rows)


async def links_to_deleted(call: Call, rows: list[Row]) -> list[ImageLinks]:
    """Make the links of deleted images, in order. An image that is there may have the id of one of them."""
    if call.settings.image_delivery == "presigned":
        return await _presigned(call, rows)
    return _signed(call, rows)


def _signed(call: Call, rows: list[Row]) -> list[ImageLinks]:
    link = call.links.of(call.user_id)
    found = []
    for row in rows:
        path, version = f"{row['dataset_id']}/{row['id']}", object_version(row)
        thumbnail = link("thumbnails", path, version) if row["thumbnail_key"] else None
        found.append(ImageLinks(link("images", path, version), thumbnail))
    return found


async def _presigned(call: Call, rows: list[Row]) -> list[ImageLinks]:
    """Links to the store itself. One outlives a role that is taken away, by a day at most."""
    bucket, sign = call.settings.s3_bucket_datasets, call.objects.presign

    def signed() -> list[ImageLinks]:
        thumbnails = [row["thumbnail_key"] and sign(bucket, row["thumbnail_key"]) for row in rows]
        urls = [_presigned_url(call, row) for row in rows]
        return [ImageLinks(url, link) for url, link in zip(urls, thumbnails, strict=True)]

    return signed() if len(rows) <= _SIGNED_AT_ONCE else await asyncio.to_thread(signed)


def _presigned_url(call: Call, row: Row) -> str:
    key = shown_key(row)
    if key is None and not is_shown_as_it_is(row):  # what is shown of it is made by our own route, when it is asked for
        return _signed(call, [row])[0].url
    return call.objects.presign(call.settings.s3_bucket_datasets, key or row["s3_key"])


def shown_key(row: Row) -> str | None:
    """The key of what browsers are shown instead of the image; None where they draw the image itself."""
    key: str | None = row["rendition_key"]
    return key if key is not None and is_rendition_of(key, row["s3_key"]) else None


def is_shown_as_it_is(row: Row) -> bool:
    """Whether browsers draw the image itself. For an older image only the name may say what it is."""
    if row["content_type"] is None:
        return not str(row["file_name"]).lower().endswith(_NOT_DRAWN_NAMES)
    return row["content_type"] not in NOT_DRAWN


def full_name(row: Row) -> str:
    """The id with the extension of the stored file; an id that is a whole path has it already."""
    image_id, file_name = str(row["id"]), str(row["file_name"])
    if image_id.rpartition("/")[2] == file_name:
        return image_id
    return f"{image_id}.{file_name.rpartition('.')[2]}"
