"""What every answer has in its header, whoever makes it: https, CORS and the request's id."""

import re
from functools import lru_cache
from os import urandom

from labeler_api.http.cors import Cors
from labeler_api.http.response import Field, lines
from labeler_api.settings import Settings

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")  # a year, counted from each answer; of this host
_REMEMBERED = 256  # origins, of which CORS_ORIGINS has a few


class AnswerFields:
    """Header fields of every answer of this process."""

    def __init__(self, settings: Settings) -> None:
        self.cors = Cors(settings.origins)
        # Browsers shall ask by https where that is how the API is reached.
        self.https: tuple[Field, ...] = (_HTTPS_ONLY,) if settings.public_url.startswith("https://") else ()
        self.lines = lru_cache(_REMEMBERED)(lambda origin: lines([*self.https, *self.cors.fields(origin)]))
        """The same as `of`, as bytes and without the id."""

    def of(self, origin: bytes | None, request_id: bytes) -> tuple[Field, ...]:
        """Return the fields of an answer, given the request's Origin and its id."""
        return (*self.https, *self.cors.fields(origin), (b"x-request-id", request_id))


def request_id(given: bytes | None) -> bytes:
    """Return the id that a client gave its request, if it is one; else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else urandom(8).hex().encode()
