"""Every operation, with good and bad requests made from the document, in every order that its links allow."""

import os
import sys
from pathlib import Path

import pytest

from tests.fuzz import campaign

_EXAMPLES = 100
# The same in every run, so that a red run is red again; FUZZ_SEED tries another one.
_SEED = int(os.environ.get("FUZZ_SEED", "20261122"))


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with campaign.started(tmp_path) as up:
        outcome = campaign.run(up.ready(), tmp_path, examples=_EXAMPLES, seed=_SEED)
    sys.stderr.write(f"schemathesis, seed {_SEED}, {outcome.seconds:.0f} s:\n{outcome.summary()}\n")
    assert outcome.exit_code == 0, outcome.failures()
