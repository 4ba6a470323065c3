"""Where each image lies in an archive with images, and a source that renames its images to those paths.

An image lies under its path in the dataset. Readers find its label by that path without the extension, so of `a.jpg`
and `a.png` in one folder the second lies at `a.png.png`, and its label at `a.png.txt`. Paths are compared as disks of
Windows and macOS do: of `A.jpg` and `a.jpg` the second lies at `a.jpg.jpg`. The order of the files decides which one is
the second, so the same images always lie in the same places.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Set
from contextlib import aclosing
from hashlib import blake2b
from itertools import count
from unicodedata import normalize

from msgspec.structs import replace

from labeler_api.versions.formats.archive import safe_path
from labeler_api.versions.formats.source import Annotation, Header, Image, LabeledImage, VersionSource

_DIGEST_BYTES = 16  # no two paths have one; a hundred thousand of them take ten megabytes


class ArchivePaths:
    """Gives each image its place. `label_of` gives the path of an image's label. No two images get the same."""

    def __init__(self, label_of: Callable[[str], str]) -> None:
        self._label_of = label_of
        self._taken = set[bytes]()

    def place(self, file_name: str) -> str:
        """Return where the next image lies."""
        for path in _candidates(safe_path(file_name)):
            text = normalize("NFC", self._label_of(path)).casefold()
            if (digest := blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()) not in self._taken:
                self._taken.add(digest)
                return path
        raise AssertionError  # the candidates never end


def _candidates(path: str) -> Iterator[str]:
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    end = dot + extension if stem else ""
    yield path
    yield path + end
    for number in count(2):
        yield f"{folder}{slash}{name}~{number}{end}"


class Placed:
    """A source without the images that are left out; the others have their paths in the archive as names."""

    def __init__(self, source: VersionSource, label_of: Callable[[str], str], left_out: Set[str]) -> None:
        self._source = source
        self._label_of = label_of
        self._left_out = left_out

    @property
    def header(self) -> Header:
        """What the file says once, about the whole export."""
        return self._source.header

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        """Yield every annotation."""
        places = ArchivePaths(self._label_of)
        image_id: str | None = None
        image: Image | None = None
        async with aclosing(self._source.annotations()) as annotations:
            async for annotation in annotations:
                if annotation.image_id in self._left_out:
                    continue
                if image is None or annotation.image_id != image_id:
                    image_id, image = annotation.image_id, _placed(annotation.image, places)
                yield annotation if image is annotation.image else replace(annotation, image=image)

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        """Yield every image."""
        places = ArchivePaths(self._label_of)
        async with aclosing(self._source.images()) as images:
            async for one in images:
                if one.image_id not in self._left_out:
                    yield LabeledImage(one.image_id, _placed(one.image, places), one.labels)


def _placed(image: Image, places: ArchivePaths) -> Image:
    place = places.place(image.file_name)
    return image if place == image.file_name else replace(image, file_name=place, dataset_name=image.file_name)
