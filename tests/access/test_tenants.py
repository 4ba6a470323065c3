"""An id of somebody else's is an id that nobody has: the same answer, whichever place it is sent in."""

import re
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Call, call_of
from tests.fixtures.access.sample import Sample, build, nowhere, rows_of
from tests.fixtures.access.table import Rule, rules

# Where an id that nobody has is no 404: what is done item by item, images that nobody works on, who is to be the owner.
_OTHERWISE = {
    ("POST /api/v1/annotations/bulk-confirm", "annotation_id"): 200,
    ("POST /api/v1/annotations/bulk-confirm", "own"): 200,
    ("POST /api/v1/annotations/batch", "free_image_id"): 200,
    ("POST /api/v1/annotations/batch", "project_id"): 200,
    ("GET /api/v1/image-locks/{project_id}/{image_id}/status", "locked_image_id"): 200,
    ("DELETE /api/v1/image-locks/{project_id}/{image_id}/force", "locked_image_id"): 200,
    ("POST /api/v1/image-locks/{project_id}/{image_id}/heartbeat", "free_image_id"): 200,
    ("DELETE /api/v1/image-locks/{project_id}/{image_id}", "free_image_id"): 200,
    ("POST /api/v1/projects/{project_id}/images/{image_id}/confirm", "image_id"): 400,
    ("POST /api/v1/projects/{project_id}/transfer-ownership", "member_id"): 400,
}
# An annotation may have any class: undo re-creates annotations whose class is gone. And a token is no id but a secret:
# who knows one may learn that it is somebody else's.
_FREE = {
    ("POST /api/v1/annotations", "class_id"),
    ("POST /api/v1/annotations/batch", "class_id"),
    ("POST /api/v1/invitations/accept", "token"),
}
# How the sample calls what a path calls otherwise.
_NAMES = {
    "user_id": ("member_id",),
    "annotation_id": ("annotation_id", "own"),
    "image_id": ("image_id", "free_image_id", "locked_image_id"),
}
_IDS = frozenset(field for field in Sample.__dataclass_fields__ if field != "name")


class _Watched:
    """A sample that notes which of its ids a call is made of."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.used |= {name} & _IDS
        return getattr(self._sample, name)


@dataclass(frozen=True)
class _Answer:
    """An answer without what differs between any two: the id itself and the request's."""

    status: int
    body: str
    statements: int


def _about_ids() -> list[tuple[Rule, str]]:
    """Each row that the owner may do, with each id that it takes."""
    found = []
    for rule in rules():
        if rule.expected("owner", "private").refused:
            continue
        watched: Any = _Watched(nowhere())
        ask = call_of(rule.call, rule.case).ask(watched, "owner")
        in_path = {name for name in _IDS if f"{{{name}}}" in rule.path and name not in ask.path}
        found += [(rule, name) for name in sorted(watched.used | in_path) if (rule.call, name) not in _FREE]
    return found


@pytest.mark.parametrize(("rule", "name"), _about_ids(), ids=lambda value: getattr(value, "name", value))
async def test_an_id_of_another_tenant_is_an_id_of_nobody(callers: Callers, rule: Rule, name: str) -> None:
    mine = await build(callers.db)
    theirs = await build(callers.db, owner="landlord", members={})
    nothing = nowhere()
    call = call_of(rule.call, rule.case)
    if call.arrange:
        await call.arrange(callers.api, mine, "owner")
    before = await rows_of(callers.db, theirs)
    foreign = await _asked(callers, rule, call, mine, name, theirs)
    nobodys = await _asked(callers, rule, call, mine, name, nothing)
    assert foreign.status == nobodys.status
    assert foreign.body == nobodys.body
    assert foreign.status == _OTHERWISE.get((rule.call, name), 404), foreign.body
    assert "route_not_found" not in foreign.body
    assert await rows_of(callers.db, theirs) == before
    # Who measures the time learns no more than who reads: one statement, some tenths of a millisecond, at most.
    assert abs(foreign.statements - nobodys.statements) <= 1


async def _asked(callers: Callers, rule: Rule, call: Call, mine: Sample, name: str, other: Sample) -> _Answer:
    value = getattr(other, name)
    sample = replace(mine, **{name: value})
    with callers.api.count() as counted:
        answer = await callers.send("owner", rule.call, sample, call.ask(sample, "owner"))
    id_sent = value["owner"] if name == "own" else value
    return _Answer(answer.status_code, _without_ids(answer, id_sent), counted.value)


def _without_ids(answer: httpx.Response, sent: object) -> str:
    return answer.text.replace(answer.headers["x-request-id"], "<request>").replace(str(sent), "<id>")


def test_every_id_in_a_path_is_tried() -> None:
    """Users are nobody's: everybody may look them up. An export's id says nothing without its project's."""
    tried = {(rule.call, name) for rule, name in _about_ids()}
    missing = {
        rule.call
        for rule in rules()
        for parameter in re.findall(r"\{(\w+_id)\}", rule.path.replace("{export_id}", "{export}"))
        if not any((rule.call, name) in tried for name in _NAMES.get(parameter, (parameter,)))
    }
    assert sorted(missing) == ["GET /api/v1/users/{user_id}"]
