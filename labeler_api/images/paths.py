"""Checks the path of every uploaded file: names of parts and of archive members alike."""

import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple, Self

from labeler_api.errors import FileRejected
from labeler_api.text.names import is_unseen

_MAX_CHARACTERS = 255  # of image_metadata.id, which may become the whole path
_MAX_GIVEN = 4 * _MAX_CHARACTERS  # a character may be sent as a letter and its accents
_MAX_FOLDER_BYTES = 255  # on any disk; stores keep a folder of a key as one, and of a file's name its beginning
_MAX_KEY_BYTES = 1024  # S3's and R2's limit
_MAX_ROW_KEY = 1000  # of image_metadata.rendition_key
_MAX_STEM_BYTES, _MAX_EXTENSION_BYTES = 200, 16  # MinIO keeps a segment as a file's name, which may have 255 bytes
_TOKEN_BYTES = 8  # a billion uploads of one path meet with a chance of one in forty
_FORBIDDEN = {"Co", "Cn"}  # private-use and unassigned characters: they come from names in another encoding
_DRIVE = re.compile(r"[A-Za-z]:")


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


def normal(given: str) -> str:
    """Spell a path as ids are: NFC, with / between folders, without segments that say nothing (`a//b`, `./a`).

    It is not checked: what leads upwards or begins at a root still does, and a folder still ends with /.
    """
    text = unicodedata.normalize("NFC", given).replace("\\", "/")
    root = "/" if text.startswith("/") else ""
    segments = [segment for segment in text.split("/") if segment not in {"", "."}]
    folder = "/" if segments and text.endswith(("/", "/.")) else ""
    return root + "/".join(segments) + folder


def image_path(given: str, dataset_id: str) -> ImagePath:
    """Check and normalise a path. Raises FileRejected with a reason."""
    if len(given) > _MAX_GIVEN:  # first: what follows looks at each character, and a name may have 64 KiB of them
        raise _too_long()
    text = normal(given)
    if len(text) > _MAX_CHARACTERS:
        raise _too_long()
    if not text.strip():
        raise FileRejected("it has no name")
    if "\ufffd" in text:
        raise FileRejected("its name is not UTF-8")
    if any(is_unseen(character) or unicodedata.category(character) in _FORBIDDEN for character in text):
        raise FileRejected("its name holds a control character, or one that cannot be seen")
    if text.startswith("/") or _DRIVE.match(text):
        raise FileRejected("its path is absolute; send one relative to the dataset")
    *folders, name = text.split("/")
    for segment in (*folders, name):
        _check_segment(segment)
    if any(len(folder.encode()) > _MAX_FOLDER_BYTES for folder in folders):
        raise FileRejected(
            f"its path holds a folder of more than {_MAX_FOLDER_BYTES} bytes in UTF-8, which no disk takes"
        )
    path = ImagePath(text)
    if max(len(key.encode()) for key in ObjectKeys.new(dataset_id, path)) > _MAX_KEY_BYTES:
        raise FileRejected(f"its path is longer than the {_MAX_KEY_BYTES} bytes that the store takes")
    return path


def _too_long() -> FileRejected:
    return FileRejected(f"its path is longer than {_MAX_CHARACTERS} characters")


def _check_segment(segment: str) -> None:
    if segment == "..":
        raise FileRejected("its path points upwards (..)")
    if segment == "__MACOSX":
        raise FileRejected("it belongs to macOS (__MACOSX) and is no image")
    if segment.startswith("."):
        raise FileRejected("its path holds a name that begins with a dot")
    if not segment.strip():
        raise FileRejected("its path holds an empty name")


class ObjectKeys(NamedTuple):
    """Where the objects of one upload of one image lie, in the bucket of datasets.

    The token makes them new for every upload: no upload writes over what another one wrote, so an image that a row
    describes is there, whole, until after the row has been changed. For people the rest of the key is the path; which
    image it is only the row says, by its folder and its file's name.
    """

    image: str
    thumbnail: str
    rendition: str

    @classmethod
    def new(cls, dataset_id: str, path: ImagePath) -> Self:
        """Make keys that no other upload has."""
        folder, slash, name = path.stem.rpartition("/")
        extension = path.text[len(path.stem) :]
        if len(extension.encode()) > _MAX_EXTENSION_BYTES:
            extension = ""
        short = name.encode()[:_MAX_STEM_BYTES].decode(errors="ignore")
        unique = f"{folder}{slash}{short}.{secrets.token_hex(_TOKEN_BYTES)}"
        where = f"datasets/{dataset_id}"
        named = f"{unique}{extension}"
        return cls(f"{where}/images/{named}", f"{where}/thumbnails/{unique}.jpg", f"{where}/renditions/{named}.jpg")


def rendition_key(dataset_id: str, image_key: str) -> str | None:
    """The key of the rendition of an image that is there; None where its own key is too long for that."""
    parts = image_key.split("/", 3)
    key = f"datasets/{dataset_id}/renditions/{parts[-1]}.jpg"
    return key if len(parts) > 3 and len(key.encode()) <= _MAX_ROW_KEY else None  # noqa: PLR2004 - as below


def is_rendition_of(key: str, image_key: str) -> bool:
    """Whether one upload made both: an older API replaces an image and leaves the old key."""
    return key.split("/", 3)[3:] == [f"{rest}.jpg" for rest in image_key.split("/", 3)[3:]]
