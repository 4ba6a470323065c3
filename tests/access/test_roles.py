"""docs/access.md, every cell: who is answered what, on a private and on a public dataset."""

import httpx
import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Call, call_of
from tests.fixtures.access.sample import ACCOUNTS, Sample, build, rows_of
from tests.fixtures.access.table import CALLERS, Expected, Rule, Visibility, rules

VISIBILITIES: tuple[Visibility, ...] = ("private", "public")


@pytest.mark.parametrize("visibility", VISIBILITIES)
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
async def test_the_table_holds(callers: Callers, rule: Rule, visibility: Visibility) -> None:
    call = call_of(rule.call, rule.case)
    expected = {caller: rule.expected(caller, visibility) for caller in CALLERS}
    refused = [caller for caller in CALLERS if expected[caller].refused]
    sample = await build(callers.db, visibility)
    answers, changed = await _refusals(callers, rule, call, sample, refused)
    for caller in expected.keys() - refused:
        if rule.method != "GET":
            sample = await build(callers.db, visibility)
        await _arrange(callers, call, sample, caller)
        answers[caller] = await _send(callers, rule, call, sample, caller)
    wrong = {
        f"{caller}, {visibility}": f"{_told(answers[caller])} instead of {rule.cells[CALLERS.index(caller)]}"
        for caller in CALLERS
        if _outcome(call, sample, answers[caller], expected[caller]) != expected[caller]
    }
    assert not wrong, f"{rule.name}: {wrong}"
    assert not changed, f"{rule.name}, {visibility}: a refusal to {', '.join(refused)} has changed rows"
    for caller in refused:
        if not expected[caller].nothing:
            _is_an_error(answers[caller])


async def _refusals(
    callers: Callers, rule: Rule, call: Call, sample: Sample, refused: list[str]
) -> tuple[dict[str, httpx.Response], bool]:
    """Ask as everybody who will be refused; the second value tells whether that changed a row."""
    answers, changed = {}, False
    before = await rows_of(callers.db, sample)
    for caller in refused:
        if call.arrange:
            await _arrange(callers, call, sample, caller)
            before = await rows_of(callers.db, sample)
        answers[caller] = await _send(callers, rule, call, sample, caller)
        if call.arrange:
            changed = changed or before != await rows_of(callers.db, sample)
    return answers, changed or before != await rows_of(callers.db, sample)


async def _arrange(callers: Callers, call: Call, sample: Sample, caller: str) -> None:
    if call.arrange:
        await call.arrange(callers.api, sample, ACCOUNTS[caller])


async def _send(callers: Callers, rule: Rule, call: Call, sample: Sample, caller: str) -> httpx.Response:
    return await callers.send(caller, rule.call, sample, call.ask(sample, ACCOUNTS[caller]))


def _outcome(call: Call, sample: Sample, answer: httpx.Response, expected: Expected) -> Expected:
    if answer.status_code != 200 or call.shows is None:
        return Expected(answer.status_code)
    return Expected(200, nothing=not call.shows(sample, answer.json()))


def _told(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:200]}"


def _is_an_error(answer: httpx.Response) -> None:
    body = answer.json()
    assert isinstance(body["detail"], str)
    assert isinstance(body["code"], str)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
