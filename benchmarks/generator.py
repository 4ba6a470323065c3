"""Load from a process that is not the bottleneck: `wrk` where it is installed, else the client in `benchmarks.load`.

Both send the requests in turns, so that no two connections write to the same row, and run on cores of their own.
"""

import asyncio
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load import Request, Result, measure

_WRK = shutil.which("wrk")
NAME = "wrk" if _WRK else "benchmarks.load (wrk is not installed)"

_LUA = """
local requests, at = {}, 0
function init(args)
  local file = io.open(args[1], "rb")
  while true do
    local size = file:read("*n")
    if not size then break end
    file:read(1)
    requests[#requests + 1] = file:read(size)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\n{"requests": %d, "us": %d, "p50": %d, "p95": %d, "max": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency.max, failed))
end
"""


async def load(requests: Sequence[Request], *, connections: int, seconds: float, cores: Iterable[int] = ()) -> Result:
    """Send the requests in turns, over and over, on so many connections, for about so long."""
    encoded = [request.encoded() for request in requests]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        if _WRK is None:
            spec = {"url": requests[0].url, "connections": connections, "seconds": seconds}
            file.write_text(json.dumps({**spec, "requests": [base64.b64encode(one).decode() for one in encoded]}))
            answer = await _run([sys.executable, "-m", "benchmarks.generator", str(file)], cores)
            return Result(**answer)
        file.write_bytes(b"".join(b"%d %b" % (len(one), one) for one in encoded))
        script = Path(folder) / "requests.lua"
        script.write_text(_LUA)
        parts = urlsplit(requests[0].url)
        # wrk knows whole seconds only.
        command = [_WRK, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        answer = await _run([*command, "-s", str(script), f"http://{parts.netloc}", "--", str(file)], cores)
    rate = answer["requests"] / answer["us"] * 1e6
    return Result(
        rate, answer["p50"] / 1000, answer["p95"] / 1000, answer["max"] / 1000, answer["failed"], answer["requests"]
    )


async def _run(command: Sequence[str], cores: Iterable[int]) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    if cores:
        os.sched_setaffinity(process.pid, cores)
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: {said.decode()}")
    found: Mapping[str, Any] = json.loads(said.decode().strip().splitlines()[-1])
    return found


async def _measured(spec: Mapping[str, Any]) -> Result:
    requests = [_Encoded(spec["url"], base64.b64decode(one)) for one in spec["requests"]]
    return await measure(requests, connections=spec["connections"], seconds=spec["seconds"], in_turns=True)


class _Encoded(Request):
    """A request that is bytes already."""

    def __init__(self, url: str, encoded: bytes) -> None:
        super().__init__(url, body=encoded)

    def encoded(self) -> bytes:
        return self.body


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_measured(json.loads(Path(sys.argv[1]).read_text()))))))  # noqa: T201
