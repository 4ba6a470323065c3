"""The part of a statement that makes the project of a dataset, with its owner's role."""


def made(*, name: str = "name", description: str = "NULL", settings: str = "'{}'") -> str:
    """Write the parts `project` and `owner` of a WITH, whose part `dataset` has the dataset's row.

    $1 the project's id, $2 its tasks, $3 what each is configured with, $4 the classes of each, $5 who makes it. Makes
    nothing where the dataset has a project already. Without a description the dataset's is taken.
    """
    return f"""
        project AS (
            INSERT INTO annotation_projects (id, dataset_id, name, description, owner_id, task_types, task_config,
                                             task_classes, total_images, last_updated_by, settings)
            SELECT $1, id, {name},
                   COALESCE({description}, NULLIF(description, ''), 'Annotations of the dataset ' || name), owner_id,
                   $2::varchar[], $3::jsonb, $4::jsonb, num_images, $5::integer, {settings}
            FROM dataset
            ON CONFLICT (dataset_id) DO NOTHING
            RETURNING *
        ), owner AS (
            INSERT INTO project_permissions (project_id, user_id, role, granted_by)
            SELECT id, owner_id, 'owner', owner_id FROM project
        )
    """  # noqa: S608 - parameters and columns
