"""The photographs of the demo project; `photos/SOURCES.md` says where they come from and under which licence."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

_DIRECTORY = Path(__file__).parent.parent / "photos"
_LARGE_SIZE = (4000, 3488)  # 14 megapixels, four times the original's side: what a camera gives today
_JPEG_QUALITY = 85


def _stored(name: str) -> bytes:
    return (_DIRECTORY / name).read_bytes()


def _large_hubble() -> bytes:
    """Scale one photograph up when it is needed: the repository stays small."""
    with Image.open(_DIRECTORY / "hubble_deep_field.jpg") as original:
        large = original.resize(_LARGE_SIZE, Image.Resampling.BICUBIC)
    content = io.BytesIO()
    large.save(content, "JPEG", quality=_JPEG_QUALITY)
    return content.getvalue()


@dataclass(frozen=True)
class Photograph:
    """One photograph and its path in the dataset; the path without its extension is the image's id."""

    path: str
    read: Callable[[], bytes]

    @property
    def image_id(self) -> str:
        """The id under which the API knows it."""
        return self.path.rsplit(".", 1)[0]


def _from_file(path: str) -> Photograph:
    return Photograph(path, lambda: _stored(path.rsplit("/", 1)[1]))


PHOTOGRAPHS = (
    _from_file("people/astronaut.png"),
    _from_file("people/camera.png"),
    _from_file("animals/chelsea.png"),
    _from_file("animals/chelsea_rotated.jpg"),  # lies on its side; its EXIF orientation says so
    _from_file("objects/coffee.png"),
    _from_file("objects/coins.png"),
    _from_file("objects/clock_motion.png"),
    _from_file("medical/retina.jpg"),
    _from_file("space/rocket.jpg"),
    _from_file("space/hubble_deep_field.jpg"),
    Photograph("space/hubble_deep_field_large.jpg", _large_hubble),
)
