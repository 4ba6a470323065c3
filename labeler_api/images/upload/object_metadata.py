"""The metadata of an image's object, by which an object that is not its row's is recognised."""

from collections.abc import Mapping

from labeler_api.images.upload.store import Stored


def describe(image: Stored) -> dict[str, str]:
    """Make the metadata of an image's object."""
    return {"sha256": image.content_sha256, "width": str(image.width), "height": str(image.height)}


def is_other_version(metadata: Mapping[str, str], content_sha256: str | None) -> bool:
    """Whether an object says that its bytes are not those of the row.

    Uploads from before each had a key of its own could leave that behind; `labeler images check` finds it.
    """
    said = metadata.get("sha256")
    return said is not None and said != content_sha256
