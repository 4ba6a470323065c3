"""SQL of exports: what is there now, or what a version has, read in one snapshot; nothing is kept in the database."""

# ruff: noqa: S608 - the only text put into the statements is constants

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from labeler_api.db.long_lists import json_text
from labeler_api.db.pool import Row, Snapshot
from labeler_api.images.checksums.checksum import CHECKSUM, VERSION
from labeler_api.versions.files.store import CHOSEN, IMAGE, SIZES, summary
from labeler_api.versions.publishing.store import OF_VERSION, rows_of

# A turn is an advisory lock of the transaction: it goes with the connection, however the process ends, and holds over
# every process. The turns are tried one after the other until one is free.
_TAKE_TURN = """
    SELECT turn FROM generate_series(1, $2::int) AS turn
    WHERE pg_try_advisory_xact_lock(hashtextextended('export ' || $1::text || ' ' || turn, 0))
    LIMIT 1
"""

# $5 is a JSON array of ids (`db.long_lists`), or NULL for all.
OF_IMAGES = "AND ($5::text IS NULL OR a.image_id IN (SELECT jsonb_array_elements_text($5::text::jsonb)))"

_SUMMARY = f"""
    WITH chosen AS (
        SELECT a.image_id, a.annotation_type, a.class_id, a.class_name, a.created_by, a.confirmed_by
        FROM annotations a
        WHERE a.project_id = $1 AND a.task_type = ANY ($3::varchar[]) AND ($4 OR a.annotation_state <> 'draft')
            {OF_IMAGES}
    )
    {summary("$6")}
"""

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
"""

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
    """Take one of the project's turns until the snapshot ends; False when all are taken."""
    return await snapshot.fetchval(_TAKE_TURN, project_id, turns) is not None


async def summary_of(snapshot: Snapshot, chosen: Chosen, task_type: str) -> Row | None:
    """Count what is chosen, and return what the files say once and the people they name; None without the project."""
    return await snapshot.fetchrow(_SUMMARY, *chosen.parameters, task_type)


async def unsized(snapshot: Snapshot, chosen: Chosen, limit: int) -> list[str]:
    """Return ids of images that have regions and no known size, up to a limit."""
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


_PREFETCH = 1000  # rows of some 300 bytes

_KNOWN = f"i.dataset_id, i.s3_key, {VERSION} AS version, {CHECKSUM} AS checksum"

# By code point, as the files are. A row without a key has no image.
_CHOSEN = f"""
    SELECT c.image_id, c.annotations, {_KNOWN},
           CASE WHEN i.id IS NULL THEN c.image_id
                ELSE concat_ws('/', NULLIF(i.folder_path, ''), i.file_name) END AS file_name
    FROM (
        SELECT a.image_id, count(*)::int AS annotations FROM annotations a
        WHERE a.project_id = $1 AND a.task_type = ANY ($3::varchar[]) AND ($4 OR a.annotation_state <> 'draft')
            {OF_IMAGES}
        GROUP BY a.image_id
    ) AS c
    LEFT JOIN image_metadata i ON i.dataset_id = $2 AND i.id = c.image_id
    WHERE c.image_id COLLATE "C" > $6::text COLLATE "C"
    ORDER BY c.image_id COLLATE "C"
"""

# A version keeps the objects of its images when they are deleted (deletion/store_images). Of those that have the id and
# the size now, and of the deleted ones, it is the one that was there when the version was made; else any of them: a
# script may upload the same files every night.
# The range has each image found by the primary key (`locks.import_locks.store`).
_FROZEN = f"""
    WITH frozen AS (
        SELECT snapshot_data ->> 'image_id' AS image_id, count(*)::int AS annotations,
               min(snapshot_data -> 'image' ->> 'file_name') AS file_name,
               min((snapshot_data -> 'image' ->> 'width')::int) AS width,
               min((snapshot_data -> 'image' ->> 'height')::int) AS height
        FROM ({OF_VERSION}) AS rows GROUP BY 1
    )
    SELECT c.image_id, c.file_name, c.annotations, i.*
    FROM frozen c LEFT JOIN LATERAL (
        SELECT {_KNOWN} FROM (
            (
                SELECT i.*, 0::bigint AS deletion FROM image_metadata i
                WHERE i.dataset_id = $2 AND i.id BETWEEN c.image_id AND c.image_id ORDER BY i.id LIMIT 1
            )
            UNION ALL
            SELECT i.*, d.id
            FROM deleted_images d CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, d.image) i
            WHERE d.dataset_id = $2 AND d.image_id = c.image_id
        ) AS i
        WHERE c.width = 0 OR i.width IS NULL OR (i.width, i.height) = (c.width, c.height)
        ORDER BY i.last_modified <= $3::timestamptz DESC, i.deletion = 0 DESC, i.deletion DESC LIMIT 1
    ) AS i ON true
    WHERE c.image_id COLLATE "C" > $4::text COLLATE "C"
    ORDER BY c.image_id COLLATE "C"
"""


def chosen(snapshot: Snapshot, selection: Chosen, after: str) -> AsyncIterator[Row]:
    """Yield the image of each annotation once, in the order of the files, from behind an id on.

    Rows of (image_id, file_name, annotations, dataset_id, s3_key, version, checksum): no key where there is no image,
    no checksum where none is noted.
    """
    return snapshot.cursor(_CHOSEN, *selection.parameters, after, prefetch=_PREFETCH)


def frozen(snapshot: Snapshot, version: Version, after: str) -> AsyncIterator[Row]:
    """Yield the image of each annotation of a version, as `chosen` does."""
    where = (version.id, version.dataset_id, version.created_at)
    return snapshot.cursor(_FROZEN, *where, after, prefetch=_PREFETCH)
