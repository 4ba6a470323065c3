"""Every planted fault is found, and named."""

import asyncio
import unicodedata
from pathlib import Path

import asyncpg
from typer.testing import CliRunner

from labeler_ops.cli import app
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.store_sync import StoreSync
from tests.fixtures.stored_objects import HEADERS, ODD_KEYS, Objects, fill, passes

EXTRA = "datasets/ds_1/images/extra.jpg"
CASE, COMPOSED = "datasets/ds_1/images/0013.JPG", unicodedata.normalize("NFD", ODD_KEYS[0])
META = "x-amz-meta-camera"

# Each is planted in an object of its own: the fault, what kind it is reported as, and what the report says of it.
FAULTS = (
    ("truncated", "differs", "bytes on the source"),
    ("grown", "differs", "bytes on the source"),
    ("a byte", "differs", "SHA-256"),
    ("emptied", "differs", "0 on the target"),
    ("content type", "differs", "content-type is 'image/jpeg' on the source, 'image/png' on the target"),
    ("cache control", "differs", "cache-control"),
    ("disposition gone", "differs", "content-disposition is 'attachment"),
    ("encoding", "differs", "content-encoding is absent on the source, 'gzip'"),
    ("metadata changed", "differs", "metadata 'camera' is 'A 7' on the source, 'A 8' on the target"),
    ("metadata gone", "differs", "metadata 'camera' is 'A 7' on the source, absent on the target"),
    ("metadata added", "differs", "metadata 'more' is absent on the source, '한글' on the target"),
    ("missing", "missing", ""),
    ("extra", "extra", ""),
    ("another case", "missing", f"the target has {CASE} instead"),
    ("composed otherwise", "missing", f"the target has {COMPOSED} instead"),
    ("type and bytes", "differs", "on the target; content-type is 'image/jpeg' on the source, 'image/png' on the"),
    ("swapped", "differs", "it has the bytes of datasets/datasets/ds_2/images/0020.jpg"),
)
SWAPPED_WITH = "datasets/ds_2/images/0020.jpg"
INSTEAD = {"another case": CASE, "composed otherwise": COMPOSED}
CHANGES: dict[str, dict[str, str]] = {
    "content type": {"content-type": "image/png"},
    "type and bytes": {"content-type": "image/png"},
    "cache control": {"cache-control": "no-store"},
    "disposition gone": {"content-disposition": ""},
    "encoding": {"content-encoding": "gzip"},
    "metadata changed": {META: "A 8"},
    "metadata gone": {META: ""},
    "metadata added": {"x-amz-meta-more": "한글"},
}


def victim(fault: str) -> str:
    number = [name for name, _, _ in FAULTS].index(fault)
    if fault == "composed otherwise":
        return ODD_KEYS[0]
    return EXTRA if fault == "extra" else f"datasets/ds_{number % 3}/images/{number:04}.jpg"


async def plant(fault: str, target: Objects) -> None:
    key = victim(fault)
    if fault == "extra":
        await target.put(key, b"extra")
        return
    body = (await target.get(key)).body
    bodies = {
        "truncated": body[:-1],
        "grown": body + b"x",
        "a byte": body[:100] + bytes([body[100] ^ 1]) + body[101:],
        "type and bytes": body[::-1],
        "emptied": b"",
    }
    if fault == "missing":
        await target.delete(key)
    elif fault in INSTEAD:
        await target.put(INSTEAD[fault], body)
        await target.delete(key)
    elif fault == "swapped":
        other = (await target.get(SWAPPED_WITH)).body
        await target.put(key, other)
        await target.put(SWAPPED_WITH, body)
    else:
        headers = {name: value for name, value in (HEADERS | CHANGES.get(fault, {})).items() if value}
        await target.put(key, bodies.get(fault, body), headers)


async def test_a_second_copy_may_have_more_and_nothing_less(
    move: StoreSync, source: Objects, target: Objects, sides: tuple[StorageAccess, StorageAccess]
) -> None:
    await fill(source, 30)
    await move.copy()
    await plant("extra", target)
    assert (await move.verify()).counts == {"extra": 1}
    proven = await move.verify(one_way=True)
    assert proven.same is True
    assert proven.counts == {"kept": 1}
    assert proven.read_objects == 30
    assert "All of the source is on the target: every object read on both sides" in proven.text()
    assert (await move.compare(one_way=True)).same
    environment = {
        f"{name}_S3_{key}": value
        for name, access in zip(("SOURCE", "TARGET"), sides, strict=True)
        for key, value in (
            ("ENDPOINT", access.endpoint),
            ("ACCESS_KEY", access.access_key),
            ("SECRET_KEY", access.secret_key),
            ("BUCKET_DATASETS", access.datasets_bucket),
            ("BUCKET_ANNOTATIONS", access.annotations_bucket),
        )
    }
    for options, code in (((), 1), (("--one-way",), 0)):
        command = ["storage", "verify", "--no-database", *options]
        done = await asyncio.to_thread(CliRunner().invoke, app, command, env=environment)
        assert done.exit_code == code, done.output
    for fault in ("missing", "a byte", "metadata changed"):
        await plant(fault, target)
    assert (await move.verify(one_way=True)).counts == {"kept": 1, "missing": 1, "differs": 2}


async def test_every_planted_fault_is_named(move: StoreSync, source: Objects, target: Objects) -> None:
    await fill(source, 30)
    await move.copy()
    whole = await move.verify()
    assert whole.same, whole.findings
    for fault, _, _ in FAULTS:
        await plant(fault, target)
    report = await move.verify()
    named = {(one.kind, one.key): one.text for one in report.findings}
    for fault, kind, text in FAULTS:
        assert text in named.pop((kind, victim(fault)), "not found"), fault
    others = {("differs", SWAPPED_WITH), ("extra", CASE), ("extra", COMPOSED)}
    assert set(named) == others
    assert report.differences == len(FAULTS) + len(others)
    assert f"{len(FAULTS) + len(others)} differences" in report.text()


async def test_the_database_s_part_is_named_as_well(
    sides: tuple[StorageAccess, StorageAccess], source: Objects, tmp_path: Path, labeler_dsn: str
) -> None:
    """An object without a row, a row without an object: neither store knows of it."""
    await source.put("datasets/ds_1/images/a.jpg", b"a")
    await source.put("datasets/ds_1/images/no-row.jpg", b"b")
    connection = await asyncpg.connect(labeler_dsn)
    await connection.execute(
        "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'one', 1, 'datasets/ds_1/');"
        " INSERT INTO image_metadata (dataset_id, id, file_name, size, s3_key) SELECT 'ds_1', name, name, 1,"
        " 'datasets/ds_1/images/' || name FROM unnest(ARRAY['a.jpg', 'no-object.jpg']) name"
    )
    await connection.close()
    move = passes(tmp_path, *sides, labeler_dsn)
    await move.copy()
    report = await move.verify()
    assert [(one.kind, one.key, one.text) for one in report.findings] == [
        ("lost", "datasets/ds_1/images/no-object.jpg", "image_metadata.s3_key refers to it"),
        ("orphan", "datasets/ds_1/images/no-row.jpg", ""),
    ]
    assert not report.same


async def test_a_sample_still_compares_every_listing(move: StoreSync, source: Objects, target: Objects) -> None:
    await fill(source, 24)
    await move.copy()
    assert (await move.verify()).same
    faults = ("missing", "truncated", "extra")
    for fault in faults:
        await plant(fault, target)
    found = {one.key for one in (await move.verify(sample=0.001)).findings}
    assert found == {victim(fault) for fault in faults}
