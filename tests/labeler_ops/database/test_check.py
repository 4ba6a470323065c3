"""`labeler db check` sees every kind of difference, both ways, and leaves other tools' objects out."""

from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import Table

from labeler_api.db.tables import metadata, quarantine_tables
from labeler_ops.database.schema_check import check
from labeler_ops.errors import DatabaseError
from tests.fixtures.production import LEGACY_TABLES, run_sql


async def test_a_migrated_database_is_what_the_models_say(labeler_dsn: str) -> None:
    assert await check(labeler_dsn) == []


def test_every_table_of_production_has_a_quarantine() -> None:
    assert quarantine_tables.keys() == set(LEGACY_TABLES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE annotations ALTER COLUMN version TYPE bigint", "column annotations.version: expected integer"),
        (
            "ALTER TABLE annotations ALTER COLUMN version DROP NOT NULL",
            "column annotations.version: expected integer NOT",
        ),
        (
            "ALTER TABLE annotations ALTER COLUMN version SET DEFAULT 2",
            "column annotations.version: expected integer NOT",
        ),
        (
            "ALTER TABLE annotations ALTER COLUMN created_at TYPE timestamptz(3)",
            "column annotations.created_at: expected",
        ),
        ("ALTER TABLE annotations DROP COLUMN notes", "column annotations.notes is missing"),
        ("ALTER TABLE annotations ADD COLUMN extra int", "column annotations.extra is not expected"),
        (
            "ALTER TABLE image_metadata DROP CONSTRAINT image_metadata_pkey",
            "constraint image_metadata.image_metadata_pkey is",
        ),
        (
            "ALTER TABLE image_locks DROP CONSTRAINT uq_project_image_lock",
            "constraint image_locks.uq_project_image_lock is",
        ),
        (
            "ALTER TABLE datasets DROP CONSTRAINT ck_datasets_visibility",
            "constraint datasets.ck_datasets_visibility is",
        ),
        ("ALTER TABLE datasets ADD CONSTRAINT more CHECK (owner_id > 0)", "constraint datasets.more is not expected"),
        (
            "ALTER TABLE comments DROP CONSTRAINT fk_comments_project_id_annotation_projects,"
            " ADD CONSTRAINT fk_comments_project_id_annotation_projects FOREIGN KEY (project_id)"
            " REFERENCES annotation_projects (id)",
            "constraint comments.fk_comments_project_id_annotation_projects: expected",
        ),
        ("DROP INDEX ix_annotations_project_id_id", "index ix_annotations_project_id_id is missing"),
        ("CREATE INDEX more ON annotations (notes)", "index more is not expected"),
        (
            "DROP INDEX uq_project_owner; CREATE UNIQUE INDEX uq_project_owner ON project_permissions (project_id)"
            " WHERE role = 'admin'",
            "index uq_project_owner: expected",
        ),
        ("DROP TABLE comments", "table comments is missing"),
        ("CREATE TABLE more (id int)", "table more is not expected"),
        ("CREATE VIEW more AS SELECT 1 AS x", "table more is not expected; found: view"),
        ("ALTER SEQUENCE comments_id_seq AS integer", "sequence comments_id_seq: expected bigint"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            " CREATE TRIGGER more BEFORE INSERT ON comments FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger comments.more is not expected",
        ),
        ("UPDATE alembic_version SET version_num = '20251124_0000'", "revision: expected"),
        ("DROP TABLE alembic_version", "revision: expected"),
    ],
)
async def test_a_difference(labeler_dsn: str, change: str, said: str) -> None:
    await run_sql(labeler_dsn, change, "SELECT")
    (difference,) = await check(labeler_dsn)
    assert difference.startswith(said), difference


async def test_a_difference_in_the_models(labeler_dsn: str) -> None:
    more = Table("only_in_the_models", metadata)
    try:
        assert await check(labeler_dsn) == ["table only_in_the_models is missing; expected: table"]
    finally:
        metadata.remove(more)


async def test_objects_of_other_tools_are_left_out(labeler_dsn: str) -> None:
    await run_sql(
        labeler_dsn,
        "CREATE TABLE procrastinate_jobs (id bigserial PRIMARY KEY, args jsonb)",
        "CREATE INDEX procrastinate_jobs_args ON procrastinate_jobs (args)",
        "CREATE TABLE pgqueuer_of_another_version (id serial)",
        "SELECT",
    )
    assert await check(labeler_dsn) == []


async def test_the_check_leaves_nothing_behind(labeler_dsn: str) -> None:
    count = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'pg_toast')"
    before = await run_sql(labeler_dsn, count)
    await check(labeler_dsn)
    assert await run_sql(labeler_dsn, count) == before


async def test_who_may_not_create_a_schema_is_told_so(labeler_dsn: str) -> None:
    await run_sql(labeler_dsn, "DROP ROLE IF EXISTS only_looks", "CREATE ROLE only_looks LOGIN PASSWORD 'x'", "SELECT")
    await run_sql(labeler_dsn, "GRANT SELECT ON alembic_version TO only_looks", "SELECT")
    parts = urlsplit(labeler_dsn)
    try:
        with pytest.raises(DatabaseError, match="run this as the database's owner"):
            await check(urlunsplit(parts._replace(netloc=f"only_looks:x@{parts.hostname}:{parts.port}")))
    finally:
        await run_sql(labeler_dsn, "DROP OWNED BY only_looks", "DROP ROLE only_looks", "SELECT")
