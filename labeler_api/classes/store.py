"""SQL of classes, which live in the project's row."""

from labeler_api.db.pool import Row, WriteTransaction

_READ = """
    SELECT $2::varchar = ANY (task_types) AS has_task, COALESCE(task_classes -> $2::text, '{}')::text AS classes
    FROM annotation_projects WHERE id = $1
"""

_WRITE = """
    UPDATE annotation_projects
    SET task_classes = jsonb_set(task_classes, ARRAY[$2::text], $3::jsonb),
        revision = revision + 1, last_updated_by = $4, updated_at = clock_timestamp()
    WHERE id = $1
"""

_IN_USE = """
    SELECT EXISTS (SELECT FROM annotations WHERE project_id = $1 AND task_type = $2 AND class_id = $3)
"""


async def read(tx: WriteTransaction, project_id: str, task_type: str) -> Row:
    """Whether a project has the task, and the task's classes as JSON text by class id.

    The project must have been locked in the same transaction: writers of its classes queue there, so no change is lost.
    """
    (row,) = await tx.fetch(_READ, project_id, task_type)
    return row


async def write(tx: WriteTransaction, project_id: str, task_type: str, classes: str, actor: int) -> None:
    """Replace the classes of one task. The project must have been locked in the same transaction."""
    await tx.execute(_WRITE, project_id, task_type, classes, actor)


async def in_use(tx: WriteTransaction, project_id: str, task_type: str, class_id: str) -> bool:
    """Whether an annotation of the task has the class.

    The project must have been locked alone in the same transaction: writers of annotations wait for that.
    """
    used: bool = await tx.fetchval(_IN_USE, project_id, task_type, class_id)
    return used
