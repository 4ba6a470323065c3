"""Photographs of 12 megapixels stored a second, beside a bare program: `python -m benchmarks.uploads`.

The bare one decodes, makes the same thumbnail and puts the same two objects. Ours receives a form, as the frontend
sends it, and answers when the rows are there. Both take turns within one run, with all cores: so the client, which
sends from a file and computes nothing, and the store are beside either.
"""

import argparse
import asyncio
import io
import json
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
from PIL import Image

from benchmarks import figures
from benchmarks.api import stack
from benchmarks.figures import Figures
from benchmarks.pairs import load_now
from benchmarks.people import Person, people
from benchmarks.processes import Server, api_of, api_process, cpu_seconds, environment_of

SIZE = (4000, 3000)
COLUMNS = ("photographs", "a second", "bare", "ratio", "by CPU", "CPU ms each: ours", "bare")
_BOUNDARY = "a-photograph-does-not-contain-this-line"


def photograph(size: tuple[int, int]) -> bytes:
    """Make a JPEG with as many bytes as a photograph of its size has: noise that is not sharp to the last pixel."""
    noise = Image.effect_noise((size[0] // 4, size[1] // 4), 60).convert("RGB")
    out = io.BytesIO()
    noise.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
    return out.getvalue()


@dataclass(frozen=True)
class Round:
    """What storing some photographs took, in seconds, and the CPU time of the process and of those that it started."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Uploads:
    """Rounds of ours and of the bare one, in turns, of so many photographs each."""

    number: int
    ours: Sequence[Round]
    floor: Sequence[Round]

    @property
    def ratio(self) -> float:
        """Our rate in parts of the bare one: the median of the rounds."""
        return median(least.seconds / one.seconds for one, least in zip(self.ours, self.floor, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """The bare one's CPU time in parts of ours."""
        return median(least.cpu / max(one.cpu, 0.01) for one, least in zip(self.ours, self.floor, strict=True))

    def cells(self) -> list[str]:
        """A row of a table with COLUMNS."""
        rates = [median(self.number / one.seconds for one in rounds) for rounds in (self.ours, self.floor)]
        spent = [median(one.cpu * 1000 / self.number for one in rounds) for rounds in (self.ours, self.floor)]
        return [
            *(str(self.number), *(f"{rate:.1f}" for rate in rates), f"{self.ratio:.2f}", f"{self.cpu_ratio:.2f}"),
            *(f"{milliseconds:.0f}" for milliseconds in spent),
        ]


@dataclass(frozen=True)
class Form:
    """A form with so many photographs, in a file that is sent as it is."""

    file: IO[bytes]
    size: int

    @classmethod
    def of(cls, content: bytes, number: int, prefix: str, home: Path) -> "Form":
        """Write it; the names of the photographs begin with `prefix`."""
        path = home / f"{prefix}.form"
        with path.open("wb") as out:
            for count in range(number):
                name = f'Content-Disposition: form-data; name="files"; filename="{prefix}/{count}.jpg"'
                out.write(f"--{_BOUNDARY}\r\n{name}\r\nContent-Type: image/jpeg\r\n\r\n".encode())
                out.write(content + b"\r\n")
            out.write(f"--{_BOUNDARY}--\r\n".encode())
        opened = path.open("rb")
        path.unlink()
        return cls(opened, os.fstat(opened.fileno()).st_size)


async def send(url: str, path: str, form: Form, person: Person) -> bytes:
    """Send a form by the kernel alone, and return the answer's body. Raises SystemExit for any answer but a success."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", f"Content-Length: {form.size}"]
        lines += [f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"]
        lines += [f"{name}: {value}" for name, value in person.headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await asyncio.get_running_loop().sendfile(writer.transport, form.file)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise SystemExit(f"an upload was answered with {head!r} {body[:500]!r}")
    return body


@dataclass(frozen=True)
class Bench:
    """Both programs, and the photograph."""

    api: Server
    floor: Server
    dataset: str
    person: Person
    content: bytes
    home: Path

    async def in_turns(self, number: int, rounds: int) -> Uploads:
        """Store so many photographs with each, again and again; the first round is to warm up."""
        found = Uploads(number, [], [])
        for turn in range(rounds + 1):
            form = Form.of(self.content, number, f"round-{turn}-of-{number}", self.home)
            ours = await _timed(self.api.pid, self._ours(form, number))
            form.file.close()
            floor = await _timed(self.floor.pid, self._bare(number))
            if turn:
                found = Uploads(number, [*found.ours, ours], [*found.floor, floor])
        return found

    async def _ours(self, form: Form, number: int) -> None:
        body = await send(self.api.url, f"/api/v1/datasets/{self.dataset}/images", form, self.person)
        if (stored := json.loads(body)["images_uploaded"]) != number:
            raise SystemExit(f"{stored} of {number} photographs were stored: {body[:500]!r}")

    async def _bare(self, number: int) -> None:
        async with httpx.AsyncClient(timeout=600) as client:
            (await client.post(f"{self.floor.url}/{number}")).raise_for_status()


async def _timed(pid: int, work: Awaitable[None]) -> Round:
    before, started = _spent(pid), perf_counter()
    await work
    return Round(perf_counter() - started, _spent(pid) - before)


def _spent(pid: int) -> float:
    return cpu_seconds(pid) + cpu_seconds(pid, children=False)


@asynccontextmanager
async def bench(ready: Mapping[str, Any], home: Path, size: tuple[int, int]) -> AsyncIterator[Bench]:
    """Start the bare program beside a running stack."""
    api, content = api_of(ready), photograph(size)
    environment = environment_of(api.pid)
    path = home / "photograph.jpg"
    path.write_bytes(content)
    async with AsyncExitStack() as exits:
        bare = api_process(environment, "-m", "benchmarks.bare_uploads", PHOTOGRAPH=str(path))
        floor = await exits.enter_async_context(bare)
        (person, *_) = await people(ready, environment["JWT_SECRET_KEY"])
        async with httpx.AsyncClient(base_url=api.url, headers=person.headers) as client:
            body = {"name": "Benchmark of uploads", "task_types": ["detection"]}
            made = (await client.post("/api/v1/datasets", json=body)).raise_for_status().json()
        yield Bench(api, floor, made["id"], person, content, home)


async def measured(
    ready: Mapping[str, Any], home: Path, numbers: Sequence[int], rounds: int, size: tuple[int, int] = SIZE
) -> tuple[list[Uploads], int]:
    """Measure beside a running stack; also the size of the photograph in bytes."""
    async with bench(ready, home, size) as running:
        return [await running.in_turns(number, rounds) for number in numbers], len(running.content)


def ratios(found: Sequence[Uploads]) -> dict[str, float]:
    """What is drawn and what a later run is held to: CPU time, which neighbours on the machine hardly change."""
    return {f"{one.number} photographs": one.cpu_ratio for one in found}


async def main(given: argparse.Namespace) -> None:
    """Run the benchmark, and print its table or write it into the page."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        async with stack(home, "--no-demo") as ready:
            found, size = await measured(ready, home, given.photographs, given.rounds)
    notes = [f"Each is a JPEG of 12 megapixels and {size / 1e6:.1f} MB; {given.rounds} rounds in turns, {load_now()}"]
    title = "Photographs stored a second"
    figures.show(
        Figures("uploads", title, COLUMNS, [one.cells() for one in found], notes, ratios(found)), write=given.write
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, nargs="+", default=[24], help="in one form")
    parser.add_argument("--rounds", type=int, default=5)
    figures.add_write(parser)
    asyncio.run(main(parser.parse_args()))
