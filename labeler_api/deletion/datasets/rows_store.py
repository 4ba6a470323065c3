"""SQL of the rows of what was deleted: they go in batches, each a short transaction.

Nobody finds the rows any more (`store.py`), so nobody changes them. What a late writer has put in all the same goes by
cascade at the end, with the project's row or the dataset's.
"""

# ruff: noqa: S608 - the statements are put together from constants

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from labeler_api.db.pool import ReadConnection, WriteTransaction

_ROWS = 5000  # a batch of annotations is then some 50 ms, which is how long a checkpoint or a replica waits for it
_IMAGES = 100  # deleted ones, each with everything that was drawn on it
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DeletionBatch:
    """Which table has many rows of one owner, the index by which they are found (`keys`), and where that begins.

    Each batch goes on behind the one before: what was deleted there would have to be stepped over again.
    """

    deletion: str
    owner: str
    keys: tuple[str, ...]
    first: tuple[Any, ...]
    backwards: bool = False
    rows: int = _ROWS

    def statement(self) -> str:
        """Delete a batch of those of the owner $1 behind the keys $2 …; return the keys of the last one."""
        table, keys = self.deletion.removeprefix("DELETE FROM "), ", ".join(self.keys)
        given = ", ".join(f"${number}" for number, _ in enumerate(self.keys, 2))
        ways = (" DESC", "") if self.backwards else ("", " DESC")
        ordered, last = (", ".join(f"{key}{way}" for key in self.keys) for way in ways)
        where, order = f"{self.owner} = $1", ""
        if self.backwards:
            where, order = f"{where} AND ({keys}) < ({given})", f"ORDER BY {ordered}"
        elif keys:
            # A range of owners: of one alone the order would mean nothing, and another index would seem to have it.
            where = f"({self.owner}, {keys}) > ($1, {given}) AND {self.owner} <= $1"
            order = f"ORDER BY {self.owner}, {ordered}"
        return f"""
            WITH batch AS MATERIALIZED (
                SELECT {", ".join(("ctid AS place", *self.keys))} FROM {table} WHERE {where} {order} LIMIT {self.rows}
            ), gone AS (
                {self.deletion} WHERE ctid = ANY (ARRAY(SELECT place FROM batch))
            )
            SELECT {keys or "true"} FROM batch {f"ORDER BY {last}" if keys else ""} LIMIT 1
        """


OF_PROJECT = (
    DeletionBatch("DELETE FROM annotations", "project_id", ("id",), (-(2**63),)),
    DeletionBatch(
        "DELETE FROM annotation_history", "project_id", ('"timestamp"', "id"), (_LAST, 2**63 - 1), backwards=True
    ),
    DeletionBatch("DELETE FROM image_annotation_status", "project_id", ("image_id", "task_type"), ("", "")),
    DeletionBatch("DELETE FROM image_locks", "project_id", ("image_id",), ("",)),
    DeletionBatch("DELETE FROM deleted_image_rows", "project_id", (), ()),
)
"""What a project may have many of. The rest of it is few, and goes by cascade."""

OF_VERSION = (DeletionBatch("DELETE FROM annotation_snapshots", "version_id", ("annotation_id",), (-(2**63),)),)
"""What a version may have many of."""

OF_DATASET = (
    DeletionBatch("DELETE FROM image_metadata", "dataset_id", ("id",), ("",)),
    DeletionBatch("DELETE FROM deleted_images", "dataset_id", ("id",), (-(2**63),), rows=_IMAGES),
)
"""What a dataset may have many of, aside from its project."""

_STATEMENTS = {part: part.statement() for part in (*OF_PROJECT, *OF_VERSION, *OF_DATASET)}

# A version at a time, the newest last: it names the rows of older ones.
_VERSION = "SELECT id FROM annotation_versions WHERE project_id = $1 ORDER BY id LIMIT 1"

_DELETE_VERSION = "DELETE FROM annotation_versions WHERE id = $1"

_IS_HIDDEN_PROJECT = "SELECT EXISTS (SELECT FROM annotation_projects WHERE id = $1 AND dataset_id IS NULL)"

_IS_HIDDEN_DATASET = "SELECT EXISTS (SELECT FROM datasets WHERE id = $1 AND deleted_at IS NOT NULL)"

_DELETE_PROJECT = "DELETE FROM annotation_projects WHERE id = $1 AND dataset_id IS NULL"

_DELETE_DATASET = "DELETE FROM datasets WHERE id = $1 AND deleted_at IS NOT NULL"


async def delete_batch(
    tx: WriteTransaction, part: DeletionBatch, owner: str | int, behind: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    """Delete some of the rows; return the keys of the last one, None when there were none."""
    row = await tx.fetchrow(_STATEMENTS[part], owner, *behind)
    return tuple(row.values())[: len(part.keys)] if row is not None else None


async def next_version(tx: WriteTransaction, project_id: str) -> int | None:
    """Find a version of a project."""
    version_id: int | None = await tx.fetchval(_VERSION, project_id)
    return version_id


async def delete_version(tx: WriteTransaction, version_id: int) -> None:
    """Delete the row of a version."""
    await tx.execute(_DELETE_VERSION, version_id)


async def is_hidden_project(connection: ReadConnection, project_id: str) -> bool:
    """Say whether there is a project that was deleted, and is not gone."""
    return bool(await connection.fetchval(_IS_HIDDEN_PROJECT, project_id))


async def is_hidden_dataset(connection: ReadConnection, dataset_id: str) -> bool:
    """Say whether there is a dataset that was deleted, and is not gone."""
    return bool(await connection.fetchval(_IS_HIDDEN_DATASET, dataset_id))


async def delete_project(tx: WriteTransaction, project_id: str) -> bool:
    """Delete a hidden project; False when it is gone, or somebody put it back."""
    return await tx.execute(_DELETE_PROJECT, project_id) > 0


async def delete_dataset(tx: WriteTransaction, dataset_id: str) -> bool:
    """Delete a hidden dataset; False when it is gone, or somebody put it back."""
    return await tx.execute(_DELETE_DATASET, dataset_id) > 0
