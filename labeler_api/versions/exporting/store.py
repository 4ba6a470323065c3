"""SQL of exports: what is there now, or what a version has, read in one snapshot; nothing is kept in the database."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from labeler_api.db.pool import Row, Snapshot
from labeler_api.versions.files.store import CHOSEN, IMAGE, SIZES, json_text, summary
from labeler_api.versions.publishing.store import rows_of

# A turn is an advisory lock of the transaction: it goes with the connection, however the process ends, and holds over
# every process. The turns are tried one after the other until one is free.
_TAKE_TURN = """
    SELECT turn FROM generate_series(1, $2::int) AS turn
    WHERE pg_try_advisory_xact_lock(hashtextextended('export ' || $1::text || ' ' || turn, 0))
    LIMIT 1
"""

# $5 is a JSON array of ids, or NULL for all: asyncpg spends 15 ms of the event loop on an array of 50,000 texts, and
# 1 ms on one text.
OF_IMAGES = "AND ($5::text IS NULL OR a.image_id IN (SELECT jsonb_array_elements_text($5::text::jsonb)))"

_SUMMARY = f"""
    WITH chosen AS (
        SELECT a.image_id, a.annotation_type, a.class_id, a.class_name, a.created_by, a.confirmed_by
        FROM annotations a
        WHERE a.project_id = $1 AND a.task_type = ANY ($3::varchar[]) AND ($4 OR a.annotation_state <> 'draft')
            {OF_IMAGES}
    )
    {summary("$6")}
"""  # noqa: S608 - put together from constants

_VERSION = """
    SELECT id, task_type, version_number, created_at FROM annotation_versions
    WHERE id = $1 AND project_id = $2 AND version_type = 'published'
"""

_SUMMARY_OF_VERSION = f"""
    WITH chosen AS (
        SELECT snapshot_data ->> 'image_id' AS image_id, snapshot_data ->> 'annotation_type' AS annotation_type,
               snapshot_data ->> 'class_id' AS class_id, snapshot_data ->> 'class_name' AS class_name,
               (snapshot_data ->> 'created_by')::int AS created_by,
               (snapshot_data ->> 'confirmed_by')::int AS confirmed_by
        FROM ({rows_of("SELECT id, snapshot_ids FROM annotation_versions WHERE id = $3")}) AS rows
    )
    {summary("$4")}
"""  # noqa: S608 - put together from constants

# By code point, whatever the database's collation is: the order is part of the files.
_ANNOTATIONS = f"""
    WITH {SIZES}
    SELECT json_build_object(
               'id', a.id, 'image_id', a.image_id, 'annotation_type', a.annotation_type, 'geometry', a.geometry,
               'class_id', a.class_id, 'class_name', a.class_name, 'attributes', a.attributes,
               'created_by', a.created_by, 'created_at', a.created_at, 'confirmed_by', a.confirmed_by,
               'image', {IMAGE})::text AS annotation
    {CHOSEN} {OF_IMAGES}
    ORDER BY a.image_id COLLATE "C", a.id
"""

_IMAGES = f"""
    WITH {SIZES}
    SELECT a.image_id, {IMAGE}::text AS image, a.annotation_type, a.class_id
    {CHOSEN} {OF_IMAGES}
    ORDER BY a.image_id COLLATE "C", a.id
"""

_UNSIZED = f"""
    WITH {SIZES}
    SELECT DISTINCT a.image_id COLLATE "C" AS image_id
    {CHOSEN} {OF_IMAGES}
        AND a.annotation_type NOT IN ('classification', 'no_object')
        AND (COALESCE(i.width, g.width, 0) <= 0 OR COALESCE(i.height, g.height, 0) <= 0)
    ORDER BY 1 LIMIT $6
"""

# As in publishing: stale statistics make nested loops look cheap. For the transaction alone.
_NO_NESTED_LOOPS = "SELECT set_config('enable_nestloop', 'off', true)"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which annotations: those of a task under its stored names, of some images or of all."""

    project_id: str
    dataset_id: str
    stored_types: Sequence[str]
    include_draft: bool
    image_ids: Sequence[str] | None

    @property
    def parameters(self) -> tuple[object, ...]:
        """$1 to $5 of the statements."""
        images = None if self.image_ids is None else json_text(self.image_ids)
        return self.project_id, self.dataset_id, list(self.stored_types), self.include_draft, images


@dataclass(frozen=True, slots=True)
class Version:
    """A published version."""

    id: int
    project_id: str
    dataset_id: str
    task_type: str
    created_at: datetime


async def version(snapshot: Snapshot, version_id: int, project_id: str, dataset_id: str) -> Version | None:
    """Find a version of a project."""
    row = await snapshot.fetchrow(_VERSION, version_id, project_id)
    return None if row is None else Version(row["id"], project_id, dataset_id, row["task_type"], row["created_at"])


async def summary_of_version(snapshot: Snapshot, wanted: Version) -> Row | None:
    """Count what a version has, as `summary_of` does. The classes listed are those of now."""
    return await snapshot.fetchrow(
        _SUMMARY_OF_VERSION, wanted.project_id, wanted.dataset_id, wanted.id, wanted.task_type
    )


async def take_turn(snapshot: Snapshot, project_id: str, turns: int) -> bool:
    """Take one of so many turns of a project until the snapshot ends; False when all are taken."""
    return await snapshot.fetchval(_TAKE_TURN, project_id, turns) is not None


async def summary_of(snapshot: Snapshot, chosen: Chosen, task_type: str) -> Row | None:
    """Count what is chosen, and tell what the files say once and whom they name; None without the project."""
    return await snapshot.fetchrow(_SUMMARY, *chosen.parameters, task_type)


async def unsized(snapshot: Snapshot, chosen: Chosen, limit: int) -> list[str]:
    """Return ids of images, so many at most, that have regions and whose size nobody knows."""
    return [row["image_id"] for row in await snapshot.fetch(_UNSIZED, *chosen.parameters, limit)]


async def prefer_hash_joins(snapshot: Snapshot) -> None:
    """Read each table once, whatever the planner's statistics say, until the snapshot ends."""
    await snapshot.fetchval(_NO_NESTED_LOOPS)


def annotations(snapshot: Snapshot, chosen: Chosen) -> AsyncIterator[str]:
    """Yield the annotations as JSON, in the order of the files."""
    return snapshot.texts(_ANNOTATIONS, *chosen.parameters)


def images(snapshot: Snapshot, chosen: Chosen) -> AsyncIterator[Row]:
    """Yield the image of each annotation in the order of the files."""
    return snapshot.cursor(_IMAGES, *chosen.parameters)
