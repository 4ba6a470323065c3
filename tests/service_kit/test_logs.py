"""The writer of log lines: whole lines in order, and lines that nobody takes harm nobody."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import FileIO

import pytest

from service_kit.logs import LineWriter, descriptor, tell
from tests.fixtures.timing import check_within

LINE = b'{"event":"request"}'


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """Both ends. They know that they are closed: a number that is closed twice may be a file of another thread."""
    reader, writer = os.pipe()
    with FileIO(reader, "r") as reading, FileIO(writer, "w") as writing:
        yield reading, writing


def test_lines_come_whole_and_in_order(pipe: tuple[FileIO, FileIO]) -> None:
    reader, writer = pipe
    lines = LineWriter(writer.fileno())
    for number in range(1000):
        lines.write(b"line %d" % number)
    lines.close(10)
    lines.write(b"after the end")
    writer.close()
    assert reader.readall().splitlines() == [*(b"line %d" % number for number in range(1000)), b"after the end"]
    assert lines.dropped == 0


def test_a_full_disk_costs_the_lines_and_counts_them() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    lines = LineWriter(full)
    for _ in range(100):
        lines.write(LINE)
    lines.close(10)
    assert lines.dropped == 100
    os.close(full)


def test_a_closed_pipe_costs_the_lines_and_counts_them(pipe: tuple[FileIO, FileIO]) -> None:
    pipe[0].close()
    lines = LineWriter(pipe[1].fileno())
    for _ in range(100):
        lines.write(LINE)
    lines.close(10)
    assert lines.dropped == 100


def test_a_pipe_that_nobody_reads_takes_no_time_and_bounded_memory(pipe: tuple[FileIO, FileIO]) -> None:
    lines = LineWriter(pipe[1].fileno(), queue_bytes=100_000)
    started = time.process_time()
    for _ in range(100_000):
        lines.write(LINE)
    check_within(time.process_time() - started, 5)
    # 64 KiB in the pipe, the rest in the queue.
    assert 90_000 < lines.dropped < 100_000
    started = time.monotonic()
    lines.close(0.2)
    lines.write(LINE)
    check_within(time.monotonic() - started, 5)
    os.read(pipe[0].fileno(), 1 << 20)  # it is read at last, and the thread ends


def test_no_standard_output_at_all() -> None:
    assert descriptor(None) is None
    lines = LineWriter(None)
    lines.write(LINE)
    lines.close(10)
    assert lines.dropped == 1
    tell(None, LINE)


def test_a_pipe_that_does_not_wait_gets_every_line(pipe: tuple[FileIO, FileIO]) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    lines = LineWriter(pipe[1].fileno(), queue_bytes=10_000_000)
    for number in range(20_000):
        lines.write(b"%019d" % number)
    received = b""
    while received.count(b"\n") < 20_000:
        received += os.read(pipe[0].fileno(), 1 << 16)
    assert received.splitlines() == [b"%019d" % number for number in range(20_000)]
    lines.close(10)


def test_a_process_ends_with_a_log_that_nobody_reads(pipe: tuple[FileIO, FileIO]) -> None:
    code = (
        "import sys; from service_kit import logs\n"
        "lines = logs.start(sys.stdout)\n"
        "for _ in range(100000): lines.write(b'x' * 100)\n"
        "lines.close(0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=pipe[1], timeout=60, check=False)
    assert done.returncode == 0
