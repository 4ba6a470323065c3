"""Build what the Dockerfile builds, as far as that goes without Docker: `make check-image`.

For each of the two images: the files that COPY names are there and are sent; Debian's lists know what apt-get installs;
its locked packages are installed into an empty environment, ours beside them out of copies of the files that COPY names
and nothing else, pip and setuptools are removed, and the image's command answers there, with the image's variables.
Nothing is checked of PostgreSQL's own archive, from which 16 and 17 come, but that the script that adds it is there.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MISSING = 78  # EX_CONFIG: a service that was started without its settings says so, and so has been imported whole
# Of each image: the stages that it is made of, in their order, what it has to answer beside its CMD, and how.
IMAGES: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]], int]] = {
    "ops": (
        ("tools", "build", "ops-build", "ops"),
        [("labeler", group, "--help") for group in ("db", "backup", "env", "maintenance", "images", "move", "storage")],
        0,
    ),
    "services": (
        ("tools", "build", "services"),
        [("python", "-m", "user_gateway")],
        _MISSING,
    ),
}
_FROM_POSTGRESQL = "postgresql-client-"


@dataclass(frozen=True)
class Line:
    """One instruction; `\\` at the end of a line goes on in the next one."""

    word: str
    rest: str


def stages(dockerfile: str) -> dict[str, list[Line]]:
    """Read the instructions of each stage; the last one has no name."""
    found: dict[str, list[Line]] = {}
    lines: list[Line] = []
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE))
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            lines = found.setdefault(rest.partition(" AS ")[2], [])
        elif word:
            lines.append(Line(word, rest))
    return found


def copied(lines: Sequence[Line]) -> Iterator[str]:
    """Name the files and directories that a stage copies out of the project."""
    for line in lines:
        if line.word == "COPY" and not line.rest.startswith("--from"):
            yield from line.rest.split()[:-1]


def not_sent(name: str, ignored: Sequence[str]) -> str | None:
    """Give the line of .dockerignore that keeps a file back."""
    return next((line for line in ignored if fnmatch.fnmatch(name, line)), None)


def missing_sources(found: Mapping[str, Sequence[Line]]) -> list[str]:
    """Say which files COPY would not find."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    wrong = []
    for stage, lines in found.items():
        for name in copied(lines):
            if not (ROOT / name).exists():
                wrong.append(f"stage {stage!r} copies {name}, which is not there")
            elif line := not_sent(name, ignored):
                wrong.append(f"stage {stage!r} copies {name}, which .dockerignore keeps back ({line})")
    return wrong


def packages(lines: Sequence[Line]) -> list[str]:
    """Name what apt-get installs, each client of POSTGRESQL_CLIENTS by its own name."""
    clients = re.findall(r'POSTGRESQL_CLIENTS="([\d ]+)"', " ".join(line.rest for line in lines if line.word == "ARG"))
    installs = re.findall(r"apt-get install ([^&]*)", " ".join(line.rest for line in lines if line.word == "RUN"))
    plain = [re.sub(r"\$\(.*?\)", "", words) for words in installs]
    named = [word for words in plain for word in words.split() if not word.startswith("-")]
    return named + [_FROM_POSTGRESQL + version for versions in clients for version in versions.split()]


def unknown_packages(names: Sequence[str]) -> list[str]:
    """Say which packages Debian's lists do not know. Those of PostgreSQL's archive are left to it."""
    debian = [name for name in names if not name.startswith(_FROM_POSTGRESQL)]
    known = subprocess.run(["apt-cache", "show", *debian], capture_output=True, text=True, check=False).stdout
    return [f"Debian has no package {name}" for name in debian if f"Package: {name}\n" not in known]


def build(image: str, found: Mapping[str, Sequence[Line]], directory: Path) -> Path:
    """Do in a new environment what the stages of an image do; return its programs' directory."""
    environment, sources = directory / "opt", directory / "build"
    venv.create(environment, with_pip=True)
    sources.mkdir()
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    locks = []
    for stage in IMAGES[image][0]:
        for name in copied(found[stage]):
            target = sources / name
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = (ROOT / name).is_dir()
            shutil.copytree(ROOT / name, target) if whole else shutil.copy(ROOT / name, target)
            locks += [name] if name.startswith("requirements/") else []
    locks = [name for name in locks if image != "ops" or name != "requirements/runtime.txt"]  # another environment's
    for lock in locks:
        options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", lock]
        subprocess.run([*pip, "install", *options], cwd=sources, check=True)
    subprocess.run([*pip, "install", "--no-deps", "--no-build-isolation", "--no-index", "."], cwd=sources, check=True)
    subprocess.run([*pip, "uninstall", "--yes", "setuptools", "pip"], cwd=sources, check=True)
    return environment / "bin"


def variables(lines: Sequence[Line], programs: Path) -> dict[str, str]:
    """The variables of an image, and no others."""
    said = " ".join(line.rest for line in lines if line.word == "ENV")
    pairs = dict(re.findall(r"(\w+)=(\S+)", said))
    return pairs | {"PATH": f"{programs}:{os.defpath}"}


def answers(image: str, found: Mapping[str, Sequence[Line]], programs: Path, directory: Path) -> Iterator[str]:
    """Run the image's commands in an empty directory; yield what failed."""
    stage = found[IMAGES[image][0][-1]]
    environ = variables(stage, programs) | {"HOME": str(directory)}
    first = json.loads(next(line.rest for line in stage if line.word == "CMD"))
    for command in (first, *IMAGES[image][1]):
        done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != IMAGES[image][2]:
            yield f"{' '.join(command)} ends with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"


def main(wanted: Sequence[str]) -> int:
    """Check both images, or those that are named; the exit code."""
    found = stages((ROOT / "Dockerfile").read_text())
    wrong = missing_sources(found) + unknown_packages([name for lines in found.values() for name in packages(lines)])
    for image in wanted:
        with tempfile.TemporaryDirectory(prefix="labeler-image-") as scratch:
            programs = build(image, found, Path(scratch))
            (empty := Path(scratch) / "home").mkdir()
            failed = list(answers(image, found, programs, empty))
        print(f"{image}: {'does not answer' if failed else 'its commands answer'}")  # noqa: T201
        wrong += failed
    print("\n".join(wrong), file=sys.stderr)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", default=list(IMAGES))
    sys.exit(main(parser.parse_args().images))
