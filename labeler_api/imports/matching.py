"""Which image of the dataset a name in a file means.

1. The image with this very path; the one with this id; the one whose id is the name without its extension.
2. Where there is none: the one image whose path ends in the name, as `train/001.jpg` does in `001.jpg`; or the one
   image whose path the name ends in, as `/home/me/data/train/001.jpg` does in `train/001.jpg`.

Whole folders have to agree: `b/001.jpg` never means `a/001.jpg`. Several images in step 2 are an error, no guess.
"""

import asyncio
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from labeler_api.db.pool import ReadConnection, Row
from labeler_api.imports import store_match
from labeler_api.imports.readers.items import FileImage, PlacedImage, Problems
from labeler_api.names import quoted


async def place(
    connection: ReadConnection,
    dataset_id: str,
    images: Sequence[FileImage],
    problems: Problems,
    missing: Problems | None = None,
) -> list[PlacedImage | None]:
    """Find each image of a file in the dataset: three statements at most. None, and a problem, where it is not.

    Images that are not there are noted in `missing` where that is given, names that several could have in `problems`.
    What is done between the statements takes half a second for the most images that a file may have: in threads.
    """
    missing = problems if missing is None else missing
    names = await asyncio.to_thread(lambda: [_normal(image.name) for image in images])
    named = list(zip(names, images, strict=True))
    wanted = await asyncio.to_thread(_wanted, named)
    rows = await store_match.exact(connection, dataset_id, wanted)
    placed = await asyncio.to_thread(_placed_exactly, named, rows)
    left = [number for number, one in enumerate(placed) if one is None]
    if left:
        unplaced = [named[number] for number in left]
        found_loosely = await _loosely(connection, dataset_id, unplaced, problems, missing)
        for number, one in zip(left, found_loosely, strict=True):
            placed[number] = one
    return placed


def _wanted(named: Sequence[tuple[str, FileImage]]) -> list[str]:
    return sorted({spelling for name, image in named for spelling in _spellings(name, image)})


def _placed_exactly(named: Sequence[tuple[str, FileImage]], rows: Sequence[Row]) -> list[PlacedImage | None]:
    found = _preferred(rows)
    return [_exactly(name, image, found) for name, image in named]


def _normal(name: str) -> str:
    """Spell a path as ids are: NFC, with slashes, relative."""
    text = unicodedata.normalize("NFC", name).replace("\\", "/")
    return "/".join(segment for segment in text.split("/") if segment not in {"", "."})


def _spellings(name: str, image: FileImage) -> Iterator[str]:
    """The name, then the name without its extension."""
    yield name
    folder, slash, last = name.rpartition("/")
    stem = last.rpartition(".")[0]
    if stem and image.has_extension:
        yield folder + slash + stem


def _preferred(rows: Sequence[Row]) -> dict[str, PlacedImage]:
    """Take the image by name; the one with this path goes before the one with this id."""
    ordered = sorted(rows, key=lambda row: row["by_path"])
    return {row["name"]: _placed(row) for row in ordered}


def _exactly(name: str, image: FileImage, found: Mapping[str, PlacedImage]) -> PlacedImage | None:
    return next((found[spelling] for spelling in _spellings(name, image) if spelling in found), None)


async def _loosely(
    connection: ReadConnection,
    dataset_id: str,
    unplaced: Sequence[tuple[str, FileImage]],
    problems: Problems,
    missing: Problems,
) -> list[PlacedImage | None]:
    by_tail = await store_match.by_tail(connection, dataset_id, await asyncio.to_thread(_wanted, unplaced))
    ends = await asyncio.to_thread(_wanted_ends, unplaced)
    by_end = await store_match.exact(connection, dataset_id, ends) if ends else []

    def choose() -> list[PlacedImage | None]:
        shorter, longer = {row["name"]: row for row in by_tail}, _preferred(by_end)
        return [_only_one(name, image, shorter, longer, problems, missing) for name, image in unplaced]

    return await asyncio.to_thread(choose)


def _wanted_ends(unplaced: Sequence[tuple[str, FileImage]]) -> list[str]:
    return sorted({spelling for name, image in unplaced for end in _ends(name) for spelling in _spellings(end, image)})


def _ends(name: str) -> Iterator[str]:
    """Drop the first folder, the first two, …"""
    segments = name.split("/")
    return ("/".join(segments[start:]) for start in range(1, len(segments)))


def _only_one(
    name: str,
    image: FileImage,
    shorter: Mapping[str, Row],
    longer: Mapping[str, PlacedImage],
    problems: Problems,
    missing: Problems,
) -> PlacedImage | None:
    candidates = {}
    for end in _ends(name):
        if (one := _exactly(end, image, longer)) is not None:
            candidates[one.id] = one
    row = next((shorter[spelling] for spelling in _spellings(name, image) if spelling in shorter), None)
    if row is not None:
        candidates[row["id"]] = _placed(row)
    number = len(candidates) + (row["number"] - 1 if row is not None else 0)
    if number == 1:
        return next(iter(candidates.values()))
    if number == 0:
        missing.add(image.place, f"the dataset has no image {quoted(image.name)}")
    else:
        problems.add(image.place, f"{number} images of the dataset could be {quoted(image.name)}; give the whole path")
    return None


def _placed(row: Row) -> PlacedImage:
    return PlacedImage(row["id"], row["width"], row["height"])
