"""What a picture of 100 million pixels takes of memory, and which picture fits into which container, as a table.

`python -m benchmarks.decoding` prints it. The first number is told from the header, before anything is decoded; the
second is seen: the most that a fresh process had beside what it began with.
"""

import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from labeler_api.images.pictures.inspection import inspect_picture
from labeler_api.workers.decoders import capacity
from labeler_api.workers.limited_process import Needs

SIDE = 10_000
MOST_PIXELS = 350_000_000  # the default of MAX_IMAGE_PIXELS
MIB = 1024 * 1024
CONTAINERS = (512, 1024, 2048, 8192)

_CHILD = """
import sys, time, resource
from labeler_api.images.pictures.inspection import Picture, inspect_picture

def memory(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) // 1024

before = memory("VmRSS")
with open(sys.argv[1], "rb") as file:
    found = inspect_picture(file, 1 << 40, 1 << 30)
assert isinstance(found, Picture), found
used = resource.getrusage(resource.RUSAGE_SELF)
print(memory("VmHWM") - before, f"{used.ru_utime + used.ru_stime:.1f}")
"""


def content(side: int, kind: str, mode: str = "RGB", **options: object) -> bytes:
    """A picture with something in each of its corners."""
    image = (
        Image.linear_gradient("L").convert(mode).resize((side, side))
        if mode != "I;16"
        else Image.new(mode, (side, side), 9)
    )
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: content(SIDE, "JPEG"),
    "JPEG, progressive": lambda: content(SIDE, "JPEG", progressive=True),
    "PNG, RGB": lambda: content(SIDE, "PNG", compress_level=1),
    "PNG, RGBA": lambda: content(SIDE, "PNG", "RGBA", compress_level=1),
    "PNG, palette": lambda: content(SIDE, "PNG", "P", compress_level=1),
    "PNG, 16 bits of grey": lambda: content(SIDE, "PNG", "I;16", compress_level=1),
    "TIFF, RGB, deflate": lambda: content(SIDE, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, grey, LZW": lambda: content(SIDE, "TIFF", "L", compression="tiff_lzw"),
    "BMP, RGB": lambda: content(SIDE, "BMP"),
    "GIF": lambda: content(SIDE, "GIF", "P"),
    "WebP": lambda: content(SIDE, "WEBP", quality=50, method=0),
}


def needs(picture: bytes) -> int:
    """Bytes that are told from the header."""
    found = inspect_picture(io.BytesIO(picture), 0, 1 << 30)
    if not isinstance(found, Needs):
        raise TypeError(found)
    return found.memory_bytes


def seen(picture: bytes) -> tuple[str, str]:
    """MiB and seconds of computing of a process that does nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "picture"
        path.write_bytes(picture)
        command = [sys.executable, "-c", _CHILD, str(path)]
        mib, seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return mib, seconds


def most(needed: int, container_mib: int) -> str:
    """Millions of pixels of the largest picture: what it needs grows as its pixels do, or more slowly."""
    allowed = capacity(container_mib * MIB // 2).one_call_bytes
    return str(min(MOST_PIXELS, allowed * SIDE * SIDE // needed) // 1_000_000)


def table() -> None:
    """Print it."""
    names = " | ".join(f"{mib} MiB" if mib < 1024 else f"{mib // 1024} GiB" for mib in CONTAINERS)
    print(f"| 100 million pixels | told | seen | CPU | {names} |")  # noqa: T201
    print(f"|---|---|---|---|{'---|' * len(CONTAINERS)}")  # noqa: T201
    for name, make in PICTURES.items():
        picture = make()
        needed, (mib, seconds) = needs(picture), seen(picture)
        fits = " | ".join(most(needed, container) for container in CONTAINERS)
        print(f"| {name} | {needed // MIB} MiB | {mib} MiB | {seconds} s | {fits} |")  # noqa: T201
