"""What a call may be about: a dataset with something of every kind in it, inserted by SQL."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from labeler_api.db.pool import Database, WriteTransaction
from tests.access.table import Visibility
from tests.fixtures.api import USER_IDS

# Beside the accounts of every test: a project's admins, its further annotator, who left it, and who is not in it.
MORE_IDS = {"manager": 7, "deputy": 8, "newcomer": 9, "landlord": 10, "member": 11, "leaver": 12}
IDS = USER_IDS | MORE_IDS
NOBODY_HAS_IT = 2_000_000_000

# The caller of each column of the table; nobody's own things are the stranger's, who sends no token then.
ACCOUNTS = {
    "nobody": "stranger",
    "stranger": "stranger",
    "viewer": "viewer",
    "annotator": "annotator",
    "reviewer": "reviewer",
    "admin": "manager",
    "owner": "owner",
    "system admin": "admin",
}
ROLES = {
    "manager": "admin",
    "deputy": "admin",
    "reviewer": "reviewer",
    "annotator": "annotator",
    "member": "annotator",
    "viewer": "viewer",
}
CONTENT_SHA256 = "ab" * 32
BOX = {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480}


@dataclass(frozen=True)
class Stage:
    """The ids of what is there. `annotation_id` and the invitation are others'; `own` has one of each account."""

    name: str
    dataset_id: str
    project_id: str
    bare_dataset_id: str
    image_id: str
    free_image_id: str
    locked_image_id: str
    class_id: str
    version_id: int
    annotation_id: int
    member_id: int
    invitation_id: int
    token: str
    own: Mapping[str, int]
    organization_id: int = 1


def nowhere() -> Stage:
    """Ids of the right form that nothing has."""
    tag = "f" * 10
    return Stage(
        name=f"Dataset {tag}",
        dataset_id=f"ds_{tag}",
        project_id=f"proj_{tag}",
        bare_dataset_id=f"bare_{tag}",
        image_id=f"train/{tag}/0",
        free_image_id=f"train/{tag}/1",
        locked_image_id=f"train/{tag}/2",
        class_id=f"c_{tag}",
        version_id=NOBODY_HAS_IT,
        annotation_id=NOBODY_HAS_IT,
        member_id=NOBODY_HAS_IT,
        invitation_id=NOBODY_HAS_IT,
        token=f"token-{tag}",
        own=dict.fromkeys(IDS, NOBODY_HAS_IT),
        organization_id=NOBODY_HAS_IT,
    )


async def build(
    db: Database, visibility: Visibility = "private", *, owner: str = "owner", members: Mapping[str, str] = ROLES
) -> Stage:
    """Insert a dataset with its project, members, images, annotations, a version, a lock and invitations."""
    tag = secrets.token_hex(5)  # random: the object store is shared by tests whose databases are not
    dataset, project, bare = f"ds_{tag}", f"proj_{tag}", f"bare_{tag}"
    images = [f"train/{tag}/{number}" for number in range(3)]
    async with db.begin() as tx:
        await _datasets(tx, tag, visibility, IDS[owner])
        await tx.executemany(
            "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, $2, $3, $4)",
            [(project, IDS[name], role, IDS[owner]) for name, role in {owner: "owner", **members}.items()],
        )
        await _images(tx, dataset, images)
        own = await _annotations(tx, project, images[0])
        version_id = await tx.fetchval(
            "INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by,"
            " annotation_count, image_count, export_format, export_path, file_size_bytes, content_sha256)"
            " VALUES ($1, 'detection', 'v1.0', 'published', $2, 0, 0, 'dice', $3, 2, $4) RETURNING id",
            project,
            IDS[owner],
            f"exports/{project}/detection/v1.0/annotations.json",
            CONTENT_SHA256,
        )
        await tx.execute(
            "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
            " VALUES ($1, $2, $3, now() + interval '5 minutes')",
            project,
            images[2],
            IDS["member"],
        )
        invitation_id = await tx.fetchval(
            "INSERT INTO invitations (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status,"
            " expires_at) VALUES ($1, $2, $3, $4, 'newcomer@example.com', 'annotator', 'pending',"
            " now() + interval '7 days') RETURNING id",
            f"token-{tag}",
            dataset,
            IDS["deputy"],
            IDS["newcomer"],
        )
    return Stage(
        name=f"Dataset {tag}",
        dataset_id=dataset,
        project_id=project,
        bare_dataset_id=bare,
        image_id=images[0],
        free_image_id=images[1],
        locked_image_id=images[2],
        class_id=f"c_{tag}",
        version_id=version_id,
        annotation_id=own["leaver"],
        member_id=IDS["member" if "member" in members else owner],
        invitation_id=invitation_id,
        token=f"token-{tag}",
        own=own,
        organization_id=1 if owner == "owner" else 2,
    )


async def _datasets(tx: WriteTransaction, tag: str, visibility: Visibility, owner_id: int) -> None:
    await tx.executemany(
        "INSERT INTO datasets (id, name, owner_id, visibility, storage_path, num_images)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [
            (
                f"{kind}_{tag}",
                f"Dataset {tag}",
                owner_id,
                visibility,
                f"datasets/{kind}_{tag}/",
                3 if kind == "ds" else 0,
            )
            for kind in ("bare", "ds")
        ],
    )
    unused = {"name": "dent", "color": "#ff0000", "description": None, "order": 0}
    await tx.execute(
        "INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes,"
        " total_images, annotated_images, total_annotations)"
        " VALUES ($1, $2, $3, $4, '{detection}', '{}', $5, 3, 1, $6)",
        f"proj_{tag}",
        f"Dataset {tag}",
        f"ds_{tag}",
        owner_id,
        msgspec.json.encode({"detection": {f"c_{tag}": unused}}).decode(),
        len(IDS),
    )


async def _images(tx: WriteTransaction, dataset: str, images: list[str]) -> None:
    await tx.executemany(
        "INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, width, height,"
        " content_sha256, content_type, thumbnail_key)"
        " VALUES ($1, $2, $3, $4, $5, 2, 640, 480, $6, 'image/jpeg', $7)",
        [
            (
                image,
                dataset,
                f"{image.rpartition('/')[2]}.jpg",
                f"datasets/{dataset}/images/{image}.jpg",
                image.rpartition("/")[0],
                CONTENT_SHA256,
                f"datasets/{dataset}/thumbnails/{image}.jpg",
            )
            for image in images
        ],
    )


async def _annotations(tx: WriteTransaction, project: str, image: str) -> dict[str, int]:
    """Insert a draft of each account, with the history and the status that the API would have written."""
    rows = await tx.fetch(
        "WITH made AS (INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
        " SELECT $1, $2, 'bbox', 'detection', $3::jsonb, unnest($4::int[]) RETURNING *),"
        " history AS (INSERT INTO annotation_history (annotation_id, project_id, action, new_state, changed_by,"
        " revision, image_id) SELECT id, project_id, 'create', to_jsonb(made), created_by, 1, image_id FROM made),"
        " status AS (INSERT INTO image_annotation_status (project_id, image_id, task_type, status, total_annotations,"
        " draft_annotations) SELECT $1, $2, 'detection', 'in-progress', count(*), count(*) FROM made)"
        " SELECT id, created_by FROM made",
        project,
        image,
        msgspec.json.encode(BOX).decode(),
        list(IDS.values()),
    )
    names = {user_id: name for name, user_id in IDS.items()}
    return {names[row["created_by"]]: row["id"] for row in rows}


# Every row that belongs to the dataset or its project, as one text; and how many datasets there are in all.
_ROWS = """
    SELECT json_build_object(
        'datasets', (SELECT json_agg(t ORDER BY id) FROM datasets t WHERE id IN ($1, $3)),
        'projects', (SELECT json_agg(t ORDER BY dataset_id) FROM annotation_projects t WHERE dataset_id IN ($1, $3)),
        'members', (SELECT json_agg(t ORDER BY id) FROM project_permissions t WHERE project_id = $2),
        'images', (SELECT json_agg(t ORDER BY id) FROM image_metadata t WHERE dataset_id = $1),
        'annotations', (SELECT json_agg(t ORDER BY id) FROM annotations t WHERE project_id = $2),
        'history', (SELECT json_agg(t ORDER BY id) FROM annotation_history t WHERE project_id = $2),
        'statuses', (SELECT json_agg(t ORDER BY id) FROM image_annotation_status t WHERE project_id = $2),
        'locks', (SELECT json_agg(t ORDER BY id) FROM image_locks t WHERE project_id = $2),
        'versions', (SELECT json_agg(t ORDER BY id) FROM annotation_versions t WHERE project_id = $2),
        'deleted images', (SELECT json_agg(t ORDER BY id) FROM deleted_images t WHERE dataset_id = $1),
        'invitations', (SELECT json_agg(t ORDER BY id) FROM invitations t WHERE dataset_id IN ($1, $3)),
        'number of datasets', (SELECT count(*) FROM datasets)
    )::text
"""


async def rows_of(db: Database, stage: Stage) -> str:
    """Everything that the database knows of a stage, to be compared with what it knows later."""
    async with db.read() as connection:
        found: str = await connection.fetchval(_ROWS, stage.dataset_id, stage.project_id, stage.bare_dataset_id)
    return found
