"""Pictures to upload: small, never the same twice, in the two formats that people send most."""

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Picture:
    """A file to upload, and the id that it gets: its path without the extension."""

    path: str
    content: bytes

    @property
    def image_id(self) -> str:
        """The image's id."""
        return self.path.rpartition(".")[0]


def picture(path: str, form: Literal["JPEG", "PNG"]) -> Picture:
    """Make a picture of noise."""
    noise = Image.effect_noise((WIDTH, HEIGHT), 64).convert("RGB")
    file = io.BytesIO()
    noise.save(file, form)
    return Picture(path, file.getvalue())


def dimensions(content: bytes) -> tuple[int, int]:
    """Decode a picture wholly and return its width and height. Raises ValueError when it is none."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.size
    except OSError as error:
        raise ValueError(f"not a picture: {error}") from error
