"""The statements that a call costs do not depend on how much there is, and are few."""

import pytest

from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import Sample, build
from tests.fixtures.access.table import Rule, rules

_FOR_READERS: list[Sample] = []
READ_BUDGET = 6
WRITE_BUDGET = 12
# Of a whole file, in four transactions: three short ones beside the long one, so that nobody waits for it.
IMPORT_BUDGET = 30
_IMPORT = "POST /api/v1/annotations/import/project/{project_id}"
MORE = 300


def _allowed() -> list[Rule]:
    """A row of each call that the owner may do."""
    found: dict[str, Rule] = {}
    for rule in rules():
        if not rule.expected("owner", "private").refused:
            found.setdefault(rule.call, rule)
    return list(found.values())


@pytest.mark.parametrize("rule", _allowed(), ids=lambda rule: rule.name)
async def test_a_call_costs_the_same_however_much_there_is(callers: Callers, rule: Rule) -> None:
    few, many = await build(callers.db), await _much(callers, rule)
    await callers.send("owner", "GET /api/v1/auth/me", few, Ask())  # organizations' names are read once in five minutes
    costs = [await _cost(callers, rule, sample) for sample in (few, many)]
    assert costs[0] == costs[1]
    most = READ_BUDGET if rule.method == "GET" else WRITE_BUDGET
    assert costs[1] <= (IMPORT_BUDGET if rule.call == _IMPORT else most)


async def _cost(callers: Callers, rule: Rule, sample: Sample) -> int:
    call = call_of(rule.call, rule.case)
    if call.arrange:
        await call.arrange(callers.api, sample, "owner")
    callers.fresh()  # what one sample has taught a process costs the other nothing
    with callers.api.count() as counted:
        answer = await callers.send("owner", rule.call, sample, call.ask(sample, "owner"))
    assert answer.status_code == rule.expected("owner", "private").status, answer.text
    return counted.value


# $1 the dataset, $2 the project, $3 how many. Users that nobody knows: names are looked up for them all the same.
_NUMBERS = "FROM generate_series(1, $3::int) n, (SELECT $1::varchar AS dataset, $2::varchar AS project) sample"
_FILL = (
    "INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, width, height, content_sha256)"
    f" SELECT 'more/' || n, dataset, n || '.jpg', dataset || '/' || n, 'more', 2, 640, 480, md5(n::text) {_NUMBERS}",
    "UPDATE datasets d SET num_images = (SELECT count(*) FROM image_metadata i WHERE i.dataset_id = d.id)"
    " FROM (SELECT $1::varchar AS dataset, $2::varchar AS project, $3::int AS more) sample WHERE d.id = dataset",
    "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
    " SELECT project, 'more/' || n, 'bbox', 'detection', '{\"type\": \"bbox\", \"bbox\": [1, 2, 3, 4]}', 1000 + n"
    f" {_NUMBERS}",
    "INSERT INTO annotation_history (annotation_id, project_id, action, changed_by)"
    f" SELECT n, project, 'create', 1000 + n {_NUMBERS}",
    "INSERT INTO image_annotation_status (project_id, image_id, task_type, status)"
    f" SELECT project, 'more/' || n, 'detection', 'in-progress' {_NUMBERS}",
    "INSERT INTO project_permissions (project_id, user_id, role, granted_by)"
    f" SELECT project, 1000 + n, 'viewer', 2 {_NUMBERS}",
    "INSERT INTO deleted_images (dataset_id, image_id, deleted_by, restorable_until, purge_after, annotation_count,"
    " s3_key, image) SELECT dataset, 'gone/' || n, 1000 + n, now() + interval '9 days', now() + interval '9 days', 0,"
    " dataset || '/gone/' || n, to_jsonb(jsonb_populate_record(NULL::image_metadata, jsonb_build_object('dataset_id',"
    " dataset, 'id', 'gone/' || n, 'file_name', n || '.jpg', 's3_key', dataset || '/gone/' || n, 'size', 2,"
    f" 'uploaded_at', now(), 'last_modified', now()))) {_NUMBERS}",
    "INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by)"
    f" SELECT project, 'detection', 'w' || n, 'published', 1000 + n {_NUMBERS}",
    "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
    f" SELECT project, 'more/' || n, 2, now() + interval '1 hour' {_NUMBERS}",
    "INSERT INTO invitations (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status, expires_at)"
    f" SELECT project || n, dataset, 2, 2, 'x@example.com', 'viewer', 'cancelled', now() {_NUMBERS}",
)


async def _much(callers: Callers, rule: Rule) -> Sample:
    """A sample with much of everything: of the call's own, or one for all calls that only read."""
    if rule.method == "GET" and _FOR_READERS:
        return _FOR_READERS[0]
    sample = await build(callers.db)
    await _fill(callers, sample)
    if rule.method == "GET":
        _FOR_READERS.append(sample)
    return sample


async def _fill(callers: Callers, sample: Sample) -> None:
    """Add images, annotations, members and all the rest, each some hundred times."""
    async with callers.db.begin() as tx:
        for statement in _FILL:
            await tx.execute(statement, sample.dataset_id, sample.project_id, MORE)
