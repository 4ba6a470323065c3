"""AWS Signature Version 4 for S3, header form: what botocore's signer computes, in a quarter of its time.

Signing is a third of the CPU that a small object costs. A test holds every signature against botocore's.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs requests to one endpoint; `path` and `query` are as they are sent, encoded, the query in sorted order."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str) -> None:
        parts = urlsplit(endpoint)
        standard = {"http": 80, "https": 443}.get(parts.scheme)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        # A client leaves the scheme's own port out of Host, and Host is part of what is signed.
        self._host = f"{host}" if parts.port in {None, standard} else f"{host}:{parts.port}"
        self._access_key, self._secret_key, self._region = access_key, secret_key, region
        self._day, self._day_key = "", b""

    def sign(
        self, method: str, path: str, query: str, headers: Mapping[str, str], sha256: str, now: datetime | None = None
    ) -> dict[str, str]:
        """Return the headers to send: the given ones, the date, the digest of the body and the signature."""
        moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        own = {name.lower(): value for name, value in headers.items()}
        own |= {"host": self._host, "x-amz-date": moment, "x-amz-content-sha256": sha256}
        names = sorted(own)
        # Runs of spaces count as one in what is signed, and only there.
        lines = "".join(f"{name}:{' '.join(own[name].split())}\n" for name in names)
        signed = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{sha256}"
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = _hmac(self._key_of(moment[:8]), text).hex()
        own["authorization"] = (
            f"{_ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return own

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = _hmac(key, part)
            self._day, self._day_key = day, key
        return self._day_key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
