"""Wire types of the list of annotations."""

from typing import Annotated

from msgspec import Meta, Struct

PAGE_LIMIT = 1000  # contract#paging: a greater limit is silently this one


class PageQuery(Struct):
    """Which annotations of a project: by image, and by position or behind a cursor."""

    image_id: Annotated[str, Meta(max_length=255)] = ""
    skip: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=0)] = PAGE_LIMIT
    cursor: str = ""
