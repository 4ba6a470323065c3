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

from benchmarks.load import Request, Result, ask_once, measure

_WRK = shutil.which("wrk")
NAME = "wrk" if _WRK else "benchmarks.load (wrk is not installed)"

_LUA = """
local requests, at, threads = {}, 0, {}
wrong = 0  -- of a thread, and no local: `done` asks each thread for its own
function setup(thread)
  threads[#threads + 1] = thread
end
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
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  if response then
    for _, thread in ipairs(threads) do failed = failed + thread:get("wrong") end
  else
    failed = failed + errors.status
  end
  io.write(string.format('\\n{"requests": %d, "us": %d, "p50": %d, "p95": %d, "max": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency.max, failed))
end
"""


# wrk itself counts what is 400 and above. To look at each answer costs it time, so it does where one status alone is
# right: there a call that has become another one would be measured in its place.
_LUA_STATUS = """
function response(status)
  if status ~= %d then wrong = wrong + 1 end
end
"""


async def load(requests: Sequence[Request], *, connections: int, seconds: float, cores: Iterable[int] = ()) -> Result:
    """Send the requests in turns, over and over, on so many connections, for about so long.

    All of them have to be answered by the same status. What is not counts as a failure.
    """
    [status] = {request.status for request in requests}
    encoded = [request.encoded() for request in requests]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        if _WRK is None:
            spec = {"url": requests[0].url, "connections": connections, "seconds": seconds}
            texts = [base64.b64encode(one).decode() for one in encoded]
            file.write_text(json.dumps({**spec, "status": status, "requests": texts}))
            answer = await _run([sys.executable, "-m", "benchmarks.generator", str(file)], cores)
            return Result(**answer)
        file.write_bytes(b"".join(b"%d %b" % (len(one), one) for one in encoded))
        script = Path(folder) / "requests.lua"
        script.write_text(_LUA if status is None else _LUA + _LUA_STATUS % status)
        parts = urlsplit(requests[0].url)
        # wrk knows whole seconds only.
        command = [_WRK, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        wrong = int(await _is_wrong(requests[0]))
        answer = await _run([*command, "-s", str(script), f"http://{parts.netloc}", "--", str(file)], cores)
        wrong += await _is_wrong(requests[0])
    rate = answer["requests"] / answer["us"] * 1e6
    return Result(
        rate,
        answer["p50"] / 1000,
        answer["p95"] / 1000,
        answer["max"] / 1000,
        answer["failed"] + wrong,
        answer["requests"],
    )


async def _is_wrong(request: Request) -> bool:
    """Ask once, where wrk does not look at each answer: a redirection is no failure to it."""
    return request.status is None and not request.is_answered_by(await ask_once(request))


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
    requests = [_Encoded(spec["url"], base64.b64decode(one), spec["status"]) for one in spec["requests"]]
    return await measure(requests, connections=spec["connections"], seconds=spec["seconds"], in_turns=True)


class _Encoded(Request):
    """A request that is bytes already."""

    def __init__(self, url: str, encoded: bytes, status: int | None) -> None:
        super().__init__(url, body=encoded, status=status)

    def encoded(self) -> bytes:
        return self.body


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_measured(json.loads(Path(sys.argv[1]).read_text()))))))  # noqa: T201
