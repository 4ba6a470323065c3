"""A missed bound in seconds is judged once more, alone; any other failure counts at once."""

import ast
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import pytest

from tests.fixtures.timing import Machine, TooSlow, check_within

TESTS = Path(__file__).parent
ROOT = TESTS.parent
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time"}


def _run(folder: Path, text: str) -> str:
    """Run tests of a file with the project's own options; what pytest says at its end."""
    (folder / "test_it.py").write_text(dedent(text))
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "tests.fixtures.timing"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--confcutdir", str(folder), *options]
    done = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


def test_a_missed_bound_is_judged_once_more(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        """
        from tests.fixtures.timing import check_within
        took = [2.0, 0.5]
        def test_once_too_slow():
            check_within(took.pop(0), 1.0)
        """,
    )
    assert "1 passed, 1 rerun" in said


def test_a_bound_that_is_missed_twice_fails(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        """
        from tests.fixtures.timing import check_within
        def test_too_slow():
            check_within(2.0, 1.0, "the call")
        """,
    )
    assert "1 failed, 1 rerun" in said
    assert "TooSlow: 2.000 s, where less than 1 s are allowed: the call" in said


def test_any_other_failure_counts_at_once(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        """
        right = [False, True]
        def test_wrong_once():
            assert right.pop(0)
        def test_a_wait_that_never_ends():
            raise TimeoutError
        """,
    )
    assert "2 failed" in said
    assert "rerun" not in said.splitlines()[-1]


def test_what_is_judged_once_more_has_the_machine_alone(tmp_path: Path) -> None:
    one, other = Machine(tmp_path), Machine(tmp_path)
    done: list[str] = []

    def take_alone() -> None:
        one.take_alone()
        done.append("alone")

    def share() -> None:
        other.share()
        done.append("shared")

    other.share()
    alone = threading.Thread(target=take_alone)
    alone.start()
    time.sleep(0.1)
    assert done == [], "another test runs"
    other.leave()
    alone.join(5)
    assert done == ["alone"]
    sharing = threading.Thread(target=share)
    sharing.start()
    time.sleep(0.1)
    assert done == ["alone"], "no test starts meanwhile"
    one.leave()
    sharing.join(5)
    assert done == ["alone", "shared"]
    one.close()
    other.close()


def test_tests_run_beside_each_other(tmp_path: Path) -> None:
    one, other = Machine(tmp_path), Machine(tmp_path)
    one.share()
    other.share()
    one.close()  # a process that ends drops its locks
    other.leave()
    other.take_alone()
    other.close()


def test_a_bound() -> None:
    check_within(0.9, 1)
    with pytest.raises(TooSlow, match="where less than 1 s"):
        check_within(1.0, 1)
    with pytest.raises(TooSlow):
        check_within(float("nan"), 1)


def _is_a_difference(node: ast.AST) -> bool:
    """Whether it takes something from what a clock says: `monotonic() - started`."""
    differences = [one.left for one in ast.walk(node) if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Sub)]
    calls = [one.func for left in differences for one in ast.walk(left) if isinstance(one, ast.Call)]
    return any(getattr(call, "attr", getattr(call, "id", "")) in CLOCKS for call in calls)


def _plain_bounds(text: str) -> list[int]:
    """The lines of asserts that hold a clock's difference, or a name that was given one, below something."""
    found = []
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        taken = {
            name.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and _is_a_difference(node.value)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        for node in ast.walk(function):
            if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
                continue
            parts = [node.test.left, *node.test.comparators]
            for smaller, operator in zip(parts, node.test.ops, strict=False):
                names = {name.id for name in ast.walk(smaller) if isinstance(name, ast.Name)}
                if isinstance(operator, ast.Lt | ast.LtE) and (names & taken or _is_a_difference(smaller)):
                    found.append(node.lineno)
    return sorted(set(found))


def test_bounds_in_seconds_are_asked_by_check_within() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if "node_modules" not in path.parts
        for line in _plain_bounds(path.read_text())
    ]
    assert places == [], "use tests.fixtures.timing.check_within"


def test_the_check_sees_a_plain_bound() -> None:
    text = """
def test_it():
    started = monotonic()
    assert time.monotonic() - started < 2
    took = perf_counter() - started
    assert 0.1 < took < 2
    assert took > 1
    assert monotonic() < deadline
"""
    assert _plain_bounds(text) == [4, 6]
