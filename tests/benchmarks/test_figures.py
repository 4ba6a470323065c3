"""How figures get into the page, and how a later run is held to them."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from benchmarks import check
from benchmarks.figures import KEPT, PAGE, Figures, kept_ratios, placed

MADE = {"command": "python -m benchmarks.one", "date": "2026-11-30", "commit": "abc1234", "machine": "2 cores"}
TABLE = Figures("one", "One", ("call", "took"), [["a", "1"]], ["Said of it"], {"a": 0.9})


def test_a_table_takes_the_place_of_the_one_before() -> None:
    page = "# Page\n<!-- figures: one -->\nold\n<!-- end of figures: one -->\nrest\n"
    written = placed(page, TABLE, MADE)
    assert "old" not in written
    assert "| call | took |\n| --- | --- |\n| a | 1 |" in written
    assert "`python -m benchmarks.one`, 2026-11-30, commit `abc1234`, 2 cores." in written
    assert "![One](measured-one.svg)" in written
    assert written.endswith("\nrest\n")
    assert placed(written, TABLE, MADE) == written


def test_a_page_without_a_place_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="no place"):
        placed("# Page\n", TABLE, MADE)


class Tried(NamedTuple):
    """How often it measured, and what fell."""

    times: int
    fallen: list[str]


async def tries(*ratios: float) -> Tried:
    """How often it measured, and what fell, where 1.0 is written down."""
    left = iter(ratios)

    async def measure() -> Mapping[str, float]:
        return {"a": next(left)}

    found = await check.tried(measure, {"a": 1.0})
    return Tried(len(found), check.fallen(found, {"a": 1.0}))


async def test_a_ratio_is_measured_again_before_it_counts_as_fallen() -> None:
    assert await tries(0.95) == Tried(times=1, fallen=[])
    assert await tries(0.5, 0.91) == Tried(times=2, fallen=[])
    assert await tries(0.5, 0.6, 0.89) == Tried(times=3, fallen=["a"])


def test_a_ratio_that_was_never_written_down_is_told() -> None:
    with pytest.raises(SystemExit, match="written down"):
        check.fallen([{"new": 1.0}], {"a": 1.0})


@pytest.mark.parametrize("name", check.SHORT)
def test_what_is_checked_is_written_down(name: str) -> None:
    assert kept_ratios(name)
    page = PAGE.read_text()
    assert f"<!-- figures: {name} -->" in page
    assert (PAGE.parent / f"measured-{name}.svg").is_file()
    assert (KEPT / f"{name}.json").is_file()
