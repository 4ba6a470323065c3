"""The contact sheet: the images of a dataset with their annotations drawn over them.

The page itself holds nothing of anybody's. Whoever opens it logs in, and its script makes the calls that the frontend
makes, with that person's token. So it shows what that person may see, by the rules that every call has.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labeler_api.errors import NotFound
from labeler_api.http.pages.page import Page, page
from labeler_api.settings import Settings

_PATH = "/contact-sheet"


def is_shown(settings: Settings) -> bool:
    """Whether there is such a page: it is for the demo, and its form names an account of the demo."""
    return settings.environment in {"development", "test"}


def routes(settings: Settings) -> list[Route]:
    """Serve the page, or say that there is none."""

    async def sheet(_request: Request) -> Response:
        if not is_shown(settings):
            raise NotFound("Not Found")
        made = _page(settings)
        return Response(made.body, headers=made.headers)

    return [Route(_PATH, sheet)]


def _page(settings: Settings) -> Page:
    # Links to thumbnails name the address under which browsers reach the API, or the store's; the page may be opened
    # under another one (127.0.0.1 and localhost).
    own = _origin(settings.public_url)
    store = _origin(settings.s3_public_endpoint or settings.storage_url)
    pictures = store if settings.image_delivery == "presigned" else own
    return page("contact_sheet.html", {}, f"img-src 'self' {pictures}", "connect-src 'self'")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
