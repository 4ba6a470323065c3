"""Links of the object store itself, for IMAGE_DELIVERY=presigned.

A link is dated at the beginning of a window, so the same object has the same link for as long as the window lasts:
browsers keep what they have, and a list of links can be unchanged. Every link is good for at least one window more.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

WINDOW_SECONDS = 12 * 3600  # contract#images
LIFE_SECONDS = 2 * WINDOW_SECONDS  # from the window's beginning, so at least one window from now; S3 allows a week
_REMEMBERED = 8192  # links of some 600 bytes, as labeler_api/tokens/signed_links.py remembers its own


class _DatedAuth(S3SigV4QueryAuth):
    """botocore's signer with a date of our choice: its own takes the present second."""

    def __init__(self, credentials: Credentials, region: str, dated: datetime) -> None:
        super().__init__(credentials, "s3", region, expires=LIFE_SECONDS)
        self._dated = dated.strftime(SIGV4_TIMESTAMP)

    def add_auth(self, request: Any) -> None:
        """Sign, as the method that this one replaces does, but for the date."""
        request.context["timestamp"] = self._dated
        # The steps of the library's own method; its types do not name the two private ones.
        self._modify_request_before_signing(request)  # type: ignore[attr-defined]
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))  # type: ignore[attr-defined]


class Presigner:
    """Makes links to one endpoint. No call to the store; what was signed is remembered."""

    def __init__(self, endpoint: str, region: str, access_key: str, secret_key: str) -> None:
        self._endpoint, self._region = endpoint.rstrip("/"), region
        self._credentials = Credentials(access_key, secret_key)
        self._link = lru_cache(maxsize=_REMEMBERED)(self._signed)

    def link(self, bucket: str, key: str, disposition: str | None = None) -> str:
        """Make a link with which anybody may GET the object until the end of the next window."""
        return self._link(bucket, key, disposition, int(time.time()) // WINDOW_SECONDS)

    def _signed(self, bucket: str, key: str, disposition: str | None, window: int) -> str:
        asked = {"response-cache-control": f"private, max-age={WINDOW_SECONDS}, immutable"}
        if disposition:
            asked["response-content-disposition"] = disposition
        url = f"{self._endpoint}/{quote(bucket)}/{quote(key, safe='/~')}?{urlencode(asked, quote_via=quote)}"
        request = AWSRequest("GET", url)
        dated = datetime.fromtimestamp(window * WINDOW_SECONDS, UTC)
        _DatedAuth(self._credentials, self._region, dated).add_auth(request)
        return str(request.url)
