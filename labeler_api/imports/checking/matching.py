"""Which image of the dataset a name in a file means.

1. The image with this very path; the one with this id; the one whose id is the name without its extension.
2. Where there is none: the one image whose path ends in the name, as `train/001.jpg` does in `001.jpg`; or the one
   image whose path the name ends in, as `/home/me/data/train/001.jpg` does in `train/001.jpg`.
3. Where there is none either: the same with `%20` and the like written out, or written so.
4. At last, by the end of the path alone: the name that Label Studio put eight hexadecimal digits in front of, in a
   folder of its own.

Whole folders have to agree: `b/001.jpg` never means `a/001.jpg`. Several images in one of the steps 2 to 4 are an
error, no guess, and so are several names that mean one image: the labels of one of them would be wrong. A name with
several readings (`FileImage.paired`) takes the first that is there.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from labeler_api.db.pool import ReadConnection, Row
from labeler_api.images.paths import normal
from labeler_api.imports.checking import store
from labeler_api.imports.readers.items import FileImage, PlacedImage, Problems
from labeler_api.text.names import quoted

_UPLOAD_NUMBER = re.compile(r"[0-9A-Fa-f]{8}-(?=.)")  # the start of a UUID: github.com/HumanSignal/label-studio


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The readings of one name, the surest first. `is_last_segment`: the folders in front of it are not known."""

    names: tuple[str, ...]
    has_extension: bool
    is_last_segment: bool = False

    def spellings(self, name: str) -> Iterator[str]:
        """The name, then the name without its extension."""
        yield name
        folder, slash, last = name.rpartition("/")
        stem = last.rpartition(".")[0]
        if stem and self.has_extension:
            yield folder + slash + stem

    def every_spelling(self) -> Iterator[str]:
        return (spelling for name in self.names for spelling in self.spellings(name))

    def every_end(self) -> Iterator[str]:
        ends = (end for name in self.names for end in _ends(name))
        return (spelling for end in ends for spelling in self.spellings(end))


_Found = PlacedImage | int  # or how many images it could be: none, or several


async def place(
    connection: ReadConnection,
    dataset_id: str,
    images: Sequence[FileImage],
    problems: Problems,
    missing: Problems | None = None,
) -> list[PlacedImage | None]:
    """Find each image of a file in the dataset: a statement, two more for what is not there by its exact name.

    None, and a problem, where it is not. Images that are not there are noted in `missing` where that is given, names
    that several could have in `problems`. Names that are not found at all are looked for once more in each spelling of
    other tools that they have: three statements each. What is done between the statements takes half a second for the
    most images that a file may have: in threads.
    """
    missing = problems if missing is None else missing
    wanted = await asyncio.to_thread(_wanted, images)
    found, loose = await _find(connection, dataset_id, wanted)
    for respelled in (_written_out, _percent_encoded, _without_upload_number):
        await _find_missing(connection, dataset_id, wanted, found, respelled)
    return await asyncio.to_thread(_told, images, found, loose, problems, missing)


def _told(
    images: Sequence[FileImage],
    found: Sequence[_Found],
    loose: Collection[int],
    problems: Problems,
    missing: Problems,
) -> list[PlacedImage | None]:
    names: dict[str, set[str]] = {}
    for image, one in zip(images, found, strict=True):
        if isinstance(one, PlacedImage):
            names.setdefault(one.id, set()).add(_plain(image))
    placed: list[PlacedImage | None] = []
    for number, (image, one) in enumerate(zip(images, found, strict=True)):
        placed.append(None if isinstance(one, int) else one)
        if one == 0:
            missing.add(image.place, f"the dataset has no image {quoted(image.name)}")
        elif isinstance(one, int):
            problems.add(image.place, f"{one} images of the dataset could be {quoted(image.name)}; give the whole path")
        elif number in loose and len(names[one.id]) > 1:
            placed[-1] = None
            problems.add(
                image.place,
                f"{len(names[one.id])} images of the file could be {quoted(one.id)} of the dataset, "
                f"{quoted(image.name)} among them; give the whole paths",
            )
    return placed


def _wanted(images: Sequence[FileImage]) -> list[_Wanted]:
    return [_Wanted(tuple(map(_normal, (*one.paired, one.name))), one.has_extension) for one in images]


def _plain(image: FileImage) -> str:
    """The name without its extension: `a.jpg` and `a` mean the same."""
    folder, slash, last = _normal(image.name).rpartition("/")
    return folder + slash + ((last.rpartition(".")[0] or last) if image.has_extension else last)


async def _find_missing(
    connection: ReadConnection,
    dataset_id: str,
    wanted: Sequence[_Wanted],
    found: list[_Found],
    respelled: Callable[[_Wanted], _Wanted | None],
) -> None:
    """Look once more for what is not there, in another spelling."""
    anew = await asyncio.to_thread(_respelled, wanted, found, respelled)
    if anew:
        again, _ = await _find(connection, dataset_id, list(anew.values()))
        for number, one in zip(anew, again, strict=True):
            found[number] = one


def _respelled(
    wanted: Sequence[_Wanted], found: Sequence[_Found], respelled: Callable[[_Wanted], _Wanted | None]
) -> dict[int, _Wanted]:
    return {number: other for number, one in enumerate(found) if one == 0 and (other := respelled(wanted[number]))}


def _written_out(wanted: _Wanted) -> _Wanted | None:
    """`a%20b.jpg` is `a b.jpg` in the form of URLs."""
    return _other(wanted, lambda name: _normal(unquote(name, errors="strict")))


def _percent_encoded(wanted: _Wanted) -> _Wanted | None:
    """The images may have come with names out of URLs, too."""
    return _other(wanted, quote)


def _other(wanted: _Wanted, respell: Callable[[str], str]) -> _Wanted | None:
    try:
        names = tuple(respell(name) for name in wanted.names)
    except UnicodeDecodeError:
        return None
    return _Wanted(names, wanted.has_extension) if names != wanted.names else None


def _without_upload_number(wanted: _Wanted) -> _Wanted | None:
    """Label Studio makes `images/3b4f0a1b-cat.jpg` of what was uploaded as `cat.jpg`, wherever that lay."""
    last = wanted.names[-1].rpartition("/")[2]
    if not (number := _UPLOAD_NUMBER.match(last)):
        return None
    plain = last[number.end() :]
    names = dict.fromkeys((plain, _normal(unquote(plain, errors="replace")).rpartition("/")[2] or plain))
    return _Wanted(tuple(names), wanted.has_extension, is_last_segment=True)


async def _find(
    connection: ReadConnection, dataset_id: str, wanted: Sequence[_Wanted]
) -> tuple[list[_Found], set[int]]:
    """Find images, and say which of them, if any, were not found by their exact names."""
    rows = await store.exact(connection, dataset_id, await asyncio.to_thread(_spellings, wanted))
    exact, found = await asyncio.to_thread(_found_exactly, wanted, rows)
    left = [number for number, one in enumerate(found) if one == 0]
    if left:
        loosely = await _find_loosely(connection, dataset_id, [wanted[number] for number in left], exact)
        for number, one in zip(left, loosely, strict=True):
            found[number] = one
    return found, set(left)


async def _find_loosely(
    connection: ReadConnection, dataset_id: str, wanted: Sequence[_Wanted], exact: Mapping[str, PlacedImage]
) -> list[_Found]:
    by_tail = await store.by_tail(connection, dataset_id, await asyncio.to_thread(_spellings, wanted))
    ends = await asyncio.to_thread(_spelled_ends, wanted)
    by_end = await store.exact(connection, dataset_id, ends) if ends else []

    def choose() -> list[_Found]:
        tails, longer = {row["name"]: row for row in by_tail}, _preferred(by_end)
        return [
            _by_last_segment(one, exact, tails) if one.is_last_segment else _loosely(one, tails, longer)
            for one in wanted
        ]

    return await asyncio.to_thread(choose)


def _spellings(wanted: Sequence[_Wanted]) -> list[str]:
    return sorted({spelling for one in wanted for spelling in one.every_spelling()})


def _spelled_ends(wanted: Sequence[_Wanted]) -> list[str]:
    return sorted({spelling for one in wanted for spelling in one.every_end()})


def _found_exactly(wanted: Sequence[_Wanted], rows: Sequence[Row]) -> tuple[dict[str, PlacedImage], list[_Found]]:
    exact = _preferred(rows)
    return exact, [_exactly(one, exact) or 0 for one in wanted]


def _normal(name: str) -> str:
    """Spell a path as ids are, relative whatever it was."""
    return normal(name).strip("/")


def _preferred(rows: Sequence[Row]) -> dict[str, PlacedImage]:
    """Take the image by name; the one with this path goes before the one with this id."""
    found = {row["name"]: _placed(row) for row in rows if not row["by_path"]}
    found |= {row["name"]: _placed(row) for row in rows if row["by_path"]}
    return found


def _exactly(wanted: _Wanted, exact: Mapping[str, PlacedImage]) -> PlacedImage | None:
    if wanted.is_last_segment:
        return None
    if (one := exact.get(wanted.names[0])) is not None:  # most are there by the first spelling
        return one
    return next((exact[spelling] for spelling in wanted.every_spelling() if spelling in exact), None)


def _ends(name: str) -> Iterator[str]:
    """Drop the first folder, the first two, …"""
    segments = name.split("/")
    return ("/".join(segments[start:]) for start in range(1, len(segments)))


def _loosely(wanted: _Wanted, tails: Mapping[str, Row], longer: Mapping[str, PlacedImage]) -> _Found:
    for name in wanted.names:
        candidates = [
            next((longer[spelling] for spelling in wanted.spellings(end) if spelling in longer), None)
            for end in _ends(name)
        ]
        row = next((tails[spelling] for spelling in wanted.spellings(name) if spelling in tails), None)
        if one := _only_one(candidates, row):
            return one
    return 0


def _by_last_segment(wanted: _Wanted, exact: Mapping[str, PlacedImage], tails: Mapping[str, Row]) -> _Found:
    for spelling in wanted.every_spelling():
        if one := _only_one([exact.get(spelling)], tails.get(spelling)):
            return one
    return 0


def _only_one(candidates: Sequence[PlacedImage | None], row: Row | None) -> _Found:
    """Return the image when there is one, or how many there are."""
    images = {one.id: one for one in candidates if one is not None}
    if row is not None:
        images[row["id"]] = _placed(row)
    number = len(images) + (row["number"] - 1 if row is not None else 0)
    return next(iter(images.values())) if number == 1 else number


def _placed(row: Row) -> PlacedImage:
    return PlacedImage(row["id"], row["width"], row["height"], row["orientation"])
