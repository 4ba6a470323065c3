"""A campaign: a whole system, things in it, and schemathesis against every operation of it.

By hand: `make fuzz ARGS="--examples 1000 --seed 7 --account admin"`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fixtures.running_stack import Up, log_in
from tests.fuzz.filled import Filled, populate

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# As often as a parameter gets an id that exists; the other half is anything that the schema allows.
_KNOWN = 0.5
# The parts of a signed link have to fit together: six of them do so every second time.
_FITTING = 0.9


@dataclass(frozen=True)
class Outcome:
    """What a campaign found."""

    exit_code: int
    output: str
    report: dict[str, Any]
    seconds: float

    def summary(self) -> str:
        """The last part of the output, cut to lines that a person reads."""
        _, _, end = self.output.rpartition("= SUMMARY =")
        return "\n".join(line[:200] for line in end.splitlines())

    def failures(self) -> str:
        """Every failure with its request, in short lines: one generated body can have 100 kB."""
        _, _, found = self.output.partition("= FAILURES =")
        return "\n".join(line[:400] for line in found.splitlines()[:400])


def run(facts: dict[str, Any], directory: Path, *, examples: int, seed: int, account: str = "owner") -> Outcome:
    """Fuzz a running system, which `labeler up` described in its ready file."""
    with log_in(facts, "owner") as owner, log_in(facts, account) as caller:
        filled = populate(owner)
        token = caller.headers["Authorization"]
    configuration = directory / "schemathesis.toml"
    configuration.write_text(_configuration(filled))
    report = directory / "report.json"
    command = [
        *(str(_SCHEMATHESIS), f"--config-file={configuration}", "run", f"{facts['api']}/openapi.json"),
        *("--header", f"Authorization: {token}", "--workers", "2", "--no-color"),
        *("--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none"),
        *("--report-json-path", str(report)),
    ]
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - started
    found = json.loads(report.read_text()) if report.exists() else {}
    return Outcome(done.returncode, done.stdout + done.stderr, found, seconds)


def started(directory: Path) -> Up:
    """Start a system for a campaign."""
    return Up(None, "--ephemeral", "--no-demo", files=directory / "up")


def _configuration(filled: Filled) -> str:
    """The file in the repository, the ids that exist, and for each call by a link one that works."""
    lines = [(_HERE / "schemathesis.toml").read_text()]
    lines += [_dictionary(name, values) for name, values in filled.ids.items()]
    for operation, parameters in filled.links.items():
        lines += [_dictionary(f"{operation}_{name}", [value]) for name, value in parameters.items()]
    lines.append("[parameters]")
    lines += [f"{name} = {_bound(name, _KNOWN)}" for name in filled.ids]
    for operation, parameters in filled.links.items():
        lines.append(f'[[operations]]\ninclude-operation-id = "{operation}"')
        lines += [f"parameters.{name} = {_bound(f'{operation}_{name}', _FITTING)}" for name in parameters]
    return "\n".join(lines)


def _dictionary(name: str, values: Sequence[str | int]) -> str:
    return f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n"


def _bound(dictionary: str, probability: float) -> str:
    return f'{{ dictionary = "{dictionary}", probability = {probability} }}'


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="per operation")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--account", default="owner", help="admin, owner, reviewer, annotator or viewer")
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="labeler-fuzz-") as place, started(Path(place)) as up:
        outcome = run(up.ready(), Path(place), examples=given.examples, seed=given.seed, account=given.account)
    sys.stdout.write(f"{outcome.failures()}\n{outcome.summary()}\n{outcome.seconds:.0f} s\n")
    return outcome.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except httpx.HTTPError as error:
        sys.exit(f"the system could not be filled: {error}")
