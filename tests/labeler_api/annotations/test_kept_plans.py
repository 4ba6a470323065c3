"""Plans that a save keeps (`connection.PLANNED_ONCE`) go by keys, whatever the tables were like when they were made.

A plan is kept until statistics are gathered anew, which PostgreSQL does a minute later where much was written. Until
then it must not read a table through that was empty when it was made. Counted in pages of 8 KiB.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import pytest

from labeler_api.annotations.batch import store as batch_store
from labeler_api.annotations.editing import store as editing_store
from labeler_api.annotations.history import store as history_store
from labeler_api.annotations.page import store as page_store
from labeler_api.annotations.review import store as review_store
from labeler_api.classes import store as store_classes
from labeler_api.db.connection import PLANNED_ONCE
from labeler_api.locks.deletion_locks import store as deletion_locks_store
from labeler_api.locks.image_locks import store as store_locks
from labeler_api.locks.import_locks import store as import_locks_store
from labeler_api.members.authorization import store as store_members
from tests.labeler_api.annotations.test_status_costs import filled

IMAGES, OF_AN_IMAGE = 10_000, 20  # 200 000 annotations: a plan that goes through the project is seen
FOREIGN = 50_000
# An index is three pages deep. Of the locks, of which there were none in any state, all 5 000 of one person are looked
# at. An index that has the key, but not in the first place, has a thousand pages.
PAGES = 300  # a save is five statements
_MANY_ROWS = ("annotations", "image_annotation_status")
_TABLES = ("image_metadata", "image_annotation_status", "annotations", "image_locks", "annotation_history")
_IMAGE = "train/good/000007"
_DRAFT = msgspec.json.encode(
    {
        "image_id": _IMAGE,
        "annotation_type": "bbox",
        "task_type": "detection",
        "geometry": {"type": "bbox", "bbox": [1, 2, 3, 4]},
        "attributes": {},
        "annotation_state": "draft",
    }
).decode()
_THREE_LEFT = """
    DELETE FROM annotations WHERE project_id = 'proj_1' AND image_id = $1 AND id NOT IN (
        SELECT id FROM annotations WHERE project_id = 'proj_1' AND image_id = $1 ORDER BY id LIMIT 3
    )
"""
_STATUS_OF_THREE = """
    UPDATE image_annotation_status SET total_annotations = 3, draft_annotations = 3, counted_total = 3
    WHERE project_id = 'proj_1' AND image_id = $1
"""
_MARK_OF_AN_IMPORT = "INSERT INTO importing_images VALUES ('proj_1', $1, 1, 2, now())"
_ID = "(SELECT max(id) FROM annotations WHERE image_id = '" + _IMAGE + "' AND project_id = 'proj_1')"
STATEMENTS = {
    "access": (store_members._ACCESS, "'proj_1', 2"),
    "access and role": (store_members._ACCESS_AND_ROLE, "'proj_1', 2, '{owner}', true"),
    "claim": ("SELECT * FROM claim_images_1($1, $2, $3, $4, $5)", f"'proj_1', 'ds_1', '{{{_IMAGE}}}', 2, 60"),
    "batch": (batch_store._INSERT, f"'proj_1', 2, '{{owner}}', true, '[{_DRAFT}, {_DRAFT}]', 60"),
    "confirm many": (
        review_store._CONFIRM_MANY,
        f"'proj_1', 2, '{{owner}}', true, ARRAY[$id]::bigint[], '{{{_IMAGE}}}'",
    ),
    "acquire": (store_locks._ACQUIRE, f"'proj_1', 2, '{{owner}}', true, '{_IMAGE}', 60"),
    "heartbeat": (store_locks._HEARTBEAT, f"'proj_1', '{_IMAGE}', 2, 60"),
    "release": (store_locks._RELEASE, f"'proj_1', '{_IMAGE}', 2"),
    "wait for an image's writers": (import_locks_store._WAIT, "'proj_1', 1, 'ds_1'"),
    "take an image away": (deletion_locks_store._TAKE, f"'ds_1', '{{{_IMAGE}}}'"),
    "find": (editing_store._FIND_FOR, "$id, 2"),
    "find its kind": (editing_store._FIND_KIND, "$id, 2"),
    "find it alone": (editing_store._FIND, "$id"),
    "find some": (review_store._FIND, "ARRAY[$id]::bigint[], 2"),
    "find its place": (history_store._PLACE_FOR, "$id, 2"),
    "its history": (history_store._OF_ANNOTATION, "$id, 2, 1000000, 100, 0"),
    "the kind of a revision": (history_store._KIND_OF_REVISION, "$id, 1"),
    "create": (editing_store._CREATE, f"'proj_1', 2, '{{owner}}', true, '{{owner}}', '{_DRAFT}', 60"),
    "update": (editing_store._UPDATE, """$id, 2, '{owner}', '{owner}', true, NULL, '{"notes": "x"}', 60"""),
    "delete": (editing_store._DELETE, "$id, 2, '{owner}', '{owner}', true, NULL, 60"),
    "confirm": (editing_store._SET_STATE, "$id, 2, '{owner}', '{owner}', true, 'confirmed', 'confirm_if_complete'"),
    "confirm the image": (
        review_store._SET_STATE_OF_IMAGE,
        f"'proj_1', 2, '{{owner}}', true, '{_IMAGE}', 'detection', 'confirmed', 'confirm'",
    ),
    "restore": (
        history_store._RESTORE,
        "$id, 2, '{owner}', '{owner}', true, NULL, 1, '{id}', 1000000, 60",
    ),
    "delete a class": (store_classes._DELETE, "'proj_1', 2, '{owner}', true, 'detection', 'none'"),
    "refresh": (
        "SELECT * FROM refresh_progress_1($1, $2, $3, $4, $5, $6)",
        f"'proj_1', '{{{_IMAGE}}}', '{{detection}}', '{{clear}}', '{{1}}', 2",
    ),
}

# Reads are planned for their values, or for any, as PostgreSQL likes. So each is looked at both ways.
PAGES_OF_A_LIST = 300  # a thousand annotations are some fifty pages, and each is looked up in an index
_FIRST, _LATER = "0, 1000, 0, NULL, NULL, NULL", "50000, 1000, 0, NULL, NULL, NULL"
READS = {
    "annotations": (page_store._PAGE, f"'proj_1', 2, {_FIRST}"),
    "annotations behind a cursor": (page_store._PAGE, f"'proj_1', 2, {_LATER}"),
    "annotations of an image": (editing_store._PAGE_OF_IMAGE, f"'proj_1', 2, '{_IMAGE}', 0, 1000, 0, NULL, NULL"),
}


@pytest.fixture
async def connection(labeler_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(labeler_dsn, server_settings={"jit": "off"})
    for table in _TABLES:
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    for table in _MANY_ROWS:  # half the time to fill them goes into the log and the references
        await connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
    yield connection
    await connection.close()


@pytest.fixture
async def filling(labeler_dsn: str, connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """What fills the tables without a look at references; a connection apart, since to set that drops its plans."""
    assert not connection.is_closed()  # its tables are set up
    filling = await asyncpg.connect(labeler_dsn, server_settings={"jit": "off", "session_replication_role": "replica"})
    yield filling
    await filling.close()


async def fill(filling: asyncpg.Connection) -> None:
    """The project that the statements run on, and the image: three annotations, each of which one of them confirms."""
    await filled(filling, 1, IMAGES, OF_AN_IMAGE)
    await filling.execute(_THREE_LEFT, _IMAGE)
    await filling.execute(_STATUS_OF_THREE, _IMAGE)
    await filling.execute(_MARK_OF_AN_IMPORT, _IMAGE)


async def prepare(connection: asyncpg.Connection) -> None:
    """Plan every statement as a save does, and keep the plans."""
    async with connection.transaction():
        for name, value in PLANNED_ONCE.items():
            await connection.execute(f"SET LOCAL {name} = '{value}'")
        for number, (sql, arguments) in enumerate(STATEMENTS.values()):
            types = ", ".join(parameter.name for parameter in (await connection.prepare(sql)).get_parameters())
            await connection.execute(f"PREPARE kept_{number} ({types}) AS {sql}")
            await connection.execute(f"EXPLAIN EXECUTE kept_{number} ({arguments.replace('$id', '0')})")
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    for number, (sql, arguments) in enumerate(READS.values()):
        types = ", ".join(parameter.name for parameter in (await connection.prepare(sql)).get_parameters())
        await connection.execute(f"PREPARE read_{number} ({types}) AS {sql}")
        await connection.execute(f"EXPLAIN EXECUTE read_{number} ({arguments})")
    await connection.execute("RESET plan_cache_mode")
    # Functions plan what they meet when they meet it; where there is no project yet, some fail, which a save finds out
    # before.
    await pages(connection, asyncpg.ForeignKeyViolationError)


async def pages(connection: asyncpg.Connection, *forgiven: type[Exception]) -> dict[str, int]:
    """The pages that each statement looks at with its kept plan."""
    found = {}
    annotation_id = str(await connection.fetchval(f"SELECT coalesce({_ID}, 0)"))
    for number, (name, (_, arguments)) in enumerate(STATEMENTS.items()):
        for _ in range(2):  # the first time a session reads the catalog, too
            explained, transaction = "[]", connection.transaction()
            await transaction.start()
            try:
                for setting, value in PLANNED_ONCE.items():
                    await connection.execute(f"SET LOCAL {setting} = '{value}'")
                with suppress(*forgiven):
                    explained = await connection.fetchval(
                        "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
                        f"EXECUTE kept_{number} ({arguments.replace('$id', annotation_id)})"
                    )
            finally:
                await transaction.rollback()
        if explained == "[]":
            continue
        plan = msgspec.json.decode(explained)[0]["Plan"]
        found[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        through = [node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
        assert set(through) & set(_TABLES) == set(), name
    return found


async def reads(connection: asyncpg.Connection) -> dict[str, int]:
    """The pages that each reading statement looks at, planned anew for its values, and with the plan that is kept."""
    found = {}
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for number, (name, (_, arguments)) in enumerate(READS.items()):
            for _ in range(2):
                explained = await connection.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE read_{number} ({arguments})"
                )
            plan = msgspec.json.decode(explained)[0]["Plan"]
            found[f"{name}, {mode}"] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("state", ["none", "empty", "three rows", "foreign", "fresh"])
async def test_a_kept_plan_goes_by_keys_however_the_tables_grew(
    connection: asyncpg.Connection, filling: asyncpg.Connection, state: str
) -> None:
    analyze = f"ANALYZE {', '.join(_TABLES)}"
    if state == "three rows":
        await filled(filling, 3, 3, 1)
    if state in {"foreign", "fresh"}:
        await filled(filling, 9, FOREIGN, 1)
    if state == "fresh":
        await fill(filling)
    if state != "none":
        await connection.execute(analyze)
    await prepare(connection)
    if state not in {"foreign", "fresh"}:
        await filled(filling, 9, FOREIGN, 1)
    if state != "fresh":
        await fill(filling)
    await connection.execute(
        'UPDATE annotation_projects SET task_classes = \'{"detection": {"none": {"order": 0}}}\' WHERE id = \'proj_1\''
    )
    await connection.execute(
        f"INSERT INTO annotation_history (annotation_id, project_id, image_id, action, new_state, changed_by, revision)"
        f" SELECT id, project_id, image_id, 'create', to_jsonb(a), 2, 1 FROM annotations a WHERE id = {_ID}"
    )
    await connection.execute(
        "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
        " SELECT 'proj_9', 'train/good/' || to_char(n, 'FM000000'), 2, now() + interval '1 hour'"
        " FROM generate_series(1, 5000) n"
    )
    found = await pages(connection)
    assert {name: number for name, number in found.items() if number > PAGES} == {}
    found = await reads(connection)
    assert {name: number for name, number in found.items() if number > PAGES_OF_A_LIST} == {}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("known", [0, 1, 100, FOREIGN])  # of so many the index by folders is a level lower than the key
async def test_an_import_finds_images_by_their_key_whatever_was_known(
    connection: asyncpg.Connection, filling: asyncpg.Connection, known: int, mode: str
) -> None:
    """An import of 10 000 images read all of them for each, in a dataset that statistics did not know."""
    sql, arguments = STATEMENTS["wait for an image's writers"]
    if known:
        await filled(filling, 9, known, 0)
        await connection.execute("ANALYZE image_metadata")
    await connection.execute(f"SET plan_cache_mode = {mode}; {import_locks_store._BY_KEY.replace('LOCAL', '')}")
    await connection.execute(f"PREPARE kept (text, bigint, text) AS {sql}")
    await connection.execute(f"EXPLAIN EXECUTE kept ({arguments})")
    await filled(filling, 1, IMAGES, 0)
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE kept ({arguments})"))
    assert "using image_metadata_pkey" in plan
