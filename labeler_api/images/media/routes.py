"""The bytes of images and thumbnails, behind signed links."""

from starlette.requests import Request
from starlette.responses import Response

from labeler_api.context import Call
from labeler_api.errors import NotFound, RangeNotSatisfiable, TooMany
from labeler_api.http.at_once import address_of
from labeler_api.http.endpoint import endpoint, matches
from labeler_api.http.response import EncodedResponse
from labeler_api.http.streaming import stream_object
from labeler_api.images.media import ready_thumbnails
from labeler_api.images.media import service as media_service
from labeler_api.images.media.schemas import ImageLinkQuery
from labeler_api.tokens.signed_links import LinkQuery


async def get_image(call: Call, dataset_id: str, image_id: str, query: ImageLinkQuery, request: Request) -> Response:
    """Stream an image by a signed link

    Browsers do not draw TIFF: such an image comes as a JPEG of the same size, and with `original=true` as it was sent.
    One range is honoured; several are answered with the whole.
    """
    image = await media_service.image(call, dataset_id, image_id, query)
    return await stream_object(
        request,
        image.open,
        place=call.stream_place(query.u),
        size=image.size,
        etag=image.etag,
        headers=image.headers,
        refine=image.refine,
    )


async def get_thumbnail(call: Call, dataset_id: str, image_id: str, query: LinkQuery, request: Request) -> Response:
    """Get a thumbnail by a signed link"""
    thumbnail = await media_service.thumbnail(call, dataset_id, image_id, query)
    if matches(call.if_none_match, thumbnail.etag):
        return EncodedResponse(b"", 304, thumbnail.fields)
    content = await thumbnail.read()
    ready_thumbnails.remember(call.services.caches, address_of(request.scope), (dataset_id, image_id), query, thumbnail)
    return EncodedResponse(content, 200, [*thumbnail.fields, (b"content-length", b"%d" % len(content))])


# Outside /api/v1 and without a bearer: the link is the credential.
media_routes = [
    endpoint(
        "GET",
        "/media/images/{dataset_id}/{image_id:path}",
        get_image,
        login=False,
        errors=(NotFound, RangeNotSatisfiable, TooMany),
    ),
    endpoint("GET", ready_thumbnails.ROUTE, get_thumbnail, login=False, errors=(NotFound, TooMany)),
]
