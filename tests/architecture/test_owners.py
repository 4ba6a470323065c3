"""Each table has one feature that writes it. Who else does is listed here, with a reason, and nobody besides."""

import re
from collections import defaultdict
from collections.abc import Iterator

from labeler_api.db.tables import metadata
from tests.architecture.source import ROOT, modules

_WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+([a-z]\w+)")

OWNERS = {
    "annotation_history": "annotations",
    "annotation_projects": "projects",
    "annotation_snapshots": "versions",
    "annotation_versions": "versions",
    "annotations": "annotations",
    "datasets": "datasets",
    "deleted_image_rows": "deletion",
    "deleted_images": "deletion",
    "idempotency_keys": "idempotency",
    "image_annotation_status": "annotations",
    "image_locks": "locks",
    "image_metadata": "images",
    "image_status_counts": "annotations",
    "importing_images": "locks",
    "invitations": "invitations",
    "orphaned_objects": "storage",
    "project_changes": "projects",
    "project_permissions": "members",
}

_ALL_OF_A_DATASET = "what was deleted is hidden in one transaction, and goes by a statement for each table, in batches"
_WITH_ITS_IMAGE = "an image goes and comes back with all that hangs on it, in statements over all rows of all images"
_STAGED = "a file is written by statements over all of its stage: a million calls of the ledger would take minutes"

OTHERS = {
    ("annotations", "imports"): _STAGED,
    ("image_annotation_status", "imports"): _STAGED,
    ("annotation_history", "deletion"): _ALL_OF_A_DATASET,
    ("annotation_projects", "deletion"): _ALL_OF_A_DATASET,
    ("annotation_projects", "images"): "the number of images is a column of the project",
    ("annotation_projects", "imports"): "a file brings tasks and classes along",
    ("annotation_projects", "versions"): "a version makes the project another one: its revision is a column there",
    ("annotation_snapshots", "deletion"): _ALL_OF_A_DATASET,
    ("annotation_versions", "deletion"): _ALL_OF_A_DATASET,
    ("project_permissions", "deletion"): _ALL_OF_A_DATASET,
    ("annotations", "deletion"): _ALL_OF_A_DATASET,
    ("datasets", "deletion"): _ALL_OF_A_DATASET,
    (
        "datasets",
        "images",
    ): "the number of images and their revision are columns there; an upload of nothing takes its dataset back",
    ("datasets", "imports"): "its labels' file is a column there",
    ("datasets", "versions"): "the file of the newest version is a column of the dataset",
    (
        "idempotency_keys",
        "images",
    ): "an upload of nothing takes its dataset back, and forgets its key in the same transaction",
    ("image_annotation_status", "deletion"): _ALL_OF_A_DATASET,
    ("image_locks", "deletion"): _WITH_ITS_IMAGE,
    ("image_metadata", "deletion"): "a deleted image leaves the table, and comes back to it",
    ("invitations", "deletion"): _ALL_OF_A_DATASET,
    ("project_permissions", "projects"): "a project is made together with its owner",
}
"""Tables that a feature writes without owning them, and why."""


def test_a_table_is_written_by_its_owner() -> None:
    others = {(table, feature) for table, feature in _writers() if OWNERS.get(table) != feature}
    assert others - OTHERS.keys() == set(), "call the owner, or give a reason here"
    assert OTHERS.keys() - others == set(), "writes it no more: take its reason away"


def _writers() -> Iterator[tuple[str, str]]:
    """Each table that something writes, with the feature (or the module of the API) that does."""
    found = defaultdict(set)
    for module in modules("labeler_api"):
        parts = module.name.split(".")
        if len(parts) > 1 and parts[1] not in {"migrations", "db"}:
            for table in _WRITE.findall(module.text):
                found[table].add(parts[1])
    for table in found.keys() & metadata.tables.keys():
        for feature in found[table]:
            yield table, feature
    for path in (ROOT / "labeler_api" / "db" / "functions").glob("*.sql"):
        assert set(_WRITE.findall(path.read_text())) <= OWNERS.keys(), path  # they are their owners' statements


_LEDGER = {"labeler_api.annotations.history.ledger", "log_revision_1.sql", "log_revision_2.sql"}
"""The only places that write the history: what is written by rows of a statement, and by functions of one row."""


def test_the_history_is_written_by_the_ledger() -> None:
    texts = {module.name: module.text for module in modules("labeler_api") if ".migrations." not in module.name}
    texts |= {path.name: path.read_text() for path in (ROOT / "labeler_api" / "db" / "functions").glob("*.sql")}
    assert {name for name, text in texts.items() if "INSERT INTO annotation_history" in text} == _LEDGER
