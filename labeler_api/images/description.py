"""What an image's object says of itself in its metadata, so that a row and an object that part can be told apart."""

from collections.abc import Mapping
from dataclasses import replace

from labeler_api.images.paths import thumbnail_key
from labeler_api.images.upload_store import Stored
from labeler_api.objects import ObjectInfo


def describe(image: Stored, token: str) -> dict[str, str]:
    """Make the metadata of an image's object; `token` is its thumbnail's."""
    return {
        "sha256": image.content_sha256,
        "width": str(image.width),
        "height": str(image.height),
        "thumbnail": token,
    }


def described(dataset_id: str, expected: Stored, info: ObjectInfo) -> Stored | None:
    """Read back what is really there under the key of `expected`; None for an object that says nothing of itself."""
    said = info.metadata or {}
    try:
        return replace(
            expected,
            size=info.size,
            content_type=info.content_type,
            content_sha256=said["sha256"],
            width=int(said["width"]),
            height=int(said["height"]),
            thumbnail_key=thumbnail_key(dataset_id, expected.stem, said["thumbnail"]),
        )
    except (KeyError, ValueError):
        return None


def is_other_version(metadata: Mapping[str, str], content_sha256: str | None) -> bool:
    """Whether an object says that its bytes are not those of the row."""
    said = metadata.get("sha256")
    return said is not None and said != content_sha256
