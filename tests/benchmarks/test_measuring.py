"""What counts in a measurement: an answer of another status than the right one, and the work of ended processes."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from benchmarks import generator
from benchmarks.load import Request
from benchmarks.processes import cpu_seconds

WRK = shutil.which("wrk")
GENERATORS = {"python": None, **({"wrk": WRK} if WRK else {})}  # what is used where wrk is not installed, and wrk


@asynccontextmanager
async def answering(statuses: Sequence[int]) -> AsyncIterator[str]:
    """A server that answers with these statuses, one after the other, and then with the last one."""
    left = list(statuses)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                status = left.pop(0) if len(left) > 1 else left[0]
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


@pytest.mark.parametrize("name", list(GENERATORS))
@pytest.mark.parametrize(
    ("wanted", "given", "failed"),
    [
        (304, [304], "none"),
        (304, [304] * 20 + [200], "most"),
        (304, [304] * 20 + [500], "most"),
        (None, [200], "none"),
        (None, [201], "none"),
        (None, [200] * 20 + [302], "some"),
        (None, [200] * 20 + [500], "most"),
    ],
)
async def test_an_answer_of_another_status_is_a_failure(
    name: str, wanted: int | None, given: Sequence[int], failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "_WRK", GENERATORS[name])
    async with answering(given) as url:
        result = await generator.load([Request(url, status=wanted)] * 2, connections=2, seconds=1)
    assert result.requests > 40
    if failed == "none":
        assert result.failures == 0
    else:
        assert result.failures > (result.requests // 2 if failed == "most" or name == "python" else 0)


_WORK = "import time; started = time.process_time()\nwhile time.process_time() - started < 0.5: pass"
_SERVER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_WORK!r}]); print(1, flush=True); input()"


def test_what_a_child_had_cost_stays_when_it_has_ended() -> None:
    """As PostgreSQL's processes, of which each connection and each parallel worker has one."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "1\n"
        assert cpu_seconds(server.pid) >= 0.5
        assert cpu_seconds(server.pid, children=False) < 0.5
        server.communicate("end\n")
