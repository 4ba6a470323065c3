"""`labeler up` as a person starts it: a process of its own, on free ports."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

LABELER = Path(sys.executable).with_name("labeler")
READY_SECONDS = 90.0  # two cores that other tests use as well
STOP_SECONDS = 60.0
_CONFIGURATION = ("LABELER_", "USER_", "PLATFORM_", "S3_", "API_", "JWT_", "PG", "DATABASE_", "MEDIA_")


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without what configures the stack, on free ports, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CONFIGURATION)}
    return {**kept, "API_PORT": "0", "USER_GATEWAY_PORT": "0", **variables}


PARTS = ("postgres", "storage", "gateway", "api")
"""The parts of an embedded stack, as the ready file names them."""


class Up:
    """One `labeler up`; use it as a context manager, so that nothing stays behind."""

    def __init__(self, home: Path | None, *arguments: str, files: Path, **variables: str) -> None:
        files.mkdir(parents=True, exist_ok=True)
        self.ready_file = files / "ready.json"
        self.output_file = files / "output.txt"
        self.pids: dict[str, int] = {}
        options = ["--ready-file", str(self.ready_file), *arguments, *(["--home", str(home)] if home else [])]
        with self.output_file.open("w") as output:
            self.process = subprocess.Popen(
                [LABELER, "up", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=clean_environment(**variables),
                start_new_session=True,
            )

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
        self.assert_nothing_left()

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    def ready(self) -> dict[str, Any]:
        """Wait until the whole system answers; what the ready file says."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        facts: dict[str, Any] = json.loads(self.ready_file.read_text())
        self.pids = facts["pids"]
        return facts

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(STOP_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.ended()

    def assert_nothing_left(self, seconds: float = 15.0) -> None:
        """No part is left: not one of the processes, nor one that they started."""
        deadline = time.monotonic() + seconds
        while left := [name for name, pid in self.pids.items() if is_running(pid)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_in(home: Path) -> list[int]:
    """The processes that have this home in their command line or work in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        info: Mapping[str, Any] = process.info
        mentions = any(str(home) in argument for argument in info["cmdline"] or [])
        inside = (info["cwd"] or "").startswith(str(home))
        if (mentions or inside) and info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def log_in(facts: dict[str, Any], role: str = "owner") -> httpx.Client:
    """A client of the API with one account's token."""
    account = next(one for one in facts["accounts"] if one["role"] == role)
    body = {"email": account["email"], "password": account["password"]}
    base = f"{facts['api']}/api/v1"
    answer = httpx.post(f"{base}/auth/login", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return httpx.Client(base_url=base, headers=headers, timeout=30, trust_env=False)


def datasets(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The datasets that the owner sees."""
    with log_in(facts) as client:
        found: list[dict[str, Any]] = client.get("/datasets").json()
    return found
