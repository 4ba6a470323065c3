"""Eight people who annotate: accounts, projects of their own, and one that they share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import httpx

from labeler_api.tokens import access_tokens

NUMBER = 8
IMAGES = 256
_FIRST = 9001
_USERS = """
    INSERT INTO users (id, email, hashed_password, full_name)
    SELECT $1::int + n, 'person' || n || '@example.com', '', 'Person ' || n FROM generate_series(0, $2::int - 1) n
    ON CONFLICT DO NOTHING
"""
_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256,
        content_type, thumbnail_key)
    SELECT $1::text, 'train/' || n, n || '.jpg', 'datasets/' || $1::text || '/images/train/' || n || '.jpg', 'train',
        200000, 640, 480, md5(n::text) || md5(n::text), 'image/jpeg',
        'datasets/' || $1::text || '/thumbnails/train/' || n || '.jpg'
    FROM generate_series(1, $2::int) n
"""
_COUNTED = "UPDATE datasets SET num_images = $2 WHERE id = $1"
_ANNOTATIONS = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, class_id, class_name, created_by)
    SELECT $1, 'train/' || (1 + n % $3::int), 'bbox', 'detection',
        '{"type": "bbox", "bbox": [10.25, 20.5, 100.0, 50.75], "image_width": 640, "image_height": 480}',
        'c1', 'crack', $2
    FROM generate_series(1, $4::int) n RETURNING id, image_id
"""
_MEMBERS = """
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT $1, n, 'reviewer', $2 FROM unnest($3::int[]) n WHERE n <> $2
"""


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    user_id: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Project:
    """A project with images, and one annotation of each that may be written to."""

    dataset_id: str
    id: str
    annotation_ids: Sequence[int]


async def people(ready: Mapping[str, Any], secret: str) -> list[Person]:
    """Give eight people accounts in the User DB of the stack, which this takes its superuser for."""
    connection = await asyncpg.connect(_writable(ready["databases"]["users"], ready["pids"]["postgres"]))
    await connection.execute(_USERS, _FIRST, NUMBER)
    await connection.close()
    found = []
    for number in range(NUMBER):
        user_id = _FIRST + number
        token = access_tokens.issue(user_id=user_id, email=f"person{number}@example.com", secret=secret, minutes=600)
        found.append(Person(user_id, {"Authorization": f"Bearer {token}"}))
    return found


def _writable(dsn: str, server: int) -> str:
    """Make the superuser's URL of one that may only read: the password stands beside the server's data (Linux)."""
    data = Path(f"/proc/{server}/cwd").resolve()
    secrets = next(path for path in (folder / "secrets.json" for folder in data.parents) if path.is_file())
    password = quote(json.loads(secrets.read_text())["postgres_superuser"], safe="")
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"labeler_admin:{password}@{parts.hostname}:{parts.port}").geturl()


async def project(
    dsn: str,
    api: httpx.AsyncClient,
    owner: Person,
    *,
    members: Sequence[Person] = (),
    annotations: int = 5000,
    images: int = IMAGES,
) -> Project:
    """Make a project with images, annotations and members."""
    body: dict[str, Any] = {"name": "Benchmark of writes", "task_types": ["detection"]}
    dataset = (await api.post("/api/v1/datasets", json=body, headers=owner.headers)).raise_for_status().json()["id"]
    answer = await api.get(f"/api/v1/datasets/{dataset}/project", headers=owner.headers)
    project_id: str = answer.raise_for_status().json()["id"]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_IMAGES, dataset, images)
        await connection.execute(_COUNTED, dataset, images)  # as an upload does
        rows = await connection.fetch(_ANNOTATIONS, project_id, owner.user_id, images, annotations)
        await connection.execute(_MEMBERS, project_id, owner.user_id, [member.user_id for member in members])
        await connection.execute("ANALYZE annotations, image_metadata")
    finally:
        await connection.close()
    of_image = {int(row["image_id"].rpartition("/")[2]): row["id"] for row in rows}
    return Project(dataset, project_id, [of_image[number] for number in sorted(of_image)])
