"""A guide that is followed: a shell that is typed into, the guide's placeholders replaced by the test's servers, and
what comes back compared with what the guide shows.
"""

import asyncio
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import yaml

from labeler_ops.backup import clients
from tests.guides.comparing import difference
from tests.guides.railway import Railway
from tests.guides.reading import Block, Guide

# What no reader has set. `make test ARGS=…` hands make's own to all that it starts, and so to a guide's `make run`.
_OURS = re.compile(
    r"LABELER|DATABASE|_DB_|S3_|BACKUP|PG|_proxy|_PROXY|^(?:MAKE\w*|MFLAGS|ARGS|PYTHON|WORKERS|OUTAGE_SECONDS)$"
)
_SECRET = secrets.token_urlsafe(32)
_END = "(end of the block)"
_STOP_SECONDS = 90  # of a whole demo, on a machine with other work
# `# exit code 1`, or `# exit code 0, 1 or 3`
_ENDS = re.compile(r"^(?P<command>.*\S)\s+# exit code (?P<codes>\d(?:, \d)*(?: or \d)?)\b.*$", re.MULTILINE)
Before = Mapping[str, Callable[[], Awaitable[None]]]


class Shell:
    """One shell that is typed into block by block; a block that fails ends the test."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, given: Set[str] = frozenset()) -> None:
        self.given = given
        """The variables of ours that it began with."""
        self._process = process
        self._directory = directory
        self._goes_on = False
        self._file = directory / f".block-{process.pid}"

    def write(self, name: str, lines: str) -> None:
        """Write a file that a guide shows; what it leaves open are secrets."""
        secret = re.compile("…|PASSWORD|TOKEN(?=[:\n])")
        (self._directory / name).write_text(secret.sub(_SECRET, lines) + "\n")

    async def type(self, lines: str) -> str:
        """Type a block, and return what is said until it has ended. Questions are answered with yes."""
        return (await self.until(lines, f"{_END}\n")).removesuffix(f"{_END}\n")

    async def until(self, lines: str, words: str) -> str:
        """Type a block, and return what is said up to a line with these words, whatever goes on.

        The block of before is waited for, where it went on; what it says comes first.
        """
        assert self._process.stdin is not None
        # A command whose comment tells an exit code has to end with it, and with no other.
        self._file.write_text(_ENDS.sub(_ending, lines) + "\n")
        said = await self._read(f"{_END}\n", lines) if self._goes_on else ""
        self._process.stdin.write(f". {self._file} <<< y\necho '{_END}'\n".encode())
        said += await self._read(words, lines)
        self._goes_on = words != f"{_END}\n"
        return said

    async def _read(self, words: str, lines: str) -> str:
        assert self._process.stdout is not None
        said, line = "", b""
        while words not in line.decode():
            line = await self._process.stdout.readline()
            assert line, f"it failed:\n{lines}\n{said}"
            said += line.decode()
        return said

    async def interrupt(self) -> None:
        """Press Ctrl-C, and wait until what runs has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()  # else bash waits for the next line, once what runs has ended well
        with suppress(ProcessLookupError):  # a line failed, and the shell has ended
            os.killpg(self._process.pid, signal.SIGINT)
        await asyncio.wait_for(self._process.communicate(), _STOP_SECONDS)


def _ending(found: re.Match[str]) -> str:
    codes = "|".join(re.findall(r"\d", found["codes"]))
    return f"code=0; {found['command']} || code=$?; case $code in {codes}) ;; *) exit $code ;; esac"


@asynccontextmanager
async def shell(
    directory: Path, environ: Mapping[str, str], labeler: Path | None = None, railway: Railway | None = None
) -> AsyncIterator[Shell]:
    """Start one with these variables of ours and no others. `labeler` is found first, and the stand-in for Railway."""
    plain = {name: value for name, value in os.environ.items() if not _OURS.search(name)}
    scripts = (labeler, None if railway is None else railway.script)
    ours = [str(script.parent) for script in scripts if script is not None]
    path = ":".join([*ours, str(Path(sys.executable).parent), str(clients.find(15).bin_dir), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-e",
        env={**plain, **environ, "PATH": path, "COLUMNS": "200"},
        cwd=directory,
        start_new_session=True,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    yield Shell(process, directory, frozenset(environ))
    if process.returncode is None:
        process.terminate()
    await process.wait()


def placeholders(guide: Guide) -> dict[str, str]:
    """The table at the guide's beginning (or in a comment, where nothing may stand before the title)."""
    found = re.match(r"(?:---|<!--)\n(placeholders:.*?)\n(?:---|-->)\n", guide.text, re.DOTALL)
    table: dict[str, str] = yaml.safe_load(found[1])["placeholders"] if found else {}
    return table


def filled_in(text: str, guide: Guide, values: Mapping[str, str]) -> str:
    """Put the test's servers in the place of the guide's placeholders. The longest first: some begin like others."""
    for placeholder, name in sorted(placeholders(guide).items(), key=lambda item: -len(item[0])):
        if name in values:
            text = text.replace(placeholder, values[name])
    return text


def _named(variable: str, text: str) -> bool:
    """Whether a page names a variable, or its kin, as `S3_…` and `S3_*`; else only the test would set it."""
    kin = re.findall(r"\b([A-Z][A-Z0-9]*_)[…*]", text)
    return re.search(rf"\b{variable}\b", text) is not None or variable.startswith(tuple(kin))


async def follow(
    guide: Guide,
    typed: Shell,
    values: Mapping[str, str],
    before: Before | None = None,
    *,
    only: Callable[[Block], bool] = bool,
    places: Set[str] = frozenset({""}),
) -> str:
    """Type every block in order, and look that what comes back is what the guide shows.

    Blocks of other places than these are not typed.

    Before the first block that has a key of `before` in it, its function is called: what a person does elsewhere.
    Returns all that was said.
    """
    hidden = [name for name in sorted(typed.given) if not _named(name, guide.text)]
    assert not hidden, f"{guide.name} works with {', '.join(hidden)} alone, and does not name it"
    left, everything, wrong = dict(before or {}), "", list[str]()
    said: str | None = None
    for block in filter(only, guide.blocks()):
        text = filled_in(block.text, guide, values)
        if block.kind == "" and said is not None and (found := difference(text, said)):
            wrong.append(f"{guide.name}:{block.line}: {found}")
        said = None
        if block.kind == "ini" and (name := re.match(r"# ([\w.-]+)", block.lines[0])):
            typed.write(name[1], block.text)
        if block.kind == "sh" and block.place in places:
            for key in [key for key in left if key in block.text]:
                await left.pop(key)()
            plain = re.sub(r"\s#.*", "", text)
            assert "…" not in plain, f"{guide.name}:{block.line}: a placeholder has no value: {plain}"
            assert "example.com:" not in plain
            said = await typed.type(text)
            everything += said
    assert not wrong, "\n\n".join(wrong)
    assert "warning: a password on the command line" not in everything, everything
    assert not left, f"never typed: {', '.join(left)}"
    return everything
