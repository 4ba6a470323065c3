"""Masks of COCO (RLE) into polygons.

A mask is runs of pixels, column by column, by turns outside and inside; `counts` has their lengths as numbers, or as
the text of pycocotools. Its outline goes through the middle of the edge of its pixels, so that pycocotools makes of the
polygons the same mask again, but for holes, which a polygon of ours cannot have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.text.counted_nouns import counted

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

_MOST_PIXELS = 100_000_000  # of a mask's columns, two bytes each; photographs have a quarter of it
_MOST_SIZE = 2**31  # of the whole mask: what pycocotools can count
_MOST_RUNS = 1_000_000  # a mask of noise in a photograph; outlines of things have some thousand
# Pixels that are traced at once, of the box around what is inside: some 30 bytes each. What is larger is traced by
# every second pixel, or third.
_TRACED = 2_000_000
_ALL_PIXELS = 2_000_000_000  # of all masks of a file, some ten nanoseconds each: larger files must be sent in parts
_MOST_PARTS = 1000  # of one mask; noise has more, and things that people label do not
_NEEDED = 3  # corners
_FIRST_CHARACTER, _LAST_CHARACTER = 48, 111  # of compressed counts: six bits each
_MORE, _SIGN, _VALUE, _BITS = 0x20, 0x10, 0x1F, 5
_SHIFTS = 32  # a count has 31 bits at most: seven characters


class _Mask(msgspec.Struct):
    size: tuple[int, int]
    counts: list[int] | str


_MASK = msgspec.json.Decoder(_Mask)


@dataclass(frozen=True, slots=True)
class Outlined:
    """The parts of a mask as rings of x1, y1, x2, y2, …, how many holes were lost, and how many pixels a step has."""

    rings: list[list[float]]
    holes: int
    step: int


class Masks:
    """Reads the masks of one file, and counts what was lost."""

    def __init__(self) -> None:
        self._left = _ALL_PIXELS
        self._number = self._crowds = self._holes = self._coarse = 0
        self._step = 1

    def rings(self, segmentation: Raw, *, is_crowd: bool) -> list[list[float]]:
        """Make rings of a mask, of x1, y1, x2, y2, … Raises Malformed."""
        found = self.outlined(segmentation)
        self._number += 1
        self._crowds += is_crowd
        self._holes += found.holes
        self._coarse += found.step > 1
        self._step = max(self._step, found.step)
        return found.rings

    def warnings(self) -> list[str]:
        """Say what became of the masks."""
        if not self._number:
            return []
        masks = counted(self._number, "annotation is a mask (RLE); it", "annotations are masks (RLE); they")
        told = [f"{masks} became polygons, one for each part."]
        if self._holes:
            holes = counted(self._holes, "hole of a mask is", "holes of masks are")
            told.append(f"{holes} filled: polygons have none.")
        if self._coarse:
            masks = counted(self._coarse, "mask is", "masks are")
            told.append(f"{masks} larger than {_TRACED} pixels: the outline is exact to {self._step} pixels.")
        if self._crowds:
            crowds = counted(self._crowds, "mask is a crowd", "masks are crowds")
            told.append(f"{crowds} (iscrowd): its polygons are around many things, not one.")
        return told

    def outlined(self, segmentation: Raw) -> Outlined:
        """Make rings of a mask. Raises Malformed."""
        mask = _MASK.decode(segmentation)
        height, width = mask.size
        if abs(height * width) > _MOST_SIZE:
            raise MalformedShape(f"its mask (RLE) is larger than {_MOST_SIZE} pixels")
        runs = _written(mask.counts) if isinstance(mask.counts, str) else mask.counts
        if len(runs) > _MOST_RUNS:
            raise MalformedShape(f"its mask (RLE) has more than {_MOST_RUNS} runs")
        if min(height, width) <= 0 or min(runs, default=-1) < 0 or sum(runs) != height * width:
            raise MalformedShape(f"the counts of its mask (RLE) do not add up to its size of {width} x {height} pixels")
        columns = _columns(runs, height)
        pixels = len(columns) * height
        if pixels > _MOST_PIXELS:
            raise MalformedShape(f"its mask (RLE) is larger than {_MOST_PIXELS} pixels; turn it into polygons")
        self._left -= pixels
        if self._left < 0:
            raise MalformedShape(
                f"the masks (RLE) of this file have more than {_ALL_PIXELS} pixels; import it in parts"
            )
        return _traced(runs, height, columns)


def _columns(runs: Sequence[int], height: int) -> range:
    """The columns that have something inside. Raises Malformed when none has."""
    first, last = runs[0], sum(runs) - (runs[-1] if len(runs) % 2 else 0)
    if first >= last:
        raise MalformedShape("its mask (RLE) has nothing inside")
    return range(first // height, (last - 1) // height + 1)


def _written(text: str) -> list[int]:
    """Read counts as pycocotools writes them: digits of 32, the lowest first; from the fourth on, what was added."""
    if len(text) > _MOST_RUNS * 3:
        raise MalformedShape(f"its mask (RLE) has more than {_MOST_RUNS} runs")
    runs: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - _FIRST_CHARACTER
        if not 0 <= digit <= _LAST_CHARACTER - _FIRST_CHARACTER or shift > _SHIFTS:
            raise MalformedShape("the counts of its mask (RLE) are not those of pycocotools")
        value |= (digit & _VALUE) << shift
        shift += _BITS
        if not digit & _MORE:
            if digit & _SIGN:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))  # noqa: PLR2004 - the format's own rule
            value = shift = 0
    if shift:
        raise MalformedShape("the counts of its mask (RLE) end within a number")
    return runs


def _traced(runs: Sequence[int], height: int, columns: range) -> Outlined:
    # Imported here: a process that reads no mask does without their 20 MB.
    import numpy
    from contourpy import FillType, contour_generator

    ends = numpy.cumsum(numpy.array(runs, numpy.int64)) - columns.start * height
    begun, ended = ends[:-1:2], ends[1::2]
    turns = numpy.zeros(len(columns) * height + 1, numpy.int8)
    turns[begun[begun < ended]] += 1
    turns[ended[begun < ended]] -= 1
    inside = numpy.cumsum(turns[:-1], dtype=numpy.int8).reshape(len(columns), height).T
    rows = numpy.flatnonzero(inside.any(axis=1))
    if not rows.size:
        raise MalformedShape("its mask (RLE) has nothing inside")
    left, top = columns.start, int(rows[0])
    inside = inside[top : int(rows[-1]) + 1]
    step = 1
    while inside.size > _TRACED * step * step:
        step += 1
    inside = inside[::step, ::step]
    # A frame of the outside closes every outline. The threaded kind lets go of the interpreter's lock.
    framed = numpy.zeros((inside.shape[0] + 2, inside.shape[1] + 2), numpy.uint8)
    framed[1:-1, 1:-1] = inside
    generator: Any = contour_generator(z=framed, name="threaded", thread_count=1, fill_type=FillType.OuterOffset)
    polygons, offsets = generator.filled(0.5, 2)
    if len(polygons) > _MOST_PARTS:
        raise MalformedShape(f"its mask (RLE) has more than {_MOST_PARTS} parts")
    # Points are numbers of pixels of the frame, and mean their middles.
    origin = numpy.array((left - step / 2, top - step / 2))
    rings = [
        (_corners(points[: bounds[1] - 1]) * step + origin).ravel().tolist()
        for points, bounds in zip(polygons, offsets, strict=True)
    ]
    return Outlined(rings, sum(len(bounds) - 2 for bounds in offsets), step)


def _corners(points: "NDArray[float64]") -> "NDArray[float64]":
    """Leave out the points that lie on a line between their neighbours."""
    import numpy

    before, after = points - numpy.roll(points, 1, axis=0), numpy.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns] if turns.sum() >= _NEEDED else points
