"""After an outage: every acknowledged write counted again, in rows, history, statuses, counters and objects."""

import asyncio
import hashlib
import itertools
from collections import Counter

import msgspec

from tests.fixtures.annotating import check_counters
from tests.fixtures.api import Api, Made
from tests.fixtures.rows import rows
from tests.fixtures.waiting import until_true
from tests.outages.people import Acknowledged

_LEFT_SECONDS = 0.5  # until a request whose client has left is at its statement


async def recount(api: Api, made: Made, acknowledged: Acknowledged) -> None:
    """Nothing acknowledged is lost, doubled or replaced, and what is derived says what a count says."""
    await _at_rest(api)
    await check_counters(api, made)
    await _history(api, made, acknowledged)
    await _pictures(api, made, acknowledged)


async def _at_rest(api: Api) -> None:
    """Wait for what people did not wait for: a request goes on where its client has left."""
    at_work = (
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'labeler_api'"
        " AND state <> 'idle' AND pid <> pg_backend_pid())"
    )
    await asyncio.sleep(_LEFT_SECONDS)
    await until_true(api, at_work)


async def _history(api: Api, made: Made, acknowledged: Acknowledged) -> None:
    found = await rows(
        api,
        "SELECT h.annotation_id, h.revision, h.new_state ->> 'notes' AS marker, a.notes, a.version,"
        " h.id = max(h.id) OVER (PARTITION BY h.annotation_id) AS is_last"
        " FROM annotation_history h LEFT JOIN annotations a ON a.id = h.annotation_id"
        " WHERE h.project_id = $1 ORDER BY h.annotation_id, h.id",
        made.project_id,
    )
    written = Counter(row["marker"] for row in found)
    assert [marker for marker in acknowledged.saves if written[marker] != 1] == [], "lost or doubled"
    unknown = written.keys() - acknowledged.saves - acknowledged.in_doubt
    assert unknown == set(), "nobody wrote this"
    for _, revisions in itertools.groupby(found, key=lambda row: row["annotation_id"]):
        listed = list(revisions)
        assert [row["revision"] for row in listed] == list(range(1, len(listed) + 1))
        assert (listed[-1]["notes"], listed[-1]["version"]) == (listed[-1]["marker"], len(listed))


async def _pictures(api: Api, made: Made, acknowledged: Acknowledged) -> None:
    """Each row describes the bytes of its object, and they are the acknowledged ones, or of a try in doubt since."""
    found = await rows(
        api,
        "SELECT folder_path || '/' || file_name AS path, s3_key, content_sha256, size FROM image_metadata"
        " WHERE dataset_id = $1 AND folder_path LIKE 'person%'",
        made.dataset_id,
    )
    by_path = {row["path"]: row for row in found}
    assert acknowledged.pictures.keys() <= by_path.keys()
    for path, row in by_path.items():
        async with api.services.objects.open("datasets", row["s3_key"]) as stream:
            content = await stream.read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row["size"], row["content_sha256"]), path
        allowed = [*acknowledged.pictures_in_doubt.get(path, [])]
        if path in acknowledged.pictures:
            allowed.append(acknowledged.pictures[path])
        assert content in allowed, f"{path} holds what nobody was told"


def digest(acknowledged: Acknowledged) -> str:
    """What people met, for the table."""
    return msgspec.json.encode(dict(acknowledged.statuses)).decode()
