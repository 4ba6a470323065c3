"""What was deleted is an id that nobody has, from the answer on, while its rows are still there."""

import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import ACCOUNTS, Sample, build
from tests.fixtures.access.table import Rule, rules
from tests.fixtures.rows import rows

_DELETE = {
    "dataset": "DELETE /api/v1/datasets/{dataset_id}",
    "project": "DELETE /api/v1/projects/{project_id}",
}
_CALLERS = ("owner", "annotator", "stranger", "system admin")
# Where an id that nobody has is no 404: lists, and what is done item by item.
_OTHERWISE = {
    "POST /api/v1/annotations/bulk-confirm": 200,
    "POST /api/v1/annotations/batch": 200,
}


def _about_the_project() -> list[Rule]:
    """Each call that is about a project or its dataset, by whichever id: the owner may, and a stranger may not."""
    return [
        rule
        for rule in rules()
        if not rule.expected("owner", "private").refused and rule.expected("stranger", "private").status == 404
        if rule.case != "a dataset without a project"  # another one
    ]


async def _deleted(callers: Callers, sample: Sample, what: str) -> None:
    ask = Ask(json={"dataset_name_confirmation": sample.name})
    answer = await callers.send("owner", _DELETE[what], sample, ask)
    assert answer.status_code in {200, 204}, answer.text


def _of_the_project_alone(rule: Rule) -> bool:
    """Whether a dataset that has lost its project is nothing that this call could be about."""
    return "{dataset_id}" not in rule.path and not rule.path.startswith("/api/v1/invitations")


@pytest.mark.parametrize("rule", _about_the_project(), ids=lambda rule: rule.name)
async def test_a_deleted_dataset_is_nobodys(callers: Callers, rule: Rule) -> None:
    sample, call = await build(callers.db, "public"), call_of(rule.call, rule.case)
    if call.arrange:
        await call.arrange(callers.api, sample, "owner")
    asks = {caller: call.ask(sample, ACCOUNTS[caller]) for caller in _CALLERS}
    await _deleted(callers, sample, "dataset")
    answers = {caller: await callers.send(caller, rule.call, sample, ask) for caller, ask in asks.items()}
    told = {caller: f"{answer.status_code} {answer.text[:200]}" for caller, answer in answers.items()}
    assert {answer.status_code for answer in answers.values()} == {_OTHERWISE.get(rule.call, 404)}, told
    (kept,) = await rows(callers.api, "SELECT count(*) AS n FROM annotations WHERE project_id = $1", sample.project_id)
    assert kept["n"] > 0, "the rows go later"


@pytest.mark.parametrize("rule", [*filter(_of_the_project_alone, _about_the_project())], ids=lambda rule: rule.name)
async def test_a_deleted_project_is_nobodys(callers: Callers, rule: Rule) -> None:
    sample, call = await build(callers.db, "public"), call_of(rule.call, rule.case)
    if call.arrange:
        await call.arrange(callers.api, sample, "owner")
    asks = {caller: call.ask(sample, ACCOUNTS[caller]) for caller in _CALLERS}
    await _deleted(callers, sample, "project")
    answers = {caller: await callers.send(caller, rule.call, sample, ask) for caller, ask in asks.items()}
    told = {caller: f"{answer.status_code} {answer.text[:200]}" for caller, answer in answers.items()}
    assert {answer.status_code for answer in answers.values()} == {_OTHERWISE.get(rule.call, 404)}, told


@pytest.mark.parametrize("what", ["dataset", "project"])
async def test_lists_leave_out_what_was_deleted(callers: Callers, what: str) -> None:
    sample = await build(callers.db, "public")
    await _deleted(callers, sample, what)
    for caller in _CALLERS:
        projects = (await callers.client(caller).get("/api/v1/projects")).json()
        assert sample.project_id not in str(projects)
        listed = (await callers.client(caller).get("/api/v1/datasets")).json()
        assert (sample.dataset_id in str(listed)) == (what == "project")
        for box in ("sent", "received"):
            invitations = (await callers.client(caller).get(f"/api/v1/invitations/{box}")).json()
            assert what == "project" or sample.dataset_id not in str(invitations)
