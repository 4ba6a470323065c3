"""A stand-in for Railway's command line, which no test can reach: it keeps variables, and runs lines "in a service".

It does what its documentation says (docs.railway.com/cli): a value that comes by a pipe loses the end of its line and
may not be empty; `NAME=` sets an empty one; `ssh` runs a command with the service's variables and no others of ours.
"""

import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.guides.reading import ROOT

_OURS = re.compile(r"LABELER|DATABASE|_DB_|S3_|BACKUP|PG|USER_GATEWAY|RAILWAY_STANDIN")
_QUIET = {"login", "init", "link", "config", "environment", "domain", "connect"}


class Railway:
    """The project of a test: what it keeps of each service is in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.script = directory / "railway"
        self.script.write_text(
            f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} "
            f'-m tests.guides.railway {shlex.quote(str(directory))} "$@"\n'
        )
        self.script.chmod(self.script.stat().st_mode | stat.S_IXUSR)

    def variables(self, service: str) -> dict[str, str]:
        """What is set on a service."""
        path = self.directory / f"{service}.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def set(self, service: str, variables: Mapping[str, str]) -> None:
        """Set variables of a service beside those that it has."""
        (self.directory / f"{service}.json").write_text(json.dumps(self.variables(service) | dict(variables)))

    @property
    def redeployed(self) -> list[str]:
        """The services that were deployed anew, in order."""
        path = self.directory / "redeployed"
        return path.read_text().split() if path.exists() else []


def _option(words: list[str], *names: str) -> str:
    return next(words[at + 1] for at, word in enumerate(words) if word in names)


def _set(project: Railway, words: list[str]) -> str | None:
    name = words[2]
    if "--stdin" in words:
        value = sys.stdin.read().rstrip("\n").rstrip("\r")
        if not value:
            return "Empty value provided via stdin"
    else:
        name, _, value = name.partition("=")
    project.set(_option(words, "--service", "-s"), {name: value})
    return None


def _main(directory: str, words: list[str]) -> str | None:
    project = Railway(Path(directory))
    if words[:2] == ["variable", "set"]:
        return _set(project, words)
    if words[0] == "redeploy":
        with (project.directory / "redeployed").open("a") as file:
            file.write(f"{_option(words, '--service', '-s')}\n")
        return None
    if words[0] == "ssh":
        command = words[words.index("--") + 1 :]
        plain = {name: value for name, value in os.environ.items() if not _OURS.search(name)}
        os.execvpe(command[0], command, plain | project.variables(_option(words, "--service", "-s")))
    return None if words[0] in _QUIET else f"railway has no command {words[0]}"


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
