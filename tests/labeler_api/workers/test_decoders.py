"""The processes for hostile input: their limits, their ends, and whose turn it is."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from labeler_api.workers.decoders import Capacity, Decoders, DecodingFailed, capacity
from labeler_api.workers.fair_queue import FairQueue
from labeler_api.workers.limited_process import Needs
from service_kit import container

MIB = 1024 * 1024
PERSON = 1


def pid(_file: IO[bytes], _memory: int) -> int:
    return os.getpid()


def content(file: IO[bytes], _memory: int) -> bytes:
    return file.read(5)


def forever(_file: IO[bytes], _memory: int, note: str) -> int:
    Path(note).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)


def grow(_file: IO[bytes], _memory: int, size: int) -> int:
    return len(bytearray(size))


def crash(_file: IO[bytes], _memory: int) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def at_work(_file: IO[bytes], memory: int, needed: int) -> tuple[float, float] | Needs:
    if memory < needed:
        return Needs(needed)
    began = time.monotonic()
    time.sleep(0.2)
    return began, time.monotonic()


def memory_allowed(_file: IO[bytes], memory: int, needed: int) -> int | Needs:
    return memory if memory >= needed else Needs(needed)


@pytest.fixture
def decoders() -> Decoders:
    return Decoders(Capacity(processes=2, share_bytes=64 * MIB, large_bytes=64 * MIB))


@pytest.fixture
async def file() -> AsyncIterator[IO[bytes]]:
    with tempfile.TemporaryFile() as opened:
        opened.write(b"hello, and more")
        opened.flush()
        yield opened


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def noted(path: Path) -> int:
    async with asyncio.timeout(60):
        while not (found := read(path)):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return int(found)


async def gone(process_id: int) -> None:
    async with asyncio.timeout(30):
        while psutil.pid_exists(process_id) and psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_process_is_kept_and_reads_the_file_from_its_beginning(decoders: Decoders, file: IO[bytes]) -> None:
    first = await decoders.run(PERSON, pid, file, 15)
    assert first == await decoders.run(PERSON, pid, file, 15) != os.getpid()
    for size in (15, 2 * MIB):  # along with the call, and from the open file
        file.seek(7)
        assert await decoders.run(PERSON, content, file, size) == b"hello"


async def test_it_ends_when_its_caller_leaves(decoders: Decoders, file: IO[bytes], tmp_path: Path) -> None:
    work = asyncio.create_task(decoders.run(PERSON, forever, file, 15, str(tmp_path / "pid")))
    process_id = await noted(tmp_path / "pid")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await gone(process_id)
    assert await decoders.run(PERSON, content, file, 15) == b"hello"


async def test_it_ends_when_it_takes_too_long(
    decoders: Decoders, file: IO[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decoders.run(PERSON, pid, file, 15)
    monkeypatch.setattr("labeler_api.workers.decoders._WALL_SECONDS", 2.0)
    with pytest.raises(DecodingFailed, match="more than 2 seconds"):
        await decoders.run(PERSON, forever, file, 15, str(tmp_path / "pid"))
    await gone(await noted(tmp_path / "pid"))


async def test_memory_beyond_its_share_fails_the_call_and_nothing_else(decoders: Decoders, file: IO[bytes]) -> None:
    first = await decoders.run(PERSON, pid, file, 15)
    with pytest.raises(DecodingFailed, match="more than 64 MiB of memory"):
        await decoders.run(PERSON, grow, file, 15, 400 * MIB)
    assert await decoders.run(PERSON, grow, file, 15, 60 * MIB) == 60 * MIB
    assert await decoders.run(PERSON, pid, file, 15) == first


async def test_a_crash_is_the_failure_of_one_call(decoders: Decoders, file: IO[bytes]) -> None:
    with pytest.raises(DecodingFailed, match="crashed"):
        await decoders.run(PERSON, crash, file, 15)
    assert await decoders.run(PERSON, content, file, 15) == b"hello"


async def test_a_process_that_somebody_killed_while_it_was_idle_is_replaced(
    decoders: Decoders, file: IO[bytes]
) -> None:
    killed = await decoders.run(PERSON, pid, file, 15)
    os.kill(killed, signal.SIGKILL)
    assert await decoders.run(PERSON, pid, file, 15) != killed


async def test_what_needs_more_gets_more_and_what_needs_too_much_does_not(decoders: Decoders, file: IO[bytes]) -> None:
    assert await decoders.run(PERSON, memory_allowed, file, 15, 100 * MIB) == 128 * MIB
    with pytest.raises(DecodingFailed, match="takes 200 MiB of memory to decode, and 128 MiB are there"):
        await decoders.run(PERSON, memory_allowed, file, 15, 200 * MIB)


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "import asyncio, io\n"
        "from labeler_api.workers.decoders import Decoders, capacity\n"
        "from tests.labeler_api.workers.test_decoders import forever\n"
        f"asyncio.run(Decoders(capacity()).run(1, forever, io.BytesIO(b'x'), 1, {str(note)!r}))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    worker = await noted(note)
    parent.kill()
    await parent.wait()
    await gone(worker)


async def test_another_person_waits_for_one_turn_and_not_for_a_queue() -> None:
    turns, order = FairQueue(2, each=2), list[int]()

    async def work(person: int) -> None:
        async with turns.turn(person):
            order.append(person)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(work(1) for _ in range(20)), work(2), work(3))
    assert {2, 3} <= set(order[2:5]), order


async def test_a_free_turn_goes_to_whoever_holds_the_fewest() -> None:
    turns, order, ends = FairQueue(2, each=2), list[str](), asyncio.Event()

    async def work(name: str, person: int, end: asyncio.Event) -> None:
        async with turns.turn(person):
            order.append(name)
            await end.wait()

    first = asyncio.Event()
    tasks = [asyncio.create_task(work("another's", 3, first)), asyncio.create_task(work("one", 1, ends))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(work("a second one", 1, ends)), asyncio.create_task(work("of who has none", 2, ends))]
    await asyncio.sleep(0)
    first.set()
    async with asyncio.timeout(5):
        while len(order) < 3:  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0)
    assert order == ["another's", "one", "of who has none"]
    ends.set()
    await asyncio.gather(*tasks)


async def test_one_person_does_not_hold_every_turn() -> None:
    turns, held = FairQueue(3, each=2), asyncio.Event()

    async def hold(person: int) -> None:
        async with turns.turn(person):
            await held.wait()

    greedy = [asyncio.create_task(hold(1)) for _ in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5), turns.turn(2):
        pass
    greedy[0].cancel()
    greedy[4].cancel()  # one that has a turn, one that waits
    held.set()
    assert [type(ended) for ended in await asyncio.gather(*greedy, return_exceptions=True)].count(type(None)) == 3
    async with asyncio.timeout(5), turns.turn(1), turns.turn(1), turns.turn(2):
        pass


async def test_one_person_leaves_a_process_to_others(decoders: Decoders, file: IO[bytes], tmp_path: Path) -> None:
    greedy = [asyncio.create_task(decoders.run(1, forever, file, 15, str(tmp_path / f"{n}"))) for n in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await decoders.run(2, content, file, 15) == b"hello"
    for each in greedy:
        each.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_what_is_lent_to_one_at_a_time_is(file: IO[bytes]) -> None:
    decoders = Decoders(Capacity(processes=4, share_bytes=64 * MIB, large_bytes=64 * MIB))
    calls = [decoders.run(person, at_work, file, 15, 100 * MIB) for person in (1, 2, 3)]
    (first, second, third) = sorted(await asyncio.gather(*calls))
    assert first[1] <= second[0]
    assert second[1] <= third[0]


@pytest.mark.parametrize(
    ("cores", "memory", "workers", "processes"),
    [(64, 512 * MIB, 1, 1), (2, 8 * 1024 * MIB, 1, 3), (64, 2048 * MIB, 1, 4), (8, 16 * 1024 * MIB, 4, 3)],
)
def test_processes_times_their_memory_stay_within_half_of_the_container(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: int, workers: int, processes: int
) -> None:
    monkeypatch.setattr(container, "cores", lambda: cores)
    monkeypatch.setattr(container, "memory_bytes", lambda: memory)
    allowed = capacity(0, workers)
    assert allowed.processes == processes
    assert workers * (allowed.processes * allowed.share_bytes + allowed.large_bytes) <= memory // 2
    assert capacity(256 * MIB, 1).one_call_bytes == 256 * MIB
