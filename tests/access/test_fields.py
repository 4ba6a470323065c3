"""A body sets what its call is for, and nothing else: whatever is sent beside it has no effect.

Each call is made twice on equal datasets, as it is and with every column that is not the caller's to set. The rows and
the answers have to be the same.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

import httpx
import msgspec
import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import IDS, Sample, build, rows_of
from tests.fixtures.access.table import Rule, rules
from tests.fixtures.operations import documented

LONG_AGO = "2001-01-01T00:00:00Z"
SMUGGLED: dict[str, Any] = {
    **dict.fromkeys(("id", "version", "revision", "images_revision", "order", "permission_id"), 77),
    **dict.fromkeys(("owner_id", "created_by", "updated_by", "granted_by", "changed_by"), IDS["leaver"]),
    **dict.fromkeys(
        ("last_updated_by", "confirmed_by", "inviter_id", "inviter_user_id", "user_id", "locked_by"), IDS["leaver"]
    ),
    **dict.fromkeys(("created_at", "updated_at", "confirmed_at", "granted_at", "accepted_at", "uploaded_at"), LONG_AGO),
    **dict.fromkeys(("expires_at", "locked_at", "heartbeat_at"), "2099-01-01T00:00:00Z"),
    **dict.fromkeys(("total_images", "annotated_images", "total_annotations", "num_images", "num_items"), 77),
    **dict.fromkeys(("image_count", "bbox_count", "annotation_count", "size", "file_size_bytes", "lease_seconds"), 77),
    **dict.fromkeys(("labeled", "is_verified", "is_admin", "is_image_confirmed", "is_active"), True),
    **dict.fromkeys(
        ("storage_path", "s3_key", "thumbnail_key", "rendition_key", "annotation_path", "export_path"), "datasets/else/"
    ),
    **dict.fromkeys(("content_sha256", "token", "invitee_email", "version_type"), "smuggled"),
    "annotation_state": "verified",
    "status": "completed",
    "role": "owner",
    "visibility": "public",
    "system_role": "admin",
}
# What two equal calls may differ in: numbers and times that the database gives, secrets, sums over more than
# the sample, and files that hold such numbers.
_OWN_WAY = re.compile(
    r"^(id|(annotation|version|permission|snapshot|deletion)_ids?|.*_at|timestamp|last_modified|.*token|content_sha256|file_size_bytes"
    r"|restorable_until|purge_after|number of datasets)$"
)
_MADE_UP = re.compile(
    r"(ds|proj)_[0-9a-f]{10,}|[?&](e|s|v|u)=[^&\"]*|\d{8}_\d{6}(_[0-9a-f]{8})?|\.[0-9a-f]{16}\.jpg|media/exports/\d+"
)
_TRACES = ("2001-01-01", "2099-01-01", "smuggled", "datasets/else/")


def _with_bodies() -> list[Rule]:
    """Rows whose call takes a body of our own types and that the owner may do."""
    calls = {f"{o.method} {o.path.replace(':path}', '}')}" for o in documented() if o.body_type or o.multipart}
    return [
        rule
        for rule in rules()
        if rule.call.replace("/api/v1", "", 1) in calls and not rule.expected("owner", "private").refused
    ]


def _body_type(rule: Rule) -> Any:
    for operation in documented():
        if f"{operation.method} {operation.path.replace(':path}', '}')}" == rule.call.replace("/api/v1", "", 1):
            kind = operation.body_type or operation.multipart
            return get_args(kind)[0] if get_origin(kind) is Annotated else kind
    raise AssertionError(rule)


def _smuggling(ask: Ask, kind: Any) -> Ask:
    extra = {name: value for name, value in SMUGGLED.items() if name not in kind.__struct_fields__}
    if ask.json is None:
        return replace(ask, form={**ask.form, **{name: str(value) for name, value in extra.items()}})
    return replace(ask, json=_beside(ask.json, kind))


def _beside(body: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Add to a body, and to the bodies in it, what their types do not name."""
    extra = {name: value for name, value in SMUGGLED.items() if name not in kind.__struct_fields__}
    inner = {field.encode_name: _item_type(field.type) for field in msgspec.structs.fields(kind)}
    nested = {
        name: [_beside(item, inner[name]) for item in value]
        for name, value in body.items()
        if isinstance(value, list) and inner.get(name) is not None
    }
    return {**extra, **body, **nested}


def _item_type(kind: Any) -> Any:
    """The Struct that a list holds, or None."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for part in get_args(kind) if (found := _item_type(part)) is not None), None)


@pytest.mark.parametrize("rule", _with_bodies(), ids=lambda rule: rule.name)
async def test_what_is_sent_beside_a_body_has_no_effect(callers: Callers, rule: Rule) -> None:
    kind, call = _body_type(rule), call_of(rule.call, rule.case)
    outcomes: list[tuple[int, Any, Any]] = []
    for smuggling in (False, True):
        sample = await build(callers.db)
        if call.arrange:
            await call.arrange(callers.api, sample, "owner")
        ask = call.ask(sample, "owner")
        answer = await callers.send("owner", rule.call, sample, _smuggling(ask, kind) if smuggling else ask)
        rows = await rows_of(callers.db, await _made(callers, sample, answer))
        assert [trace for trace in _TRACES if trace in rows + answer.text] == []
        outcomes.append((answer.status_code, _same(_decoded(answer), sample), _same(msgspec.json.decode(rows), sample)))
    assert outcomes[0][0] == rule.expected("owner", "private").status
    assert list(_differences(outcomes[0], outcomes[1])) == []


async def _made(callers: Callers, sample: Sample, answer: httpx.Response) -> Sample:
    """The sample, with the dataset that the call made in place of the one without a project."""
    body = _decoded(answer)
    made = body.get("dataset_id") or body.get("id") if isinstance(body, dict) else None
    if not isinstance(made, str) or not made.startswith("ds_") or made == sample.dataset_id:
        return sample
    async with callers.db.read() as connection:
        project = await connection.fetchval("SELECT id FROM annotation_projects WHERE dataset_id = $1", made)
    return replace(sample, dataset_id=made, project_id=project, bare_dataset_id=made)


def _decoded(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


def _same(value: Any, sample: Sample) -> Any:
    """A value without what differs between two equal calls."""
    if isinstance(value, dict):
        return {_same(name, sample): _same(item, sample) for name, item in value.items() if not _OWN_WAY.match(name)}
    if isinstance(value, list):
        return [_same(item, sample) for item in value]
    if isinstance(value, str):
        return _MADE_UP.sub("<made up>", value.replace(sample.name.removeprefix("Dataset "), "<tag>"))
    return value


def _differences(as_is: Any, smuggled: Any, place: str = "") -> Iterator[str]:
    if type(as_is) is not type(smuggled) or (isinstance(as_is, list) and len(as_is) != len(smuggled)):
        yield f"{place}: {as_is!r} became {smuggled!r}"
    elif isinstance(as_is, dict):
        for name in as_is.keys() | smuggled.keys():
            yield from _differences(as_is.get(name), smuggled.get(name), f"{place}.{name}")
    elif isinstance(as_is, list | tuple):
        for index, pair in enumerate(zip(as_is, smuggled, strict=True)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif as_is != smuggled:
        yield f"{place}: {as_is!r} became {smuggled!r}"
