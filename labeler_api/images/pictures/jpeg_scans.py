"""How many times a JPEG goes over its picture, from its markers alone.

A progressive JPEG holds the picture in several scans, each of which may cost as much as decoding all of it, in a few
bytes: a file of 189 KB with 1,000 scans takes 16 seconds. The markers are those of ITU-T T.81, annex B.
"""

import mmap
import re
from dataclasses import dataclass
from typing import IO

# Encoders write about 10; four components with every refinement of the standard's usual script come to some 40.
MAX_SCANS = 64
_START_OF_IMAGE = b"\xff\xd8"
# What follows is no marker: 00 is a data byte FF, FF is padding, D0 to D7 are restarts inside of a scan.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_ALONE = {0x01, 0xD8}  # TEM and SOI have no length
_FRAME_BYTES = 8 + 3 * 4  # length, precision, height, width, number; Pillow knows no more than four components
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC lie between the frames' markers


@dataclass(slots=True)
class Scans:
    """The number of scans, up to one more than are allowed, and the bytes of all coefficients of the picture."""

    count: int = 0
    coefficient_bytes: int = 0

    @property
    def whole_picture_bytes(self) -> int:
        """What the decoder keeps of a picture that it goes over more than once."""
        return self.coefficient_bytes if self.count > 1 else 0


def scans(file: IO[bytes]) -> Scans:
    """Count the scans of the JPEG in `file`. What is damaged ends the count: the decoder says more about it."""
    found = Scans()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if _has_number(file) else _whole(file) as data:
        if data[:2] != _START_OF_IMAGE:
            return found
        position = 2
        while found.count <= MAX_SCANS and (marker := _MARKER.search(data, position)) is not None:
            kind, position = marker[1][0], marker.end()
            if kind == _END_OF_IMAGE:
                break
            if kind in _ALONE:
                continue
            if kind == _START_OF_SCAN:
                found.count += 1
            if kind in _FRAMES:
                found.coefficient_bytes = _coefficient_bytes(bytes(data[position : position + _FRAME_BYTES]))
            position += max(2, int.from_bytes(data[position : position + 2]))
    return found


def _has_number(file: IO[bytes]) -> bool:
    try:
        file.fileno()
    except OSError:
        return False
    return True


def _whole(file: IO[bytes]) -> memoryview:
    file.seek(0)
    return memoryview(file.read())


def _coefficient_bytes(frame: bytes) -> int:
    """Two bytes for each sample of each component, by the frame's header."""
    if len(frame) < _FRAME_BYTES:
        return 0
    height, width = int.from_bytes(frame[3:5]), int.from_bytes(frame[5:7])
    samplings = frame[9 : 8 + 3 * frame[7] : 3]  # of each component: id, sampling, table
    horizontal = max([1, *(sampling >> 4 for sampling in samplings)])
    vertical = max([1, *(sampling & 15 for sampling in samplings)])
    shares = sum((sampling >> 4) * (sampling & 15) for sampling in samplings)
    return 2 * width * height * shares // (horizontal * vertical)
