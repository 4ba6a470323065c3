"""Images and thumbnails as they are sent, beside bare handlers: `python -m benchmarks.streams`.

The image is 4 MB; its floor is Starlette with aiobotocore, in 64 KiB at a time. The thumbnail is in the cache; its
floor is a handler that returns the same bytes. The first byte of an image is compared with the store's own, asked by
the same client. It starts the embedded stack in a temporary home, and the bare server beside it.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from benchmarks import figures
from benchmarks.api import stack
from benchmarks.decoding import photograph
from benchmarks.figures import Figures
from benchmarks.load import Request
from benchmarks.pairs import COLUMNS, Asked, Pair, Turns
from benchmarks.people import Person, people
from benchmarks.processes import Cores, Server, api_of, api_process, environment_of, pinned
from labeler_api.object_store.presigning import Presigner

SIZE = (2940, 2200)  # of noise, as JPEG: 4 MB
_TIMES = 60  # that the first byte is waited for, each
_WARMING = 5
_SUBJECT = "SELECT s3_key, thumbnail_key, size FROM image_metadata WHERE dataset_id = $1"


@dataclass(frozen=True)
class Picture:
    """A picture that was uploaded: the paths of its links, its keys in the store, and its size."""

    url: str
    thumbnail_url: str
    key: str
    thumbnail_key: str
    size: int


async def uploaded(dsn: str, api: httpx.AsyncClient, person: Person, size: tuple[int, int]) -> Picture:
    """Upload a photograph, as a person does, and ask for its links."""
    body = {"name": "Benchmark of streams", "task_types": ["detection"]}
    made = await api.post("/api/v1/datasets", json=body, headers=person.headers)
    dataset = made.raise_for_status().json()["id"]
    files = [("files", ("photograph.jpg", photograph(*size)))]
    sent = await api.post(f"/api/v1/datasets/{dataset}/images", files=files, headers=person.headers)
    sent.raise_for_status()
    shown = await api.get(f"/api/v1/datasets/{dataset}/images", headers=person.headers)
    (image,) = shown.raise_for_status().json()
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow(_SUBJECT, dataset)
    await connection.close()
    assert row is not None
    links = (_path(image["url"]), _path(image["thumbnail_url"]))
    return Picture(*links, row["s3_key"], row["thumbnail_key"], row["size"])


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@dataclass(frozen=True)
class FirstBytes:
    """Milliseconds until the first byte of the body, ours and the store's, asked in turns."""

    ours: Sequence[float]
    store: Sequence[float]

    @property
    def later(self) -> float:
        """How much later ours comes: the median of the turns."""
        return median(one - other for one, other in zip(self.ours, self.store, strict=True))

    def said(self) -> str:
        """Say it in a sentence."""
        mine, its = (
            f"{median(found):.1f} ms (p95 {quantiles(found, n=20)[-1]:.1f})" for found in (self.ours, self.store)
        )
        return f"First byte of an image: {mine}; the store's {its}; {self.later:.1f} ms later"


async def first_bytes(image: str, stored: str, size: int, times: int) -> FirstBytes:
    """Ask for an image again and again, over a connection of its own each to us and to the store."""
    found: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as exits:
        asking = [await exits.enter_async_context(_asking(url)) for url in (image, stored)]
        for turn in range(times + _WARMING):
            for side, ask in zip(found, asking, strict=True):
                waited = await ask(size)
                if turn >= _WARMING:
                    side.append(waited)
    return FirstBytes(*found)


@asynccontextmanager
async def _asking(url: str) -> AsyncIterator[Callable[[int], Awaitable[float]]]:
    """Lend what asks for an address over one connection, and returns the milliseconds until its first byte."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = Request(url).encoded()

    async def ask(size: int) -> float:
        started = perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1)
        waited = (perf_counter() - started) * 1000
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"an image was answered with {head!r}")
        await reader.readexactly(size - 1)  # the rest
        return waited

    try:
        yield ask
    finally:
        writer.close()


@dataclass(frozen=True)
class Servers:
    """The API process, the bare server, and what both are asked for."""

    api: Server
    floor: Server
    picture: Picture
    stored_url: str

    def asked(self) -> Mapping[str, tuple[Asked, Asked]]:
        """Each call and its floor."""
        paths = {"4 MB image": (self.picture.url, "/image"), "thumbnail": (self.picture.thumbnail_url, "/thumbnail")}
        return {
            name: (
                Asked(self.api.pid, [Request(self.api.url + ours)]),
                Asked(self.floor.pid, [Request(self.floor.url + bare)]),
            )
            for name, (ours, bare) in paths.items()
        }

    async def require_same_bytes(self) -> None:
        """Raise SystemExit where the two answer differently: their rates would not be comparable."""
        async with httpx.AsyncClient(timeout=30) as client:
            for name, both in self.asked().items():
                one, other = [(await client.get(asked.requests[0].url)).raise_for_status().content for asked in both]
                if one != other:
                    raise SystemExit(f"{name}: the bare handler returns other bytes")


@asynccontextmanager
async def servers(ready: Mapping[str, Any], cores: Sequence[int], size: tuple[int, int]) -> AsyncIterator[Servers]:
    """Start the bare server beside a running stack, and upload the picture."""
    api = api_of(ready)
    environment = environment_of(api.pid)
    async with AsyncExitStack() as exits:
        exits.enter_context(pinned(api.pid, cores))
        (person, *_) = await people(ready, environment["JWT_SECRET_KEY"])
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
            picture = await uploaded(ready["databases"]["labeler"], client, person, size)
        keys = {"IMAGE_KEY": picture.key, "THUMBNAIL_KEY": picture.thumbnail_key}
        started = api_process(environment, "-m", "benchmarks.bare_streams", cores=cores, **keys)
        floor = await exits.enter_async_context(started)
        found = Servers(api, floor, picture, _presigned(environment, picture.key))
        await found.require_same_bytes()
        yield found


def _presigned(environment: Mapping[str, str], key: str) -> str:
    region = environment.get("S3_REGION", "us-east-1")
    secrets = environment["S3_ACCESS_KEY"], environment["S3_SECRET_KEY"]
    return Presigner(environment["S3_ENDPOINT"], region, *secrets).link(environment["S3_BUCKET_DATASETS"], key)


async def measured(
    ready: Mapping[str, Any],
    turns: Turns,
    connections: Sequence[int],
    size: tuple[int, int] = SIZE,
    times: int = _TIMES,
) -> tuple[list[Pair], FirstBytes]:
    """Measure beside a running stack."""
    async with servers(ready, turns.cores.servers, size) as running:
        url = running.api.url + running.picture.url
        first = await first_bytes(url, running.stored_url, running.picture.size, times)
        pairs = [
            await turns.pair(name, *both, count) for name, both in running.asked().items() for count in connections
        ]
    return pairs, first


async def main(given: argparse.Namespace) -> None:
    """Run the benchmark, and print its table or write it into the page."""
    turns = Turns(given.seconds, given.rounds, Cores.present())
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home), "--no-demo") as ready:
            pairs, first = await measured(ready, turns, given.connections)
    notes = (first.said(), turns.how)
    figures.show(
        Figures(
            "streams", "Streams beside bare handlers", COLUMNS, [pair.cells() for pair in pairs], notes, ratios(pairs)
        ),
        write=given.write,
    )


def ratios(pairs: Sequence[Pair]) -> dict[str, float]:
    """What is drawn and what a later run is held to: CPU time, which neighbours on the machine hardly change."""
    return {f"{pair.name}, {pair.connections}": pair.cpu_ratio for pair in pairs}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    figures.add_write(parser)
    asyncio.run(main(parser.parse_args()))
