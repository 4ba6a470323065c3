"""Objects copied, verified and listed a second: ours beside rclone, and beside our passes over aiobotocore and obstore.

`python -m benchmarks.objects [--objects N] [--large N] [--keys N] [--rounds N] [--programs A,B] [--rclone PATH]`. Two
SeaweedFS on this machine, the sizes of a labeler (for every image of 50-500 kB a thumbnail of about 10 kB, and so many
files of 80 MB in parts), and a bucket of so many keys that is listed. Each round does every step with every program, as
commands from their start to their end, each round beginning with another one; a copy always goes to new buckets. The
ratio is of one round's figures, so a load that comes and goes hits all. What a program cannot do is said.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import psutil

from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import free_ports
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect, prepare
from labeler_ops.storage.s3 import MIB, Read, Store, digests

CONCURRENCY = 16  # our default, given to rclone as well
STEPS = ("copy", "verify", "list")
KEYS_BUCKET = "keys"
_SAMPLE_SECONDS = 0.05  # between two looks at the memory
_LARGE = 80 * MIB  # in parts
_OURS = "labeler"


@dataclass(frozen=True)
class Measured:
    """One command: seconds by the clock and of CPU, and the most memory that it held, in bytes."""

    seconds: float
    cpu: float
    rss: int


@dataclass
class Figures:
    """What was measured of each program at each step, a list entry a round."""

    steps: dict[str, dict[str, list[Measured]]] = field(default_factory=dict)

    def add(self, step: str, program: str, measured: Measured) -> None:
        self.steps.setdefault(step, {}).setdefault(program, []).append(measured)


def sizes(count: int, large: int) -> Iterator[tuple[str, int]]:
    """Yield keys and sizes in bytes, the same ones every time."""
    generator = random.Random(4)
    for number in range(large):
        yield f"datasets/ds_1/images/large{number}.tif", _LARGE
    for number in range(count // 2):
        yield f"datasets/ds_1/images/train/{number:06}.jpg", int(generator.triangular(50_000, 500_000, 150_000))
        yield f"datasets/ds_1/thumbnails/train/{number:06}.jpg", generator.randrange(5_000, 15_000)


async def fill(access: StorageAccess, wanted: Iterable[tuple[str, int]]) -> int:
    """Put the objects; return their bytes."""
    shared, total = iter(wanted), 0
    noise = random.Random(5).randbytes(_LARGE)

    async def work(store: Store) -> None:
        nonlocal total
        for key, size in shared:
            start = hash(key) % (len(noise) - size + 1)
            body = noise[start : start + size]
            sha256, md5 = await digests(body)
            description = {"content-type": "image/jpeg", "x-amz-meta-original": "photo.jpg"}
            await store.put(access.datasets_bucket, key, Read(size, "", description, sha256, md5, body))
            total += size

    async with Store.open(access, CONCURRENCY) as store:
        await asyncio.gather(*(work(store) for _ in range(CONCURRENCY)))
    return total


async def measure(command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path) -> Measured:
    """Run a command that must succeed."""
    with (cwd / "output.txt").open("wb") as output:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *map(str, command), env={**os.environ, **environ}, cwd=cwd, stdout=output, stderr=output
        )
        watched = psutil.Process(process.pid)
        ending = asyncio.ensure_future(process.wait())
        rss, cpu = 0, 0.0
        while not ending.done():
            with suppress(psutil.Error):
                rss, cpu = max(rss, _memory(watched)), max(cpu, _cpu(watched))
            await asyncio.wait({ending}, timeout=_SAMPLE_SECONDS)
        seconds = time.perf_counter() - began
    if ending.result() != 0:
        raise Failed((cwd / "output.txt").read_text().strip().splitlines()[-1])
    return Measured(seconds, cpu, rss)


class Failed(Exception):
    """A program did not do a step; its last line."""


def _memory(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _cpu(process: psutil.Process) -> float:
    """CPU of a process and its children; of one that ended since the last look nothing is missed but a moment."""
    own = process.cpu_times()
    of_ended = own.children_user + own.children_system
    alive = (one.cpu_times() for one in process.children(recursive=True))
    return own.user + own.system + of_ended + sum(times.user + times.system for times in alive)


def ours(
    client: str, source: StorageAccess, target: StorageAccess, directory: Path
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Give the commands of each step, and their environment."""
    environ = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    for prefix, access in (("SOURCE", source), ("TARGET", target)):
        environ |= {
            f"{prefix}_S3_ENDPOINT": access.endpoint,
            f"{prefix}_S3_ACCESS_KEY": access.access_key,
            f"{prefix}_S3_SECRET_KEY": access.secret_key,
            f"{prefix}_S3_BUCKET_DATASETS": access.datasets_bucket,
            f"{prefix}_S3_BUCKET_ANNOTATIONS": access.annotations_bucket,
        }
    begin = [sys.executable, "-m", "benchmarks.object_clients", client]
    return {step: [*begin, step, str(directory)] for step in STEPS}, environ


def theirs(rclone: Path, source: StorageAccess, target: StorageAccess) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Give rclone's commands of each step, and their environment."""
    environ = {"RCLONE_CONFIG": "/dev/null"}
    for name, access in (("SOURCE", source), ("TARGET", target)):
        prefix = f"RCLONE_CONFIG_{name}_"
        environ |= {
            prefix + "TYPE": "s3",
            prefix + "PROVIDER": "Other",
            prefix + "ENDPOINT": access.endpoint,
            prefix + "ACCESS_KEY_ID": access.access_key,
            prefix + "SECRET_ACCESS_KEY": access.secret_key,
            prefix + "REGION": access.region,
            prefix + "FORCE_PATH_STYLE": "true",
        }
    both = [
        f"source:{source.datasets_bucket}",
        f"target:{target.datasets_bucket}",
        "--checkers",
        str(CONCURRENCY),
        "-q",
    ]
    # Parts as we send them, metadata as we keep it, and no look at every bucket.
    s3 = ["--metadata", "--checksum", "--s3-no-check-bucket", "--s3-upload-cutoff", "64M", "--s3-chunk-size", "16M"]
    copy = [str(rclone), "copy", *both, "--transfers", str(CONCURRENCY), "--fast-list", *s3]
    listing = [str(rclone), "lsjson", "-R", "--fast-list", "--files-only", "--no-mimetype", "--hash", both[1]]
    return {"copy": copy, "verify": [str(rclone), "check", "--download", *both], "list": listing}, environ


async def turn(
    number: int, program: str, rclone: Path, source: StorageAccess, store: StorageAccess, directory: Path, seen: Figures
) -> None:
    """Copy to new buckets with one program, verify with it, remove the buckets, and list."""
    target = replace(store, datasets_bucket=f"{program}-{number}", annotations_bucket=f"{program}-{number}-exports")
    await prepare(target)
    runs = directory / f"runs-{number}-{program}"
    runs.mkdir()
    for step in STEPS:
        there = replace(target, datasets_bucket=KEYS_BUCKET) if step == "list" else target
        commands, environ = theirs(rclone, source, there) if program == "rclone" else ours(program, source, there, runs)
        try:
            seen.add(step, program, await measure(commands[step], environ, directory))
        except Failed as error:
            say(f"{program} does not {step}: {error}")
    async with connect(target) as client:
        for bucket in target.buckets:  # SeaweedFS drops what is in them
            await client.delete_bucket(Bucket=bucket)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def report(seen: Figures, copied: int, keys: int, size: int) -> None:
    """Print the medians, the ratio of every round and its spread."""
    say(f"{copied:,} objects, {size / 1e6:,.0f} MB, {CONCURRENCY} at once; a listing of {keys:,} keys; medians")
    say(f"{'':8}{'':12}{'objects/s':>10}{'MB/s':>7}{'seconds':>9}{'CPU s':>7}{'peak MB':>9}  all rounds, seconds")
    for step, programs in seen.steps.items():
        count = keys if step == "list" else copied
        for program, all_rounds in programs.items():
            seconds = median(one.seconds for one in all_rounds)
            cpu, rss = median(one.cpu for one in all_rounds), max(one.rss for one in all_rounds)
            rounds = " ".join(f"{one.seconds:.1f}" for one in all_rounds)
            say(
                f"{step:8}{program:12}{count / seconds:10.0f}{size / 1e6 / seconds:7.0f}{seconds:9.2f}{cpu:7.2f}"
                f"{rss / 1e6:9.0f}  {rounds}"
            )
        for program in programs.keys() - {_OURS}:
            pairs = list(zip(programs[program], programs[_OURS], strict=True))
            ratios = sorted(other.seconds / own.seconds for other, own in pairs)
            cpu = median(other.cpu / own.cpu for other, own in pairs)
            said = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            say(f"{step:8}{program} takes {said} of the time that we take, and {cpu:.2f} of the CPU")


async def main(count: int, large: int, keys: int, rounds: int, programs: Sequence[str], rclone: Path) -> None:
    """Start both stores, measure, and remove everything."""
    directory = Path(tempfile.mkdtemp(prefix="labeler-objects-"))
    seen = Figures()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        stores = []
        for name in ("source", "target"):
            store = SeaweedServer(directory / name, free_ports(PORT_COUNT), "key", "secret")
            stack.push_async_callback(store.stop)
            await store.start()
            stores.append(store.access)
        size = await fill(stores[0], sizes(count, large))
        many = replace(stores[1], datasets_bucket=KEYS_BUCKET, annotations_bucket=f"{KEYS_BUCKET}-none")
        await prepare(many)
        await fill(many, ((f"datasets/ds_1/images/{number:08}.jpg", 10) for number in range(keys)))
        say(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
        for number in range(rounds):
            first = number % len(programs)
            for program in (*programs[first:], *programs[:first]):
                await turn(number, program, rclone, stores[0], stores[1], directory, seen)
        report(seen, len(list(sizes(count, large))), keys, size)
        say(f"load after: {os.getloadavg()[0]:.2f}")


def find_rclone() -> Path:
    """Find rclone beside this Python or on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = beside if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise SystemExit("rclone is not installed: `make install` brings it, or give --rclone")
    return Path(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=2)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--programs", default="labeler,rclone,aiobotocore", help="of these and obstore; labeler first")
    parser.add_argument("--rclone", type=Path)
    given = parser.parse_args()
    asyncio.run(
        main(
            given.objects,
            given.large,
            given.keys,
            given.rounds,
            given.programs.split(","),
            given.rclone or find_rclone(),
        )
    )
