"""Long lists of texts go to PostgreSQL as one text, and each of them is looked for in a hash."""

from typing import Any

import asyncpg
import pytest

from labeler_api.db.pool import ReadConnection
from labeler_api.imports.checking import store as checking_store
from labeler_api.imports.checking.matching import place
from labeler_api.imports.readers.items import FileImage, Problems
from labeler_api.storage.browsing import store as browsing_store
from tests.fixtures.api import Api

_MANY = 100  # a page of a sweep has more; an array of so few is nothing
STATEMENTS = {
    "preview": browsing_store._PRESENT,
    "import, whole names": checking_store._EXACT,
    "import, ends of names": checking_store._BY_TAIL,
}


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The statements that were given a long array of texts, with its length."""
    found: list[tuple[str, int]] = []
    fetch = ReadConnection.fetch

    async def watched(self: ReadConnection, sql: str, *args: object) -> list[Any]:
        found.extend(
            (" ".join(sql.split())[:80], len(one))
            for one in args
            if isinstance(one, list | tuple) and len(one) > _MANY and isinstance(one[0], str)
        )
        return await fetch(self, sql, *args)

    monkeypatch.setattr(ReadConnection, "fetch", watched)
    return found


async def test_a_preview_sends_one_text(api: Api, arrays: list[tuple[str, int]]) -> None:
    dataset, client = await api.dataset(images=3), await api.login("owner")
    files = [{"filename": f"{n:04}.jpg", "relative_path": f"train/good/{n:04}.jpg", "size": 1} for n in range(300)]
    answer = await client.post(
        f"/api/v1/datasets/{dataset.id}/storage/preview", json={"file_mappings": files, "target_folder": ""}
    )
    assert answer.json()["summary"] == {"total_new": 297, "total_duplicates": 3, "total_files": 300}
    assert arrays == []


async def test_an_import_sends_one_text(api: Api, arrays: list[tuple[str, int]]) -> None:
    dataset, problems = await api.dataset(images=3), Problems()
    images = [FileImage(f"images[{n}]", f"other/good/{n:04}.jpg", has_extension=True) for n in range(300)]
    async with api.db.read() as connection:
        placed = await place(connection, dataset.id, images, problems)
    assert [one.id for one in placed if one is not None] == []
    assert problems.count == 300
    assert arrays == []


@pytest.mark.parametrize("name", list(STATEMENTS))
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_the_texts_are_hashed(labeler_dsn: str, name: str, mode: str) -> None:
    """Of a dataset that statistics do not know, a join would look at each text for each image."""
    connection = await asyncpg.connect(labeler_dsn, server_settings={"plan_cache_mode": mode})
    try:
        await connection.execute(f"PREPARE asked (text, text) AS {STATEMENTS[name]}")
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE asked ('ds_1', '[\"a\"]')"))
    finally:
        await connection.close()
    assert "hashed SubPlan" in plan, plan
    assert "Join Filter" not in plan, plan
