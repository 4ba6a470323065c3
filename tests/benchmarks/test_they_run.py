"""Each benchmark runs, small: it starts its servers, measures and says something that can be drawn and compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import scale, soak, streams, uploads
from benchmarks.pairs import COLUMNS, Turns
from benchmarks.processes import Cores
from benchmarks.scale_fill import Amount

SMALL = (300, 200)


async def test_streams(ready: Mapping[str, Any]) -> None:
    pairs, first = await streams.measured(ready, Turns(1, 1, Cores.present()), [2], size=SMALL, times=3)
    assert list(streams.ratios(pairs)) == ["4 MB image, 2", "thumbnail, 2"]
    assert all(0 < ratio < 3 for ratio in streams.ratios(pairs).values())
    assert all(len(pair.cells()) == len(COLUMNS) for pair in pairs)
    assert "ms later" in first.said()


async def test_uploads(ready: Mapping[str, Any], home: Path) -> None:
    (found,), size = await uploads.measured(ready, home, [3], 1, size=SMALL)
    assert size > 1000
    assert found.ratio > 0
    assert len(found.cells()) == len(uploads.COLUMNS)


async def test_scale(ready: Mapping[str, Any]) -> None:
    found = await scale.measured(ready, Amount(annotations=600, images=200, projects=12), times=3)
    assert len(found) == 9
    assert [bound.name for bound in found if "differ" in bound.name and not bound.is_held] == []


async def test_soak(ready: Mapping[str, Any]) -> None:
    seen = await soak.measured(ready, 3)
    assert seen.calls.total() > 8
    assert {one.name for one in seen.grown(3)} >= {"API, MiB", "API, open files", "connections of the database"}
