"""Signed links to our own media routes (contract#images).

A link names one version of one object and one user. Its expiry is rounded to a window, so that the
same object keeps the same URL for 12 hours and browsers reuse what they hold; every link lives for
at least 12 hours, because the frontend keeps list URLs for as long as a page is open.
"""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from itsdangerous import BadSignature, Signer
from itsdangerous.signer import SigningAlgorithm

from labeler_api.errors import NotFound

Kind = Literal["images", "thumbnails", "exports"]

WINDOW_SECONDS = 12 * 3600
VERSION_CHARACTERS = 16  # of a SHA-256: enough to tell the uploads of one path apart
_EXPORT_SECONDS = 7 * 24 * 3600  # contract#exports
_REMEMBERED = 8192  # links, of some 600 bytes each: eighty pages of images with their thumbnails
_SIGNATURE_CHARACTERS = 43  # sha256 in unpadded base64url


def object_version(row: Mapping[str, Any]) -> str:
    """Name the version of an image's object, from its row: a new upload gives a new link."""
    sha256_hex: str | None = row["content_sha256"]
    return sha256_hex[:VERSION_CHARACTERS] if sha256_hex else f"t{int(row['last_modified'].timestamp())}"


class LinkQuery(msgspec.Struct, frozen=True):
    """The query string of a media link: object version, user, expiry (Unix seconds), signature."""

    v: str
    u: int
    e: int
    s: str


class _Hmac(SigningAlgorithm):
    """HMAC-SHA256 in one call of OpenSSL's: the library's own goes through an object, at three times the time."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """Sign."""
        return hmac.digest(key, value, "sha256")


class _Signer(Signer):
    """The library's; what its keys are derived to is derived once, and not for each link."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(list(keys), salt="media-links", key_derivation="hmac", digest_method=sha256, algorithm=_Hmac())
        self._derived = cache(super().derive_key)

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        """Return the key that a secret is derived to; the newest one's without any."""
        return self._derived(secret_key)


class Links:
    """Makes and checks links. The first key signs; every key is accepted, so that keys can be rotated."""

    def __init__(self, public_url: str, keys: Sequence[str]) -> None:
        self._base = public_url
        self._signer = _Signer(list(reversed(keys)))
        # The same for a whole window, and half of the time that a page of images takes is signing it.
        self._link = lru_cache(maxsize=_REMEMBERED)(self._signed)
        # A browser asks for what it was shown, and a page of thumbnails again and again. Only what was good is kept.
        self._good: dict[tuple[Kind, str, LinkQuery], None] = {}

    def image(
        self, kind: Literal["images", "thumbnails"], dataset_id: str, image_id: str, version: str, user_id: int
    ) -> str:
        """Link to an image or its thumbnail, absolute."""
        return self.of(user_id)(kind, f"{dataset_id}/{image_id}", version)

    def of(self, user_id: int) -> Callable[[Kind, str, str], str]:
        """Link to many images: returns what makes a user's links of this moment, given kind, path and version."""
        link, expires = self._link, self.image_expiry()
        return lambda kind, path, version: link(kind, path, version, user_id, expires)

    def image_expiry(self) -> int:
        """When links to images made now expire, Unix seconds: until the window ends, they are the same."""
        return _window_end(WINDOW_SECONDS)

    def export(self, file: int | str, version: str, user_id: int) -> str:
        """Link to a published version by its id, or to an export by its path; lives for 7 days or a little longer."""
        return self._link("exports", str(file), version, user_id, self.export_expiry())

    def export_expiry(self) -> int:
        """When an export link made now expires, Unix seconds."""
        return _window_end(_EXPORT_SECONDS)

    def check(self, kind: Kind, path: str, query: LinkQuery) -> None:
        """Accept a link or raise NotFound: a bad link tells nothing about what exists."""
        if len(query.s) > _SIGNATURE_CHARACTERS + 1 or query.e < time.time():
            raise _no_such_link()
        asked = (kind, path, query)
        if asked in self._good:
            return
        try:
            valid = self._signer.verify_signature(_payload(kind, path, query.v, query.u, query.e), query.s)
        except (BadSignature, UnicodeEncodeError):
            valid = False
        if not valid:
            raise _no_such_link()
        if len(self._good) >= _REMEMBERED:
            del self._good[next(iter(self._good))]
        self._good[asked] = None

    def _signed(self, kind: Kind, path: str, version: str, user_id: int, expires: int) -> str:
        signature = self._signer.get_signature(_payload(kind, path, version, user_id, expires)).decode()
        return f"{self._base}/media/{kind}/{quote(path)}?v={quote(version)}&u={user_id}&e={expires}&s={signature}"


def _window_end(at_least_seconds: int) -> int:
    """The end of the first window that is at least this many seconds away."""
    return (int(time.time()) + at_least_seconds) // WINDOW_SECONDS * WINDOW_SECONDS + WINDOW_SECONDS


def _payload(kind: Kind, path: str, version: str, user_id: int, expires: int) -> bytes:
    return "\n".join((kind, path, version, str(user_id), str(expires))).encode()


def _no_such_link() -> NotFound:
    return NotFound("This link has expired or is not valid. Load the list again.", code="link_invalid")
