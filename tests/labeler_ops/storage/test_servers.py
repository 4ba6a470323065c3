"""From one S3 server to another, and another: SeaweedFS, rclone's, and a SeaweedFS behind R2's rules."""

import os
from dataclasses import replace
from pathlib import Path

from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.description import METADATA
from labeler_ops.storage.s3 import MIB
from labeler_ops.storage.store_sync import StoreSync
from tests.fixtures.store_proxies import R2, faults, rclone_server, road
from tests.fixtures.stored_objects import HEADERS, ODD_KEYS, Objects, fill, objects, passes

COUNT = 300
BIG, IN_PARTS = "datasets/ds_1/images/big.tif", "datasets/ds_1/images/in-parts.tif"
KOREAN = {"content-type": "image/tiff", METADATA + "place": "창고 3번, 2026년 겨울"}
EXPORT = "exports/proj_1/detection/v1.0/annotations.json"


async def moved(runs: Path, source: StorageAccess, target: StorageAccess, count: int) -> tuple[StoreSync, str]:
    """Copy and verify; the digest of what both sides have."""
    move = passes(runs, source, target, None)
    copies, report = await move.copy()
    assert copies.copied == count
    assert report.findings == []
    proof = await move.verify()
    assert proof.same, proof.findings
    assert proof.read_objects == count
    assert proof.source_objects == count
    assert proof.target_objects == count
    assert proof.source_bytes == proof.target_bytes == proof.read_bytes
    return move, proof.digest


async def test_everything_arrives_at_three_servers(
    sides: tuple[StorageAccess, StorageAccess], source: Objects, target: Objects, tmp_path: Path
) -> None:
    await fill(source, COUNT - 3)
    await source.put(BIG, os.urandom(40_000_000), KOREAN)
    await source.put(IN_PARTS, os.urandom(65 * MIB + 5), KOREAN)
    await source.put(EXPORT, b"{}", role="annotations")
    before, r2 = await source.listing(), R2()
    async with (
        road(sides[0], faults()) as first,
        rclone_server(tmp_path) as rclone,
        road(rclone, faults(every=40)) as second,
        road(replace(sides[1], region="auto"), r2) as third,
    ):
        move, there = await moved(tmp_path / "to-rclone", first.access, rclone, COUNT)
        assert set(first.methods) == {"GET", "HEAD"}  # it is read and nothing else
        assert (await move.copy())[0].known == COUNT
        _, at_r2 = await moved(tmp_path / "to-r2", second.access, third.access, COUNT)
        assert set(second.methods) == {"GET", "HEAD"}
        assert "DELETE" not in third.methods
        assert r2.broken == {}
        assert len(r2.in_parts) == 1
        async with objects(rclone) as other:
            await other.put("expires", b"x", {**KOREAN, "expires": "Wed, 21 Oct 2026 07:28:00 GMT"})
            assert (await other.get("expires")).description == KOREAN  # the one header that this server drops
    assert there == at_r2
    assert await source.listing() == before
    for key, description in ((ODD_KEYS[0], HEADERS), (BIG, KOREAN)):
        ours, theirs = await source.get(key), await target.get(key)
        assert ours.body == theirs.body
        assert ours.description == theirs.description
        assert theirs.description == description
    assert (await target.store.head(sides[1].datasets_bucket, IN_PARTS)).description == KOREAN
