"""The listing of a bucket, page by page."""

from collections.abc import AsyncGenerator
from datetime import datetime
from urllib.parse import quote, unquote_plus

# The stores are the operator's own, and expat refuses entities that grow.
from xml.etree import ElementTree

from labeler_ops.storage.s3 import Store, TransientError

_ATTEMPTS = 5  # two seconds or so: a store that is away should be said to be away soon

Entry = tuple[str, int, str, str]
"""Key, size in bytes, ETag without quotes, time of the last change (RFC 3339)."""


async def pages(
    store: Store, bucket: str, *, at_once: int = 1000, prefix: str = ""
) -> AsyncGenerator[list[Entry], None]:
    """Yield every object of a bucket or of a prefix, in pages of at most a thousand. Raises StorageError."""
    token: str | None = ""
    while token is not None:
        # In the order of the names, as they are signed; encoded keys, since XML cannot carry every character.
        more = f"continuation-token={quote(token, safe='')}&" if token else ""
        below = f"&prefix={quote(prefix, safe='')}" if prefix else ""
        query = f"{more}encoding-type=url&list-type=2&max-keys={at_once}{below}"
        entries, token = await _page(store, bucket, query)
        yield entries


async def _page(store: Store, bucket: str, query: str) -> tuple[list[Entry], str | None]:
    async def ask() -> tuple[list[Entry], str | None]:
        answer = await store.ask("GET", bucket, "", query=query)
        try:
            return _parsed(answer.body)
        except (ElementTree.ParseError, ValueError) as error:
            raise TransientError(f"the listing cannot be read: {error}") from error

    return await store.insist(f"bucket '{bucket}' cannot be listed", ask, attempts=_ATTEMPTS)


def _parsed(content: bytes) -> tuple[list[Entry], str | None]:
    root = ElementTree.fromstring(content)  # noqa: S314 - see the import
    encoded = root.findtext("{*}EncodingType") == "url"

    def entry(node: ElementTree.Element) -> Entry:
        key = node.findtext("{*}Key", "")
        modified = datetime.fromisoformat(node.findtext("{*}LastModified", ""))
        etag = node.findtext("{*}ETag", "").strip('"')
        return unquote_plus(key) if encoded else key, int(node.findtext("{*}Size", "")), etag, modified.isoformat()

    token = root.findtext("{*}NextContinuationToken") if root.findtext("{*}IsTruncated") == "true" else None
    return [entry(node) for node in root.iterfind("{*}Contents")], token
