"""The table names every route, and nothing else."""

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import CALLS
from tests.fixtures.access.table import CALLERS, Rule, Visibility, calls_of, rules
from tests.fixtures.operations import documented, errors_of, name_of

CONTRACT_CALLS = range(1, 68)


def test_every_row_is_whole() -> None:
    for rule in rules():
        assert len(rule.cells) == len(CALLERS), f"{rule.name}: one cell for each of {', '.join(CALLERS)}"
        for caller in CALLERS:
            rule.expected(caller, "private")
            rule.expected(caller, "public")


def test_no_row_stands_twice() -> None:
    names = [rule.name for rule in rules()]
    assert sorted(names) == sorted(set(names))


def test_every_route_has_a_row(shared_callers: Callers) -> None:
    missing = calls_of(shared_callers.api.app) - {rule.call for rule in rules()}
    assert not missing, (
        f"{sorted(missing)}: say who may do this. Add a row to docs/access.md, and if the path does not say everything,"
        " how to make the call to tests/fixtures/access/calls.py"
    )


def test_every_row_has_a_route(shared_callers: Callers) -> None:
    gone = {rule.call for rule in rules()} - calls_of(shared_callers.api.app)
    assert not gone, f"{sorted(gone)}: docs/access.md has rows of calls that the application does not answer"


def test_every_way_to_make_a_call_is_of_a_row() -> None:
    assert CALLS.keys() - {(rule.call, rule.case) for rule in rules()} == set()


def test_every_call_of_the_frontends_contract_is_there() -> None:
    numbers = {int(rule.number) for rule in rules() if rule.number.isdigit()}
    assert numbers == set(CONTRACT_CALLS)


def test_every_refusal_is_documented() -> None:
    """What the table answers stands in the OpenAPI document."""
    operations = {name_of(operation).replace(":path}", "}"): operation for operation in documented()}
    missing = {
        f"{rule.call}: {status}"
        for rule in rules()
        if (operation := operations.get(rule.call.replace(" /api/v1", " ", 1)))
        for status in _statuses(rule) - errors_of(operation) - {operation.status}
    }
    assert sorted(missing) == []


def _statuses(rule: Rule) -> set[int]:
    cells: list[Visibility] = ["private", "public"]
    return {rule.expected(caller, visibility).status for caller in CALLERS for visibility in cells}
