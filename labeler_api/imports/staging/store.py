"""SQL of what an import prepares: tables of its own transaction, which nobody else sees or waits for.

The file's annotations are copied into `import_stage`, the annotations that their images have already are collected in
`import_present`, and the two are compared by hash. Both are analysed, so no plan rests on what PostgreSQL happens to
know. Parameters of the other statements are planned without their values (`begin`): what is known of one
project among many is nothing, or stale, right when something is imported into it.
"""

from collections.abc import Sequence

from labeler_api.db.pool import WriteTransaction

STAGED = (
    *("number", "image_id", "annotation_type", "task_type", "class_position", "class_name"),
    *("geometry", "attributes"),
)

_BEGIN = """
    SELECT pg_current_xact_id()::text::bigint, set_config('plan_cache_mode', 'force_generic_plan', true)
"""

# The columns have the names and types of `annotations`, so that what does not fit is refused here already.
MAKE = """
    CREATE TEMPORARY TABLE import_stage (
        number integer NOT NULL, image_id varchar(255) NOT NULL, annotation_type varchar(20) NOT NULL,
        task_type varchar(50) NOT NULL, class_position integer, class_name varchar(255),
        geometry jsonb NOT NULL, attributes jsonb NOT NULL
    ) ON COMMIT DROP;
    CREATE TEMPORARY TABLE import_classes (
        position integer PRIMARY KEY, class_id varchar(50) NOT NULL, class_name varchar(255) NOT NULL
    ) ON COMMIT DROP;
    CREATE TEMPORARY TABLE import_present (
        id bigint NOT NULL, image_id varchar(255) NOT NULL, task_type varchar(50) NOT NULL,
        annotation_type varchar(20) NOT NULL, class_id varchar(50), geometry jsonb NOT NULL, attributes jsonb NOT NULL,
        annotation_state varchar(20) NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
    ) ON COMMIT DROP
"""

# No statement's plan rests on what the JSON of the others looks like, and to compare it takes most of the time.
_ANALYSE_STAGE = """
    ALTER TABLE import_stage ADD PRIMARY KEY (number);
    ANALYZE import_stage (number, image_id, task_type, class_position)
"""

_CLASSES = """
    INSERT INTO import_classes (position, class_id, class_name)
    SELECT ordinality - 1, class_id, class_name
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS c (class_id, class_name, ordinality)
"""

# Somebody may have deleted an image after the file was read. From the mark on nobody does.
_MISSING_IMAGE = """
    SELECT s.image_id FROM (SELECT DISTINCT image_id FROM import_stage) s
    WHERE NOT EXISTS (SELECT FROM image_metadata i WHERE i.dataset_id = $1 AND i.id = s.image_id)
    ORDER BY s.image_id LIMIT 1
"""

# Image by image, so that only those annotations are read.
_COLLECT_PRESENT = """
    INSERT INTO import_present
    SELECT a.*
    FROM importing_images m
    CROSS JOIN LATERAL (
        SELECT id, image_id, task_type, annotation_type, class_id, geometry, attributes, annotation_state, created_at,
               updated_at
        FROM annotations WHERE project_id = $1 AND image_id = m.image_id
        OFFSET 0
    ) a
    WHERE m.project_id = $1 AND m.import_id = $2
"""

_ANALYSE_PRESENT = "ANALYZE import_present (id, image_id, task_type, class_id); ANALYZE import_classes"

_DROP_EQUAL = """
    DELETE FROM import_stage WHERE number IN (
        SELECT s.number
        FROM import_stage s
        LEFT JOIN import_classes c ON c.position = s.class_position
        JOIN import_present p
          ON p.image_id = s.image_id AND p.task_type = s.task_type AND p.annotation_type = s.annotation_type
         AND p.geometry = s.geometry AND p.attributes = s.attributes
        WHERE p.class_id IS NOT DISTINCT FROM c.class_id
    )
"""


async def begin(tx: WriteTransaction) -> int:
    """Make the tables; return the number of the transaction, by which others know the import."""
    number: int = await tx.fetchval(_BEGIN)
    await tx.execute(MAKE)
    return number


async def copy(tx: WriteTransaction, lines: bytes) -> None:
    """Stage a part of the file's annotations."""
    await tx.copy("import_stage", STAGED, lines)


async def analyse(tx: WriteTransaction) -> None:
    """End the staging."""
    await tx.execute(_ANALYSE_STAGE)


async def name_classes(tx: WriteTransaction, ids: Sequence[str], names: Sequence[str]) -> None:
    """Say which class of the project each class position of a staged annotation means."""
    await tx.execute(_CLASSES, list(ids), list(names))


async def missing_image(tx: WriteTransaction, dataset_id: str) -> str | None:
    """Find a staged image that the dataset does not have any more."""
    image_id: str | None = await tx.fetchval(_MISSING_IMAGE, dataset_id)
    return image_id


async def collect_present(tx: WriteTransaction, project_id: str, import_id: int) -> int:
    """Collect the annotations of the images that the import has marked; return how many they are."""
    number = await tx.execute(_COLLECT_PRESENT, project_id, import_id)
    if number:
        await tx.execute(_ANALYSE_PRESENT)
    return number


async def drop_equal(tx: WriteTransaction) -> int:
    """Leave out what is equal to an annotation that is there; return how many that were."""
    return await tx.execute(_DROP_EQUAL)
