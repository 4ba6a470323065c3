"""Every operation, with good and bad requests made from the document, in every order that its links allow."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.fuzz import campaign

# For each operation and each phase, beside the cases that the coverage phase derives from the document, which are most
# of them. A hundred took 200 s for 12,000 requests that found nothing more: `make fuzz` asks as many, or more.
_EXAMPLES = 25
_PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")
# The same in every run, so that a red run is red again; FUZZ_SEED tries another one.
_SEED = int(os.environ.get("FUZZ_SEED", "20261122"))


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with campaign.started(tmp_path) as up:
        outcome = campaign.run(up.ready(), tmp_path, examples=_EXAMPLES, seed=_SEED)
    sys.stderr.write(f"schemathesis, seed {_SEED}, {outcome.seconds:.0f} s:\n{outcome.summary()}\n")
    assert outcome.exit_code == 0, outcome.failures()
    summary = outcome.summary()
    assert [phase for phase in _PHASES if f"✅ {phase}" not in summary] == []
    selected, tested = (re.search(rf"{word}: (\d+)", summary) for word in ("Selected", "Tested"))
    assert selected is not None, summary
    assert tested is not None, summary
    assert tested[1] == selected[1]
