"""A database in production's state, with every hazard in it, becomes ours; no row vanishes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from labeler_api.migrations import HEAD, PRODUCTION
from labeler_ops.database.schema_check import check
from labeler_ops.database.upgrade import upgrade
from labeler_ops.database.upgrade_report import UpgradeReport
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.production import LEGACY_TABLES, run_sql

Rows = dict[str, dict[Any, dict[str, Any]]]
PROJECT = "proj_000000000001"
DATASET = "ds_00000000000000a1"
UUID = "5f0c7a52-1111-4222-8333-944455556666"


class Adopted:
    """The database after its upgrade, and what it was before."""

    def __init__(self, before: Rows, after: Rows, quarantined: Rows, report: UpgradeReport, dsn: str) -> None:
        self.before, self.after, self.quarantined, self.report, self.dsn = before, after, quarantined, report, dsn

    def noted(self, notes: str) -> list[dict[str, Any]]:
        return [row for row in self.after["annotations"].values() if row["notes"] == notes]

    def reason(self, table: str, **values: Any) -> str:
        found = [
            row["reason"]
            for row in self.quarantined[table].values()
            if all(row["row"].get(name) == value for name, value in values.items())
        ]
        assert len(found) == 1, found
        return str(found[0])

    def project_of(self, dataset_id: str) -> dict[str, Any]:
        (found,) = [p for p in self.after["annotation_projects"].values() if p["dataset_id"] == dataset_id]
        return found

    def roles(self, dataset_id: str) -> dict[int, str]:
        project = self.project_of(dataset_id)["id"]
        rows = self.after["project_permissions"].values()
        return {row["user_id"]: row["role"] for row in rows if row["project_id"] == project}

    def statuses(self, image_id: str) -> dict[str, dict[str, Any]]:
        rows = self.after["image_annotation_status"].values()
        return {row["task_type"]: row for row in rows if (row["project_id"], row["image_id"]) == (PROJECT, image_id)}


async def _rows(dsn: str, prefix: str = "") -> Rows:
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        found: Rows = {}
        for table in LEGACY_TABLES:
            if await connection.fetchval("SELECT to_regclass($1)", prefix + table):
                rows = await connection.fetch(f"SELECT * FROM {prefix}{table}")
                found[table] = {row["id"]: dict(row) for row in rows}
        return found
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def adopted(create_database: DatabaseFactory, hazards_template: str) -> AsyncIterator[Adopted]:
    dsn = await create_database(hazards_template)
    before = await _rows(dsn)
    report = await upgrade(dsn)
    yield Adopted(before, await _rows(dsn), await _rows(dsn, "quarantine_"), report, dsn)
    await create_database.drop(dsn)


async def test_the_schema_is_the_models(adopted: Adopted) -> None:
    assert adopted.report.before == PRODUCTION
    assert adopted.report.after == HEAD
    assert adopted.report.notes == []
    assert await check(adopted.dsn) == []


@pytest.mark.parametrize("table", LEGACY_TABLES)
def test_no_row_vanishes(adopted: Adopted, table: str) -> None:
    counts = adopted.report.tables[table]
    kept = adopted.after.get(table, {})
    quarantined = adopted.quarantined[table]
    assert counts.before == len(adopted.before[table])
    assert counts.after == len(kept)
    assert counts.quarantined == len(quarantined)
    assert len(adopted.before[table]) + counts.added == len(kept) + counts.quarantined + counts.merged
    accounted = kept.keys() | {row["row"]["id"] for row in quarantined.values()}
    assert len(adopted.before[table].keys() - accounted) == counts.merged
    assert counts.merged == 0 or table in {"dataset_permissions", "image_annotation_status"}


def test_quarantined_rows_are_whole(adopted: Adopted) -> None:
    row = next(row for row in adopted.quarantined["annotations"].values() if row["row"]["notes"] == "no project")
    before = adopted.before["annotations"][row["row"]["id"]]
    assert row["row"].keys() == before.keys()
    assert row["row"]["project_id"] == "proj_nowhere"


def test_orphans_of_projects_and_datasets(adopted: Adopted) -> None:
    assert adopted.after["annotation_projects"].keys() >= {PROJECT, "proj_transferred", "proj_classes"}
    for n in range(2, 7):
        assert adopted.reason("annotation_projects", id=f"proj_00000000000{n}") == "the dataset does not exist"
        assert adopted.reason("project_permissions", project_id=f"proj_00000000000{n}")
    assert adopted.reason("annotations", notes="no project") == "the project does not exist"
    assert adopted.reason("image_locks", project_id=DATASET) == "the project does not exist"
    assert adopted.reason("annotation_versions", project_id="proj_nowhere") == "the project does not exist"
    assert adopted.reason("annotation_versions", project_id="proj_000000000003").startswith(
        "the dataset of the project"
    )
    assert adopted.reason("annotation_snapshots", version_id=99999) == "the version does not exist"
    assert adopted.reason("annotation_tasks", id="t2") == "the project does not exist"
    assert adopted.reason("comments", text="Orphan") == "the dataset of the project does not exist"
    assert len(adopted.after["annotation_snapshots"]) == 1
    assert {row["project_id"] for row in adopted.after["annotation_history"].values()} == {PROJECT}


def test_image_ids_of_annotations(adopted: Adopted) -> None:
    assert adopted.reason("annotations", notes="no image") == "the image does not exist in the project's dataset"
    assert adopted.reason("annotations", notes="image of another dataset").startswith("the image does not exist")
    assert [row["image_id"] for row in adopted.noted("with extension")] == ["images/zipper/good/1725"]
    assert [row["image_id"] for row in adopted.noted("a dot that is no extension")] == ["v1.2"]


def test_geometry_and_attributes(adopted: Adopted) -> None:
    assert adopted.reason("annotations", notes="geometry null") == "the geometry is JSON null"
    assert adopted.reason("annotations", notes="geometry list") == "the geometry is no JSON object"
    for notes, attributes in (
        ("attributes json null", {}),
        ("attributes null", {}),
        ("attributes list", {"legacy_value": ["x"]}),
    ):
        assert [row["attributes"] for row in adopted.noted(notes)] == [attributes]
    (mended,) = adopted.noted("attributes null")
    assert mended["is_verified"] is False
    assert mended["annotation_state"] == "draft"
    (kept,) = adopted.noted("attributes list")
    assert kept["annotation_state"] == "verified"
    assert kept["version"] == 3
    assert kept["created_at"] == kept["updated_at"]


def test_history(adopted: Adopted) -> None:
    states = [
        row[side] for row in adopted.after["annotation_history"].values() for side in ("previous_state", "new_state")
    ]
    before = adopted.before["annotation_history"].values()
    assert any(row["previous_state"] is None for row in adopted.after["annotation_history"].values())
    assert None in states
    assert len(before) == 1536 + 3
    for key, row in adopted.after["annotation_history"].items():
        was = adopted.before["annotation_history"][key]
        assert row["previous_state"] == was["previous_state"]
        assert row["new_state"] == was["new_state"]
        assert row["timestamp"] is not None
        assert row["revision"] is None
    images = {row["image_id"] for row in adopted.after["annotation_history"].values()}
    assert "images/zipper/good/1725" in images
    deleted = [row for row in adopted.after["annotation_history"].values() if row["action"] == "delete"]
    assert {row["image_id"] for row in deleted} == {"images/zipper/good/0001"}


async def test_history_holds_no_json_null(adopted: Adopted) -> None:
    connection = await asyncpg.connect(adopted.dsn)
    count = await connection.fetchval(
        "SELECT count(*) FROM annotation_history"
        " WHERE jsonb_typeof(previous_state) = 'null' OR jsonb_typeof(new_state) = 'null'"
    )
    await connection.close()
    assert count == 0


def test_roles_are_merged_and_each_project_has_its_owner(adopted: Adopted) -> None:
    assert adopted.roles(DATASET) == {1: "admin", 2: "owner", 3: "reviewer", 4: "annotator", 5: "admin"}
    assert adopted.roles("long-" * 16) == {3: "owner", 4: "annotator"}
    assert adopted.roles(UUID) == {4: "owner"}
    assert adopted.roles("ds_classes") == {2: "owner"}
    # The dataset's column moved with the transfer; the project's did not.
    assert adopted.roles("ds_transferred") == {2: "admin", 3: "owner"}
    assert adopted.project_of("ds_transferred")["owner_id"] == 3
    for dataset in adopted.after["datasets"].values():
        owners = [user for user, role in adopted.roles(dataset["id"]).items() if role == "owner"]
        assert owners == [dataset["owner_id"]] == [adopted.project_of(dataset["id"])["owner_id"]]


def test_every_dataset_has_a_project(adopted: Adopted) -> None:
    for dataset_id, name in (("long-" * 16, "Long id"), (UUID, "A UUID")):
        project = adopted.project_of(dataset_id)
        assert project["id"].startswith("proj_")
        assert len(project["id"]) == len("proj_") + 12
        assert project["name"] == name
        assert project["task_types"] == []
        assert project["task_classes"] == {}


def test_classes_and_settings(adopted: Adopted) -> None:
    project = adopted.project_of("ds_classes")
    shape = {"description": None, "image_count": 0, "bbox_count": 0}
    assert project["task_classes"] == {
        "detection": {
            "1": {"name": "cat", "color": "#00ff00", "order": 0, **shape},
            "7": {"name": "dog", "color": "#0000ff", "order": 1, **shape},
            "7_": {"name": "second seven", "color": "#0000ff", "order": 2, **shape},
        },
        "segmentation": {"9": {"name": "old", "color": "#111111", "order": 0, **shape}},
    }
    assert project["settings"] == {}
    assert project["created_at"] == project["updated_at"]
    assert adopted.project_of("ds_transferred")["status"] == "active"
    assert adopted.project_of(DATASET)["task_classes"] == adopted.before["annotation_projects"][PROJECT]["task_classes"]


def test_visibility(adopted: Adopted) -> None:
    seen = {row["id"]: row["visibility"] for row in adopted.after["datasets"].values()}
    assert seen[UUID] == "private"
    assert seen["long-" * 16] == "public"
    assert seen[DATASET] == "private"


def test_statuses(adopted: Adopted) -> None:
    both = adopted.statuses("images/zipper/good/0902")
    assert both.keys() == {"detection", "classification"}
    for row in both.values():
        assert row["status"] == "completed"
        assert row["is_image_confirmed"] is True
        assert row["total_annotations"] == 1
        assert row["confirmed_annotations"] == 1
        assert row["draft_annotations"] == 0
        assert row["confirmed_at"].isoformat() == "2025-06-08T00:00:00+00:00"
    (merged,) = adopted.statuses("images/zipper/good/1725").values()
    assert merged["status"] == "completed"
    assert merged["total_annotations"] == 1
    assert adopted.statuses("images/zipper/good/0901")["detection"]["status"] == "in-progress"  # it had no row
    assert adopted.reason("image_annotation_status", image_id="images/zipper/good/1000").startswith("the image has no")
    assert adopted.reason("image_annotation_status", image_id="images/zipper/good/1001").startswith("the image has no")
    assert adopted.report.tables["image_annotation_status"].merged == 3


def test_locks(adopted: Adopted) -> None:
    locks = {(row["image_id"], row["user_id"], row["lease_seconds"]) for row in adopted.after["image_locks"].values()}
    assert locks == {("images/zipper/good/0001", 2, 300), ("images/zipper/good/0007", 3, 300)}


def test_invitations(adopted: Adopted) -> None:
    rows = {row["token"]: row for row in adopted.after["invitations"].values()}
    pending = {token for token, row in rows.items() if row["status"] == "pending"}
    assert pending == {"newest", "by project"}
    assert rows["older"]["status"] == rows["oldest"]["status"] == "cancelled"
    assert rows["older"]["cancelled_at"] is not None
    assert rows["newest"]["role"] == "admin"
    assert rows["accepted"]["role"] == "owner"
    assert rows["by project"]["dataset_id"] == "ds_classes"
    assert adopted.reason("invitations", token="orphan") == "the dataset does not exist"
    assert adopted.reason("invitations", token="odd role") == "the role is unknown"
    assert adopted.reason("invitations", token="odd status") == "the status is unknown"


def test_images(adopted: Adopted) -> None:
    images = adopted.after["image_metadata"]
    first = images["images/zipper/good/0001"]
    assert first["thumbnail_key"] == f"datasets/{DATASET}/thumbnails/images/zipper/good/0001.jpg"
    assert images["v1.2"]["thumbnail_key"] == "datasets/ds_classes/thumbnails/v1.2.jpg"
    assert images["flat"]["thumbnail_key"] == "datasets/ds_classes/thumbnails/flat.jpg"
    assert images["x" * 200]["thumbnail_key"] is None  # it would be longer than a key may be
    assert {row["content_sha256"] for row in images.values()} == {None}


def test_counters(adopted: Adopted) -> None:
    assert adopted.after["datasets"][DATASET]["num_images"] == 1725
    project = adopted.after["annotation_projects"][PROJECT]
    annotations = [row for row in adopted.after["annotations"].values() if row["project_id"] == PROJECT]
    assert project["total_images"] == 1725
    assert project["total_annotations"] == len(annotations)
    assert project["annotated_images"] == len({row["image_id"] for row in annotations})


async def test_a_quarantined_row_can_be_brought_back(hazards_dsn: str) -> None:
    """As the page about the Labeler DB says."""
    await upgrade(hazards_dsn)
    await run_sql(
        hazards_dsn,
        """INSERT INTO annotations SELECT (jsonb_populate_record(NULL::annotations, row || '{"geometry": {}}')).*
             FROM quarantine_annotations WHERE row ->> 'notes' = 'geometry null'""",
        "SELECT",
    )
    (row,) = await run_sql(hazards_dsn, "SELECT image_id FROM annotations WHERE notes = 'geometry null'")
    assert row["image_id"] == "images/zipper/good/0900"
