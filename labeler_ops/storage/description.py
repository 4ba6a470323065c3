"""What a store says about an object in addition to its bytes, in a form that can be compared between stores."""

from collections.abc import Mapping
from email.header import Header, decode_header, make_header

METADATA = "x-amz-meta-"
# What S3 keeps for the one who reads; everything else in an answer belongs to the answer.
_KEPT = frozenset(
    {"content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"}
)
# rclone notes a file's times so on every copy that it makes; they say nothing of the object.
_TIMES = frozenset({METADATA + "mtime", METADATA + "btime"})
_UPLOAD_CODING = "aws-chunked"  # how some clients send a body; older stores keep it as if it were the object's
_WORD_LIMIT = 75  # RFC 2047: an encoded word is no longer


def described(headers: Mapping[str, str]) -> dict[str, str]:
    """Take an object's own headers out of an answer: lower-case names, values as text.

    R2 and AWS give what is not ASCII as RFC 2047 words, MinIO and SeaweedFS as they got it: both are decoded.
    """
    own = {name.lower(): value for name, value in headers.items()}
    own = {name: _decoded(value) for name, value in own.items() if name in _KEPT or name.startswith(METADATA)}
    codings = [coding.strip() for coding in own.pop("content-encoding", "").split(",")]
    if rest := ", ".join(coding for coding in codings if coding and coding != _UPLOAD_CODING):
        own["content-encoding"] = rest
    return own


def wire(description: Mapping[str, str]) -> dict[str, str]:
    """Give the headers that make a store keep a description; HTTP carries ASCII only, so the rest becomes words."""
    return {name: value if value.isascii() else _encoded(value) for name, value in description.items()}


def unlike(source: Mapping[str, str], target: Mapping[str, str]) -> list[str]:
    """Say in what two descriptions differ, a sentence each. Times that one side alone has are no difference."""
    names = sorted((source.keys() | target.keys()) - ((source.keys() ^ target.keys()) & _TIMES))
    return [
        f"{_title(name)} is {_quoted(source.get(name))} on the source, {_quoted(target.get(name))} on the target"
        for name in names
        if source.get(name) != target.get(name)
    ]


def _decoded(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError):  # only looks like words of RFC 2047
        return value


def _encoded(value: str) -> str:
    return Header(value, "utf-8", maxlinelen=_WORD_LIMIT).encode(linesep="")


def _title(name: str) -> str:
    return f"metadata {name.removeprefix(METADATA)!r}" if name.startswith(METADATA) else name


def _quoted(value: str | None) -> str:
    return "absent" if value is None else repr(value)
