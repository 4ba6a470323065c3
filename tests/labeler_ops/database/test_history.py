"""`labeler db prune-history`: what goes, what stays, and what can be restored afterwards."""

import json

import pytest

from labeler_ops.database import history
from labeler_ops.database.history import Pruned, prune
from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api import Api
from tests.fixtures.production import run_sql
from tests.labeler_ops.database.test_commands import labeler

_AGES = "SELECT revision FROM annotation_history WHERE annotation_id = $1 ORDER BY id"


async def _revisions(api: Api, annotation_id: int) -> list[int]:
    async with api.db.read() as connection:
        return [row["revision"] for row in await connection.fetch(_AGES, annotation_id)]


async def test_what_was_within_the_kept_days_can_be_restored(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five revisions, of which three are old; and an annotation that was deleted long ago."""
    monkeypatch.setattr(history, "_AT_ONCE", 2)
    dataset, owner = await api.dataset(tasks=["detection"], images=1), await api.login("owner")
    changed, deleted = [(await create_annotation(owner, box(dataset)))["id"] for _ in range(2)]
    for number in range(2, 6):
        answer = await owner.put(f"/api/v1/annotations/{changed}", json={"notes": f"revision {number}"})
        assert answer.status_code == 200, answer.text
    assert (await owner.delete(f"/api/v1/annotations/{deleted}")).status_code == 200
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_history SET timestamp = now() - interval '40 days'"
            " WHERE annotation_id = $1 OR revision <= 3",
            deleted,
        )
    url = api.services.settings.labeler_db_url

    assert await prune(url, 30, remove=False) == Pruned(7, 4)
    assert await _revisions(api, changed) == [1, 2, 3, 4, 5]
    assert await prune(url, 30, remove=True) == Pruned(7, 4)
    assert await prune(url, 30, remove=True) == Pruned(3, 0)

    assert await _revisions(api, changed) == [4, 5]
    assert await _revisions(api, deleted) == [2]
    # Revision 3 was what it was when the kept days began; 2 was not any more.
    for annotation_id, revision, status in ((changed, 2, 404), (changed, 3, 200), (deleted, 1, 200)):
        answer = await owner.post(f"/api/v1/annotations/{annotation_id}/restore", json={"revision": revision})
        assert answer.status_code == status, answer.text
    assert await _revisions(api, changed) == [4, 5, 6]
    assert await _revisions(api, deleted) == [2, 3]


async def test_it_says_what_it_did(api: Api) -> None:
    url = api.services.settings.labeler_db_url
    told = await labeler("prune-history", "--older-than-days", "30", "--url", url)
    assert told.returncode == 0
    assert "0 of 0 entries would be removed" in told.stdout
    done = await labeler("prune-history", "--older-than-days", "30", "--remove", "--json", "--url", url)
    assert json.loads(done.stdout) == {"entries": 0, "old": 0, "removed": True}
    await run_sql(url, "ALTER TABLE annotation_history RENAME TO elsewhere", "SELECT")
    refused = await labeler("prune-history", "--older-than-days", "30", "--url", url)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
