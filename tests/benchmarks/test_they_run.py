"""Each benchmark runs, small: it starts its servers, measures and says something that can be drawn and compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import api, scale, soak, streams, uploads, writes
from benchmarks.pairs import COLUMNS, Turns
from benchmarks.processes import Cores
from benchmarks.scale_fill import Amount
from benchmarks.turns import Bench

SMALL = (300, 200)


async def test_streams(ready: Mapping[str, Any]) -> None:
    pairs, first = await streams.measured(ready, Turns(1, 1, Cores.present()), [2], size=SMALL, times=3)
    assert list(streams.ratios(pairs)) == ["4 MB image, 2", "thumbnail, 2"]
    assert all(0 < ratio < 3 for ratio in streams.ratios(pairs).values())
    assert all(len(pair.cells()) == len(COLUMNS) for pair in pairs)
    assert "ms later" in first.said()


async def test_reads(ready: Mapping[str, Any]) -> None:
    async with api.prepared(ready, _bench(ready), ["locks"]) as calls:
        found, crowded = await calls.compared([2]), await calls.crowded()
    assert list(api.ratios(found)) == ["locks, 2"]
    assert crowded.ratios.keys() == api.HELD.keys() == {"nobody waits for 1 s, 256"}
    assert all(0 < one.by_cpu < 3 for one in found)
    assert all(len(one.cells()) == len(api.COLUMNS) for one in found)
    assert crowded.failures == 0
    assert "The slowest answer over 256 connections took" in crowded.said()


def test_one_answer_that_was_slow_is_told() -> None:
    assert api.Crowded({"me": 999.0, "locks": 12.0}, 0).ratios == {"nobody waits for 1 s, 256": 1.0}
    assert api.Crowded({"me": 1001.0, "locks": 12.0}, 0).ratios == {"nobody waits for 1 s, 256": 0.0}
    assert api.Crowded({"me": 9.0}, 1).ratios == {"nobody waits for 1 s, 256": 0.0}


async def test_writes(ready: Mapping[str, Any]) -> None:
    (found,) = await writes.beside_bare(ready, _bench(ready), [2], ["acquire"])
    assert list(writes.ratios([found])) == ["acquire, 2"]
    assert 0 < found.by_cpu < 3
    assert len(found.cells()) == len(writes.COLUMNS)


def _bench(ready: Mapping[str, Any]) -> Bench:
    return Bench(ready["pids"]["postgres"], Cores.present(), 1, 1)


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
