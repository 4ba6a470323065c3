"""Keys of a version's files in the object store, and the names under which people save them."""

import re
from datetime import timedelta
from urllib.parse import quote

from labeler_api.text.names import is_unseen

_UNSAFE = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|]+')  # what no file system or header takes
EXPORT_KEPT = timedelta(days=8)  # exports have no row; a link to one lives for seven days and up to twelve hours
_NAME_CHARACTERS = 100  # a file name has 255 bytes at most, a Korean letter three


def file_key(project_id: str, task_type: str, version_number: str, file_name: str) -> str:
    """Key in the annotations bucket (contract#exports)."""
    return export_key(f"{project_id}/{task_type}/{version_number}/{file_name}")


def export_key(path: str) -> str:
    """Key in the annotations bucket of what a path below the exports names: `project/task/version or export/file`."""
    return f"exports/{path}"


def dataset_copy_key(dataset_id: str, task_type: str) -> str:
    """Key in the datasets bucket of the DICE file of a task's latest version."""
    return f"datasets/{dataset_id}/annotations_{task_type}.json"


def download_name(project_name: str, task_type: str, version_number: str, format_name: str, extension: str) -> str:
    """Name of the saved file: `Zipper_detection_v3.0_coco.json`."""
    words = _UNSAFE.sub(" ", project_name)[:_NAME_CHARACTERS].split()  # a line break is a blank between words
    project = _seen("_".join(words)).strip(".") or "project"
    return f"{project}_{task_type}_{version_number}_{format_name}{extension}"


def content_disposition(file_name: str) -> str:
    """Tell browsers to save, not to show (RFC 6266); the plain name is for clients that read no UTF-8."""
    file_name = _seen(file_name)  # older projects and files may have any name
    plain = re.sub(r"[^ -~]|[\"\\%]", "_", file_name)
    if plain == file_name:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def _seen(name: str) -> str:
    """Leave out what cannot be seen: a name that turns its own direction hides what kind of file it is."""
    return "".join("_" if is_unseen(one) else one for one in name)
