"""The shell in which a guide is followed has nothing of the test run that follows it."""

import re
from pathlib import Path

import pytest

from tests.guides.following import shell
from tests.guides.reading import ROOT

_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS")
# Those that somebody may give to make have a value in the Makefile only where none is given.
_GIVEN = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)


async def test_what_make_was_given_stays_out_of_a_guides_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make test ARGS="-k locks"` would start a guide's `make run` with `-k locks`."""
    assert "WORKERS" in _GIVEN
    for name in (*_OF_MAKE, *_GIVEN):
        monkeypatch.setenv(name, "of the test run")
    async with shell(tmp_path, {}) as typed:
        assert "of the test run" not in await typed.type("env")
        await typed.interrupt()
