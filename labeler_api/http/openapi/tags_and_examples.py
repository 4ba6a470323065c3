"""What the OpenAPI document says beyond the routes: tags, and recorded examples."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from labeler_api.http.openapi.document import Reference

TAGS = {
    "auth": "Logging in, and who the caller is",
    "users": "Finding people, by e-mail address or name",
    "platform": "Organizations and workspaces of the platform, read-only",
    "datasets": "Datasets: sets of images, each with one project",
    "deletion": "What deleting takes away, and deleting",
    "images": "Images: lists, summaries, and the bytes behind signed links",
    "imports": "Uploads of images and annotations, imports of annotation files",
    "storage": "The folders of a dataset, and what an upload would replace",
    "projects": "Projects: tasks, settings, counters",
    "classes": "Classes of a project's tasks",
    "members": "Who may do what: members, roles, ownership",
    "invitations": "Invitations to a project",
    "locks": "Who works on which image",
    "annotations": "Annotations, their confirmation, progress and history",
    "versions": "Exports and published versions",
    "health": "Whether the service and its parts are up",
}


@cache
def reference() -> Reference:
    """Read the examples, which were recorded from a running service, and put all together."""
    recorded = Path(__file__).parents[2] / "examples.json"
    examples: dict[str, Any] = msgspec.json.decode(recorded.read_bytes()) if recorded.exists() else {}
    return Reference(TAGS, examples)
