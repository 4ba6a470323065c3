"""The one door that every path of an upload goes through: names of parts and of archive members alike."""

import re
import unicodedata
from dataclasses import dataclass

from labeler_api.errors import AppError

_MAX_CHARACTERS = 255  # of image_metadata.id, which may become the whole path
_MAX_KEY_BYTES = 1000  # S3 allows 1024; the thumbnail's key is a little longer than the image's
_FORBIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}  # control characters, halves of characters, line separators
_DRIVE = re.compile(r"[A-Za-z]:")


class Refused(AppError):
    """A file of an upload is not taken; the detail is the reason that its sender is told."""

    status = 422
    code = "file_refused"


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A relative path that is safe in a key: normalised (NFC), without a segment that points elsewhere or hides."""

    text: str

    @property
    def stem(self) -> str:
        """The path without its last extension: the image's id, unless another extension holds it."""
        folder, slash, name = self.text.rpartition("/")
        return folder + slash + (name.rpartition(".")[0] or name)

    @property
    def name(self) -> str:
        """The last segment."""
        return self.text.rpartition("/")[2]

    @property
    def folder(self) -> str | None:
        """Everything before the last segment, None at the top."""
        return self.text.rpartition("/")[0] or None


def image_path(given: str, dataset_id: str) -> ImagePath:
    """Check and normalise a path. Raises Refused with a reason."""
    text = unicodedata.normalize("NFC", given)
    if not text.strip():
        raise Refused("it has no name")
    if "\ufffd" in text:
        raise Refused("its name is not UTF-8")
    if any(unicodedata.category(character) in _FORBIDDEN for character in text):
        raise Refused("its name holds a control character")
    if "\\" in text:
        raise Refused("its path holds a backslash; separate folders with /")
    if text.startswith("/") or _DRIVE.match(text):
        raise Refused("its path is absolute; send one relative to the dataset")
    for segment in text.split("/"):
        _check_segment(segment)
    if len(text) > _MAX_CHARACTERS:
        raise Refused(f"its path is longer than {_MAX_CHARACTERS} characters")
    if len(image_key(dataset_id, text).encode()) > _MAX_KEY_BYTES:
        raise Refused(f"its path is longer than the {_MAX_KEY_BYTES} bytes that the store takes")
    return ImagePath(text)


def _check_segment(segment: str) -> None:
    if segment == "..":
        raise Refused("its path points upwards (..)")
    if segment == "__MACOSX":
        raise Refused("it belongs to macOS (__MACOSX) and is no image")
    if segment.startswith("."):
        raise Refused("its path holds a name that begins with a dot")
    if not segment.strip():
        raise Refused("its path holds an empty name")


def image_key(dataset_id: str, path: str) -> str:
    """The key of an image in the bucket of datasets."""
    return f"datasets/{dataset_id}/images/{path}"


def thumbnail_key(dataset_id: str, stem: str, token: str) -> str:
    """The key of one thumbnail. The token makes it new for every upload, so that no two of them share a key."""
    return f"datasets/{dataset_id}/thumbnails/{stem}.{token}.jpg"
