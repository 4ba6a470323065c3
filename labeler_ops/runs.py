"""A run: long work in phases, each written down before and after, so that a run that was cut off goes on where it was.

A run is a directory `runs/<id>/`: `journal.jsonl` (one line an event, on disk before the next step begins), what the
phases write, `report.json` and `report.txt`. Nothing in it holds a password.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from labeler_ops.errors import OperatorError
from labeler_ops.files import write_whole

_CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*://)(?P<user>[^\s:/@]*):(?P<password>[^\s@]*)@")
_SECRET_NAMES = re.compile(r"(?i)\b(\w*(?:password|secret|token|key)\w*)=(\S+)")


class RunError(OperatorError):
    """A run cannot be started or resumed. The text says why, and what to do."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal. `event` is started, ended, failed, forgotten or noted; times are RFC 3339 in UTC."""

    at: str
    phase: str
    event: str
    seconds: float | None = None
    facts: dict[str, Any] = {}


class Run:
    """One run. Made by `start` or `resume`; a phase that has ended is not done again."""

    def __init__(self, directory: Path, events: list[Event]) -> None:
        self.directory = directory
        self.events = events

    @classmethod
    def start(cls, root: Path, kind: str, facts: Mapping[str, Any]) -> "Run":
        """Make a new run; `facts` is what `resume` compares with, such as the two sides without their passwords."""
        moment = datetime.now(UTC)
        directory = root / f"{moment:%Y%m%d-%H%M%S}-{kind}-{os.getpid()}"
        # What is written here says where databases are and holds copies of them.
        directory.mkdir(parents=True, mode=0o700)
        run = cls(directory, [])
        run.note("run", **facts)
        return run

    @classmethod
    def resume(cls, root: Path, run_id: str) -> "Run":
        """Open a run again. Raises RunError when there is none of that id."""
        directory = root / run_id
        if not (directory / "journal.jsonl").is_file():
            known = sorted(path.parent.name for path in root.glob("*/journal.jsonl"))
            raise RunError(f"there is no run {run_id!r} in {root}; there are: {', '.join(known) or 'none'}")
        return cls(directory, _recovered(directory / "journal.jsonl"))

    @classmethod
    def read(cls, directory: Path) -> "Run":
        """Read a run without touching it, for looking at; another process may be at work on it."""
        return cls(directory, _whole(directory / "journal.jsonl")[0])

    def read_again(self) -> None:
        """Learn what another process did with this run since it was opened."""
        self.events = _recovered(self.directory / "journal.jsonl")

    @property
    def id(self) -> str:
        """The name that `--resume` takes."""
        return self.directory.name

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the run was started with."""
        return self.events[0].facts

    def ended(self, phase: str) -> Mapping[str, Any] | None:
        """Return what a phase that has ended left behind, else None. A phase that began again since has not ended."""
        last = next((event for event in reversed(self.events) if event.phase == phase and event.event != "noted"), None)
        return last.facts if last is not None and last.event == "ended" else None

    def began(self, phase: str) -> bool:
        """Whether a phase was ever begun, however it went."""
        return any(event.phase == phase and event.event == "started" for event in self.events)

    def last(self, phase: str) -> str | None:
        """What happened last to a phase."""
        return next((event.event for event in reversed(self.events) if event.phase == phase), None)

    def attempts(self, phase: str) -> int:
        """How often a phase was begun."""
        return sum(event.phase == phase and event.event == "started" for event in self.events)

    @contextmanager
    def phase(self, name: str) -> Iterator[dict[str, Any]]:
        """Do a phase; what the block puts into the dict is what `ended` returns later."""
        facts: dict[str, Any] = {}
        self._write(name, "started")
        started = time.monotonic()
        try:
            yield facts
        except BaseException as error:
            failed = {"error": redacted(f"{type(error).__name__}: {error}")}
            with suppress(OSError):  # a full disk must not hide what it made fail
                self._write(name, "failed", time.monotonic() - started, failed)
            raise
        self._write(name, "ended", time.monotonic() - started, facts)

    def note(self, phase: str, **facts: Any) -> None:
        """Write something down that is no phase's beginning or end."""
        self._write(phase, "noted", None, facts)

    def forget(self, phase: str) -> None:
        """Let a phase that has ended be done again."""
        if self.ended(phase) is not None:
            self._write(phase, "forgotten")

    def path(self, name: str) -> Path:
        """Where a phase keeps a file or a directory of its own."""
        return self.directory / name

    def write(self, name: str, content: object) -> Path:
        """Write a JSON file, whole or not at all."""
        return write_whole(self.path(name), msgspec.json.format(msgspec.json.encode(content), indent=2))

    def _write(
        self, phase: str, event: str, seconds: float | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        rounded = None if seconds is None else round(seconds, 3)
        entry = Event(
            at=datetime.now(UTC).isoformat(),
            phase=phase,
            event=event,
            seconds=rounded,
            facts=_redacted_facts(facts or {}),
        )
        _append(self.directory / "journal.jsonl", msgspec.json.encode(entry) + b"\n")
        self.events.append(entry)


def _append(journal: Path, line: bytes) -> None:
    """Write a line, on disk when this returns, or nothing of it: a half one would spoil those after it."""
    with journal.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(file.fileno(), before)
            raise


def redacted(text: str) -> str:
    """Take passwords out of URLs and out of `name=value` pairs whose name says that the value is secret."""
    plain = _CREDENTIALS.sub(r"\g<scheme>\g<user>:***@", text)
    return _SECRET_NAMES.sub(r"\1=***", plain)


def endpoint_name(url: str) -> str:
    """Name a database or a store by host, port and path: what two URLs of one place have in common."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


def _redacted_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(redacted(json.dumps(msgspec.to_builtins(facts))))
    return decoded


def _recovered(journal: Path) -> list[Event]:
    """Read the journal, and cut off the line that a killed process did not finish: what it says did not happen."""
    events, size = _whole(journal)
    os.truncate(journal, size)
    return events


def _whole(journal: Path) -> tuple[list[Event], int]:
    """Read the lines that are whole, and say how many bytes they are."""
    events, whole = [], 0
    for line in journal.read_bytes().splitlines(keepends=True):
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            break
        if not line.endswith(b"\n"):
            break
        events.append(event)
        whole += len(line)
    return events, whole
