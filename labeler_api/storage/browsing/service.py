"""Use cases of storage browsing: the folders of a dataset, and what an upload would change in them.

It reads the rows of the images and not the store: one statement instead of a list call for every thousand objects. Rows
are also the truth about images. An object without a row is no image (its upload was cut off), so an upload of its path
replaces nothing that anybody can see.
"""

from collections.abc import Sequence

from labeler_api.context import Call
from labeler_api.db.page_bytes import PAGE_BYTES
from labeler_api.db.pool import Row
from labeler_api.errors import FileRejected, invalid
from labeler_api.images.paths import image_path, normal
from labeler_api.members.authorization.service import authorize
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.storage.browsing import store
from labeler_api.storage.browsing.schemas import (
    FileMapping,
    Folder,
    PreviewFile,
    PreviewRequest,
    PreviewSummary,
    RefusedFile,
    StoragePreview,
    StorageStructure,
)

# The wizard shows them as a tree to click through; a megabyte and a half. Deep paths have many folders above them, so
# what is shown is counted, and not the rows.
_MOST_FOLDERS = 10_000
# Fifty thousand files at some 300 characters, as the body's bound has it. The target folder is put before each of them.
_MOST_CHARACTERS = 16 * 1024 * 1024

_CHECKED_AT_ONCE = 200  # on the event loop: some milliseconds of work
_SHOWN_REFUSED = 100  # as many as an upload names

_ROOT_NAME = "(루트)"  # contract#uploads: the wizard shows it as it comes


async def structure(call: Call, reference: str) -> StorageStructure:
    """List the folders of a dataset's images."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
        rows, is_cut = await store.folders(connection, access.dataset_id, _MOST_FOLDERS)
    return _structure(access.dataset_id, rows, is_cut)


async def preview(call: Call, reference: str, body: PreviewRequest) -> StoragePreview:
    """Tell the files of an upload to come apart: those that are new, and those whose path an image has."""
    target = body.target_folder.rstrip("/")
    are_many = len(body.file_mappings) > _CHECKED_AT_ONCE
    if are_many:
        named = await call.services.json_threads.run(call.user_id, _named, body.file_mappings, target)
    else:
        named = _named(body.file_mappings, target)
    paths = [path for path, _ in named]
    if sum(map(len, paths)) > _MOST_CHARACTERS:
        raise invalid(
            f"has paths of more than {_MOST_CHARACTERS} characters together; preview fewer files at once",
            "body",
            "file_mappings",
            code="too_many_characters",
        )
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
        rows, is_cut = await store.folders(connection, access.dataset_id, _MOST_FOLDERS)
        present = await store.present(connection, access.dataset_id, paths)
    folders = _structure(access.dataset_id, rows, is_cut)
    if are_many:  # forty thousand files are 18 ms of the event loop
        return await call.services.json_threads.run(call.user_id, _previewed, body, folders, named, present)
    return _previewed(body, folders, named, present)


def _previewed(
    body: PreviewRequest, structure: StorageStructure, named: Sequence[tuple[str, str | None]], present: Sequence[Row]
) -> StoragePreview:
    """Tell apart what is new, what is there already, and what would be refused."""
    there = {row["path"] for row in present}
    files = [
        PreviewFile(mapping.filename, path, mapping.size, "duplicate" if path in there else "new")
        for mapping, (path, reason) in zip(body.file_mappings, named, strict=True)
        if reason is None
    ]
    refused = [
        RefusedFile(mapping.filename, path, mapping.size, reason)
        for mapping, (path, reason) in zip(body.file_mappings, named, strict=True)
        if reason is not None
    ]
    new = [file for file in files if file.status == "new"]
    duplicates = [file for file in files if file.status == "duplicate"]
    return StoragePreview(
        dataset_id=structure.dataset_id,
        target_folder=body.target_folder,
        current_structure=structure,
        new_files=new,
        duplicate_files=duplicates,
        refused_files=refused[:_SHOWN_REFUSED],
        refused_total=len(refused),
        summary=PreviewSummary(total_new=len(new), total_duplicates=len(duplicates), total_files=len(named)),
    )


def _named(mappings: Sequence[FileMapping], target: str) -> list[tuple[str, str | None]]:
    """Say where each file goes, and why its upload would refuse that name. Many in a thread: 20 µs a file."""
    return [(path, _refusal(path)) for path in (_path(mapping, target) for mapping in mappings)]


def _refusal(path: str) -> str | None:
    if not path or path.lower().endswith(".zip"):  # not told yet; expanded, whatever it is called
        return None
    try:
        image_path(path, "")
    except FileRejected as refusal:
        return refusal.detail
    return None


def _path(mapping: FileMapping, target: str) -> str:
    """Where a file goes, normalised as its upload will be. The wizard has put the target folder in front already."""
    path, folder = normal(mapping.relative_path or mapping.filename), normal(target).rstrip("/")
    return path if not folder or path.startswith((f"{folder}/", "/")) else f"{folder}/{path}"


def _structure(dataset_id: str, rows: list[Row], is_cut: bool) -> StorageStructure:
    folders: dict[str, Folder] = {}
    characters = 0
    for row in rows:
        for path in _with_parents(row["folder"].strip("/")):
            if path not in folders:
                characters += len(path)
                if (
                    len(folders) == _MOST_FOLDERS or characters > PAGE_BYTES // 4
                ):  # path and name, of which each may escape
                    is_cut = True
                    break
                folders[path] = _folder(path)
            folders[path].file_count += row["files"]
            folders[path].total_size_bytes += row["bytes"]
    return StorageStructure(
        dataset_id=dataset_id,
        total_files=rows[0]["all_files"] if rows else 0,
        total_size_bytes=rows[0]["all_bytes"] if rows else 0,
        folders=[folders[path] for path in sorted(folders)],
        is_complete=not is_cut and len(rows) < _MOST_FOLDERS,
    )


def _with_parents(folder: str) -> list[str]:
    """The paths of a folder and of those above it; the top, "/", is there for files that lie directly in it alone."""
    if not folder:
        return ["/"]
    parts = folder.split("/")
    return ["/".join(parts[:end]) + "/" for end in range(1, len(parts) + 1)]


def _folder(path: str) -> Folder:
    if path == "/":
        return Folder(path=path, name=_ROOT_NAME, file_count=0, total_size_bytes=0, depth=0)
    name = path.rstrip("/").rpartition("/")[2]
    return Folder(path=path, name=name, file_count=0, total_size_bytes=0, depth=path.count("/"))
