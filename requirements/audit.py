"""What we ship, and what is known against it: `make audit`.

Writes sbom.json (CycloneDX, from the lock of the image; needs no network), then asks the data base of vulnerabilities
about every lock. Exit status: 0 nothing is known against any of it, 1 something is, 2 a tool is missing or failed,
3 the data base could not be reached or did not know a package, so nobody may call it clean.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, BROKEN, UNREACHABLE = range(4)
ROOT = Path(__file__).resolve().parent.parent
SHIPPED = "requirements/runtime.txt"
LOCKS = (SHIPPED, "requirements/build.txt", "requirements/dev.txt", "requirements/postgres.txt")
_BIN = Path(sys.executable).parent
_ASK_SECONDS = 15  # pip-audit's own wait for one answer
_ALL_SECONDS = 600  # some two hundred packages, asked about one after the other
_SHOWN = 10


def write_sbom(path: Path) -> int:
    """Write what the image holds, with the hashes of its lock; the same lock gives the same bytes."""
    done = _run(
        *("cyclonedx-py", "requirements", SHIPPED, "--pyproject", "pyproject.toml", "--mc-type", "application"),
        *("--output-format", "JSON", "--output-reproducible", "--output-file", str(path)),
    )
    if done.returncode:
        return _say(BROKEN, f"the SBOM could not be written: {_end(done.stderr)}")
    return _say(CLEAN, f"{path}: {len(json.loads(path.read_text())['components'])} components")


def audit(lock: str) -> int:
    """Ask about every package of a lock."""
    done = _run(
        *("pip-audit", "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json"),
        *("--progress-spinner", "off", "--timeout", str(_ASK_SECONDS)),
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return _say(UNREACHABLE, f"{lock}: cannot reach the data base of vulnerabilities: {_end(done.stderr)}")
    return judge(lock, found)


def judge(lock: str, found: Sequence[dict[str, Any]]) -> int:
    """Say what was found. A package that was skipped is not one that nothing is known against."""
    bad = [f"{one['name']} {one['version']}: {flaw['id']}" for one in found for flaw in one.get("vulns", [])]
    skipped = [one["name"] for one in found if "skip_reason" in one]
    if bad:
        return _say(VULNERABLE, f"{lock}: " + "; ".join(bad))
    if skipped or not found:
        names = ", ".join(skipped[:_SHOWN]) + (f" and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else "")
        return _say(UNREACHABLE, f"{lock}: cannot reach the data base of vulnerabilities for {names or 'anything'}")
    return _say(CLEAN, f"{lock}: nothing is known against {len(found)} packages")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the SBOM and audit, or write it alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sbom", type=Path, default=ROOT / "sbom.json", help="where to write it")
    parser.add_argument("--sbom-only", action="store_true", help="ask nobody")
    given = parser.parse_args(arguments)
    if (status := write_sbom(given.sbom)) != CLEAN or given.sbom_only:
        return status
    statuses = {audit(lock) for lock in LOCKS}
    return next(status for status in (BROKEN, VULNERABLE, UNREACHABLE, CLEAN) if status in statuses)


def _run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - two programs of ours, with arguments of ours
            [str(_BIN / program), *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ALL_SECONDS,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess([program], 127, "", f"{program} is not installed: make install")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([program], 124, "", f"{program} took longer than {_ALL_SECONDS} s")


def _end(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:500]


def _say(status: int, text: str) -> int:
    (sys.stdout if status == CLEAN else sys.stderr).write(f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
