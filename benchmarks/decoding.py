"""Pictures a second in processes that can be killed, beside the same work in threads: `python -m benchmarks.decoding`.

Both ways take turns in one run, so that the ratio holds on a busy machine. Before that: what large pictures take.
"""

import asyncio
import io
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import IO

from PIL import Image

from benchmarks import large_pictures
from labeler_api.images.pictures.inspection import inspect_picture
from labeler_api.workers.decoders import Decoders, capacity
from service_kit import container

ROUNDS = 3
PIXELS = 50_000_000
Decode = Callable[[IO[bytes], int], Awaitable[object]]


def photograph(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


async def rate(decode: Decode, content: bytes, number: int) -> float:
    """Pictures a second, with as many callers as there are cores and two."""
    left = iter(range(number))

    async def caller() -> None:
        with tempfile.SpooledTemporaryFile(1024 * 1024) as file:
            file.write(content)
            for _ in left:
                await decode(file, len(content))

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(container.cores() + 2)))
    return number / (time.perf_counter() - started)


async def main() -> None:
    decoders = Decoders(capacity())
    threads = asyncio.Semaphore(container.cores())

    async def in_processes(file: IO[bytes], size: int) -> object:
        return await decoders.run(1, inspect_picture, file, size, PIXELS)

    async def in_threads(file: IO[bytes], _size: int) -> object:
        async with threads:
            return await asyncio.to_thread(inspect_picture, file, 4 << 30, PIXELS)

    for name, content, number in (
        ("12 megapixels", photograph(4000, 3000), 24),
        ("640 x 480", photograph(640, 480), 200),
        ("64 x 48", photograph(64, 48), 400),
    ):
        await rate(in_processes, content, 8)  # start them
        pairs = []
        for _ in range(ROUNDS):
            pairs.append((await rate(in_threads, content, number), await rate(in_processes, content, number)))
        thread, process = sorted(pairs, key=lambda pair: pair[1] / pair[0])[ROUNDS // 2]
        size = f"{len(content) >> 10} KiB"
        print(f"{name} ({size}): threads {thread:.0f}/s, processes {process:.0f}/s, ratio {process / thread:.2f}")  # noqa: T201


if __name__ == "__main__":
    large_pictures.table()
    asyncio.run(main())
