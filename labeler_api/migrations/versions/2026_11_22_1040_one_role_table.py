"""One role table, one owner: `dataset_permissions` is merged into `project_permissions` and dropped.

Every dataset has a project. Owner stays owner, member becomes annotator, the higher of two roles wins. The user in
`datasets.owner_id` (the column that a transfer moves) is the project's owner; every other owner becomes an admin.
"""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1040"
down_revision = "20261122_1030"
branch_labels = None
depends_on = None

_OF_OLD_TABLE = """SELECT p.id AS project_id, o.user_id, o.granted_by, o.granted_at,
                          CASE o.role WHEN 'owner' THEN 'owner' ELSE 'annotator' END AS role
                     FROM dataset_permissions o JOIN annotation_projects p ON p.dataset_id = o.dataset_id"""
_IN_OWNER_COLUMN = """SELECT p.id AS project_id, d.owner_id AS user_id
                        FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id
                      UNION SELECT id, owner_id FROM annotation_projects"""


def upgrade() -> None:
    with repairs(revision, "datasets", "dataset_permissions", "annotation_projects", "project_permissions") as rows:
        _give_every_dataset_a_project(rows)
        _merge(rows)
        _settle_owners(rows)
        run("DROP TABLE dataset_permissions")
        run("CREATE UNIQUE INDEX uq_project_owner ON project_permissions (project_id) WHERE role = 'owner'")


def _give_every_dataset_a_project(rows: Repairs) -> None:
    rows.add(
        "annotation_projects",
        "a dataset without a project gets one of its name, without tasks",
        """
        INSERT INTO annotation_projects
            (id, name, dataset_id, owner_id, task_types, task_config, task_classes, settings,
             total_images, annotated_images, total_annotations, status)
        SELECT 'proj_' || left(replace(gen_random_uuid()::text, '-', ''), 12), d.name, d.id, d.owner_id,
               '{}', '{}', '{}', '{}', 0, 0, 0, 'active'
        FROM datasets d WHERE NOT EXISTS (SELECT FROM annotation_projects p WHERE p.dataset_id = d.id)
        """,
    )


def _merge(rows: Repairs) -> None:
    rows.change(
        "project_permissions",
        "the higher of the roles in the two tables wins",
        f"""
        UPDATE project_permissions n SET role = o.role FROM ({_OF_OLD_TABLE}) AS o
        WHERE n.project_id = o.project_id AND n.user_id = o.user_id
          AND ((o.role = 'owner' AND n.role <> 'owner') OR (o.role = 'annotator' AND n.role = 'viewer'))
        """,
    )
    rows.add(
        "project_permissions",
        "a role that only dataset_permissions knew",
        f"""
        INSERT INTO project_permissions (project_id, user_id, role, granted_by, granted_at)
        SELECT project_id, user_id, role, granted_by, granted_at FROM ({_OF_OLD_TABLE}) AS o
        ON CONFLICT (project_id, user_id) DO NOTHING
        """,
    )
    rows.merge("dataset_permissions", "taken over by project_permissions", "DELETE FROM dataset_permissions")


def _settle_owners(rows: Repairs) -> None:
    rows.add(
        "project_permissions",
        "a user in an owner_id column who had no role",
        f"""
        INSERT INTO project_permissions (project_id, user_id, role, granted_by)
        SELECT project_id, user_id, 'owner', user_id FROM ({_IN_OWNER_COLUMN}) AS o
        ON CONFLICT (project_id, user_id) DO NOTHING
        """,
    )
    rows.change(
        "project_permissions",
        "a user in an owner_id column with a lower role counts as owner",
        f"""
        UPDATE project_permissions n SET role = 'owner' FROM ({_IN_OWNER_COLUMN}) AS o
        WHERE n.project_id = o.project_id AND n.user_id = o.user_id AND n.role <> 'owner'
        """,
    )
    rows.change(
        "annotation_projects",
        "owner_id follows the dataset's",
        """
        UPDATE annotation_projects p SET owner_id = d.owner_id FROM datasets d
        WHERE d.id = p.dataset_id AND d.owner_id <> p.owner_id
        """,
    )
    rows.change(
        "project_permissions",
        "of several owners the one in owner_id stays, the others become admins",
        """
        UPDATE project_permissions n SET role = 'admin' FROM annotation_projects p
        WHERE p.id = n.project_id AND n.role = 'owner' AND n.user_id <> p.owner_id
        """,
    )


downgrade = forward_only
