"""The database that `benchmarks.move` moves: rows as the API writes them, made by the server itself.

Six annotations of ten are boxes, three are outlines of 24 points, one is a class of the image, as in the demo. Every
annotation was changed until the history has as many rows as asked for; a history row holds the whole annotation before
and after, and a change has moved a point. History lies in the order of its time: the revisions of one annotation have
those of others between them, which a dump's compression does not see across.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from labeler_ops.database.upgrade import upgrade

PROJECTS = 20
_CONNECTIONS = 2

# The rows fit together by construction: the server need not look each reference up.
_SESSION = """
    SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB';
    CREATE FUNCTION pg_temp.number(low int, high int) RETURNS numeric LANGUAGE sql VOLATILE AS
        $$ SELECT round((low + random() * (high - low))::numeric, 2) $$;
    CREATE FUNCTION pg_temp.geometry(kind int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
        SELECT CASE
            WHEN kind < 6 THEN jsonb_build_object('type', 'bbox', 'image_width', 1920, 'image_height', 1080,
                'bbox', jsonb_build_array(pg_temp.number(0, 1500), pg_temp.number(0, 800), pg_temp.number(9, 400),
                                          pg_temp.number(9, 250)))
            WHEN kind < 9 THEN jsonb_build_object('type', 'polygon', 'image_width', 1920, 'image_height', 1080,
                'points', (SELECT jsonb_agg(jsonb_build_array(
                               round((960 + size * cos(step * 0.2618) * (0.9 + random() / 5))::numeric, 2),
                               round((540 + size * sin(step * 0.2618) * (0.9 + random() / 5))::numeric, 2)))
                           FROM generate_series(1, 24) step, (SELECT 20 + random() * 400 AS size OFFSET 0) one))
            ELSE jsonb_build_object('type', 'classification') END $$;
    -- What an annotation was at one of its revisions: a point was somewhere else.
    CREATE FUNCTION pg_temp.state(a annotations, revision int) RETURNS jsonb LANGUAGE sql STABLE AS $$
        SELECT to_jsonb(a) || jsonb_build_object(
            'version', revision, 'updated_by', CASE WHEN revision > 1 THEN a.updated_by END,
            'updated_at', a.created_at + revision * interval '7 minutes',
            'geometry', CASE a.annotation_type
                WHEN 'bbox' THEN jsonb_set(a.geometry, '{bbox,0}', to_jsonb((a.id * 7919 + revision * 104729) % 1500))
                WHEN 'polygon' THEN jsonb_set(a.geometry, ARRAY['points', ((a.id + revision) % 24)::text, '0'],
                                              to_jsonb((a.id * 7919 + revision * 104729) % 1500))
                ELSE a.geometry END) $$;
"""

_PROJECT = (
    """
    INSERT INTO datasets (id, name, owner_id, storage_path, num_images)
    SELECT 'ds_' || p, 'Dataset ' || p, p, 'datasets/ds_' || p || '/', $2 FROM (VALUES ($1::int)) v (p)
""",
    """
    INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_classes, total_images)
    SELECT 'proj_' || p, 'Dataset ' || p, 'ds_' || p, p, ARRAY['detection', 'segmentation', 'classification'],
        '{"detection": {"person": {"name": "Person", "color": "#e6194b"}}}', $2 FROM (VALUES ($1::int)) v (p)
""",
    """
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT 'proj_' || p, p + u, CASE u WHEN 0 THEN 'owner' ELSE 'annotator' END, p
    FROM (VALUES ($1::int)) v (p), generate_series(0, 4 + $2 * 0) u
""",
    """
    INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, width, height, content_sha256,
        content_type, thumbnail_key)
    SELECT 'train/' || lpad(n::text, 6, '0'), 'ds_' || p, lpad(n::text, 6, '0') || '.jpg',
        'datasets/ds_' || p || '/images/train/' || lpad(n::text, 6, '0') || '.jpg', 'train',
        50000 + (random() * 450000)::int, 1920, 1080, encode(sha256(n::text::bytea), 'hex'), 'image/jpeg',
        'datasets/ds_' || p || '/thumbnails/train/' || lpad(n::text, 6, '0') || '.jpg'
    FROM (VALUES ($1::int)) v (p), generate_series(1, $2) n
""",
)

_ANNOTATIONS = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, class_id, class_name,
        attributes, created_by, updated_by, annotation_state, confirmed_at, confirmed_by, created_at, updated_at, version)
    SELECT 'proj_' || p, 'train/' || lpad((1 + n % $2)::text, 6, '0'),
        CASE WHEN kind < 6 THEN 'bbox' WHEN kind < 9 THEN 'polygon' ELSE 'classification' END,
        CASE WHEN kind < 6 THEN 'detection' WHEN kind < 9 THEN 'segmentation' ELSE 'classification' END,
        pg_temp.geometry(kind), (ARRAY['person', 'saucer', 'indoor'])[1 + n % 3],
        (ARRAY['Person', 'Saucer', 'Indoor'])[1 + n % 3],
        CASE WHEN n % 4 = 0 THEN '{"occluded": true, "truncated": false}' ELSE '{}' END::jsonb,
        p + n % 5, p + n % 5, CASE WHEN done THEN 'confirmed' ELSE 'draft' END,
        CASE WHEN done THEN made + interval '1 day' END, CASE WHEN done THEN p END, made, made + interval '1 hour',
        $4 + CASE WHEN n <= $5 THEN 1 ELSE 0 END
    FROM (VALUES ($1::int)) v (p), generate_series(1, $3) n,
        LATERAL (SELECT n % 10 AS kind, n % 3 = 0 AS done, now() - n * interval '10 seconds' AS made) one
"""

_HISTORY = """
    INSERT INTO annotation_history (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by,
        timestamp, revision)
    SELECT a.id, a.project_id, a.image_id, CASE r WHEN 1 THEN 'create' ELSE 'update' END,
        CASE WHEN r > 1 THEN pg_temp.state(a, r - 1) END, pg_temp.state(a, r), a.created_by,
        a.created_at + r * interval '7 minutes', r
    FROM annotations a, generate_series(1, a.version) r WHERE a.project_id = 'proj_' || $1::int
    ORDER BY a.created_at + r * interval '7 minutes'
"""

_STATUS = """
    INSERT INTO image_annotation_status (project_id, image_id, task_type, status, first_modified_at, last_modified_at,
        total_annotations, confirmed_annotations, draft_annotations)
    SELECT project_id, image_id, task_type, 'in-progress', min(created_at), max(updated_at), count(*),
        count(*) FILTER (WHERE annotation_state = 'confirmed'), count(*) FILTER (WHERE annotation_state = 'draft')
    FROM annotations WHERE project_id = 'proj_' || $1::int GROUP BY project_id, image_id, task_type
"""
_SIZES = """
    SELECT relname AS name, pg_table_size(oid) AS table_bytes, pg_indexes_size(oid) AS index_bytes
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0 ORDER BY 2 DESC
"""


@dataclass(frozen=True)
class Amount:
    """How many rows."""

    annotations: int
    history: int
    images: int

    def over(self, divisor: int) -> "Amount":
        """The same, smaller."""
        return Amount(self.annotations // divisor, self.history // divisor, self.images // divisor)


@dataclass(frozen=True)
class Size:
    """A table's rows and its bytes, apart from its indexes'."""

    name: str
    rows: int
    table_bytes: int
    index_bytes: int


async def fill(url: str, amount: Amount, told: Callable[[int, int], None], number: int = PROJECTS) -> list[Size]:
    """Make the newest schema in an empty database and fill it; `told` hears projects done and of how many."""
    await upgrade(url)
    return await fill_tables(url, amount, told, number)


async def fill_tables(url: str, amount: Amount, told: Callable[[int, int], None], number: int = PROJECTS) -> list[Size]:
    """Fill a database that has its tables, as they have been since the revision 20261122_1120."""
    projects = iter(range(1, number + 1))
    done = 0

    async def work() -> None:
        nonlocal done
        connection = await asyncpg.connect(url)
        await connection.execute(_SESSION)
        for project in projects:
            await _project(connection, project, amount.over(number))
            done += 1
            told(done, number)
        await connection.close()

    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
    connection = await asyncpg.connect(url)
    try:
        # As a database is that has been in use; who reads it first must not pay for marking its rows.
        await connection.execute("VACUUM (ANALYZE)", timeout=None)
        return [
            Size(name, await connection.fetchval(f"SELECT count(*) FROM {name}"), of_table, of_indexes)
            for name, of_table, of_indexes in await connection.fetch(_SIZES)
        ]
    finally:
        await connection.close()


async def _project(connection: "asyncpg.Connection[asyncpg.Record]", number: int, amount: Amount) -> None:
    await connection.execute("SELECT setseed($1::float8)", number / PROJECTS)  # the same rows every time
    for statement in _PROJECT:
        await connection.execute(statement, number, amount.images)
    revisions, rest = divmod(amount.history, amount.annotations)
    await connection.execute(_ANNOTATIONS, number, amount.images, amount.annotations, revisions, rest)
    await connection.execute(_HISTORY, number)
    await connection.execute(_STATUS, number)
