"""Wire types of the links to images."""

from labeler_api.tokens.signed_links import LinkQuery


class ImageLinkQuery(LinkQuery, frozen=True):
    """The query string of a link to an image."""

    original: bool = False
