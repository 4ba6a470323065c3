"""How writers of annotations count in their project without waiting for each other.

A project's row holds its counters and its revision. A writer that finds the row free adds to it. One that finds it
locked by somebody else leaves a row in `project_changes` instead, and the next one that finds the project free adds
those, too (`db/functions/count_in_project_2.sql`). So no writer waits for the project, and a project's numbers are
its row plus the changes that wait.

While an import is at work in the project, nobody adds to the row: each of its annotations looks the row up, and every
version of it that was made meanwhile would lie in the way until the import ends.

The revision that a reader sees only grows: a later reader sees every change that an earlier one saw.
"""

WAITING = """
    LEFT JOIN LATERAL (
        SELECT count(*) AS number, sum(c.annotations) AS annotations, sum(c.images) AS images,
               (array_agg(c.changed_by ORDER BY c.id DESC))[1] AS changed_by, max(c.changed_at) AS changed_at
        FROM project_changes c WHERE c.project_id = p.id
    ) waiting ON true
"""
"""Joins a project `p` with the sum of the changes that wait: a row always, of which `number` may be 0."""

REVISION = "p.revision + (SELECT count(*) FROM project_changes c WHERE c.project_id = p.id)"
"""The revision of a project `p`."""

COUNTED = {
    "annotated_images": "p.annotated_images + COALESCE(waiting.images, 0)::integer",
    "total_annotations": "p.total_annotations + COALESCE(waiting.annotations, 0)::integer",
    "revision": "p.revision + COALESCE(waiting.number, 0)",
    "last_updated_by": "COALESCE(waiting.changed_by, p.last_updated_by)",
    "updated_at": "GREATEST(p.updated_at, waiting.changed_at)",
}
"""Columns of a project `p` that was joined with WAITING, by their names, as they are with what waits."""
