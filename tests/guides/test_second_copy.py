"""The guide to what comes after the move: its lines for the second copy, typed with the pinned rclone and our proof."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from tests.fixtures.backups import store
from tests.guides.conftest import buckets_of, make_buckets
from tests.guides.following import Shell, filled_in, shell
from tests.guides.reading import guides

__all__ = ["store"]

GUIDE = next(guide for guide in guides() if guide.name == "after-the-move.md")
SAME = "The same: every object read on both sides"
ALL = "All of the source is on the target: every object read on both sides"


def lines(values: Mapping[str, str]) -> dict[str, str]:
    """The guide's blocks about the copy: the variables, each night, each week."""
    blocks = [filled_in(block.text, GUIDE, values) for block in GUIDE.blocks() if block.kind == "sh"]
    found = [text for text in blocks if "rclone" in text.lower() or "storage verify" in text]
    return dict(zip(("variables", "night", "week"), found, strict=True))


async def test_the_second_copy_gets_what_is_new_keeps_what_is_deleted_and_is_proven(
    store: StorageAccess, object_store: SeaweedServer, second_store: SeaweedServer, tmp_path: Path
) -> None:
    first, second = object_store.access, second_store.access
    values = {
        "FIRST": first.endpoint,
        "SECOND": second.endpoint,
        "FIRST_KEY": f"SOURCE_S3_ACCESS_KEY={first.access_key}",
        "FIRST_SECRET": f"SOURCE_S3_SECRET_KEY={first.secret_key}",
        "SECOND_KEY": f"TARGET_S3_ACCESS_KEY={second.access_key}",
        "SECOND_SECRET": f"TARGET_S3_SECRET_KEY={second.secret_key}",
        "DATASETS": f"r2:{store.datasets_bucket} second:{store.datasets_bucket}",
        "ANNOTATIONS": f"r2:{store.annotations_bucket} second:{store.annotations_bucket}",
    }
    typed = lines(values)
    await make_buckets(second, store)
    async with shell(tmp_path, buckets_of(store)) as there:
        await there.type(typed["variables"])
        await there.type(typed["night"])
        assert SAME in await there.type(typed["week"])
        async with connect(first) as ours, connect(second) as theirs:
            bucket, deleted = store.datasets_bucket, "datasets/ds_0/images/0003.jpg"
            await ours.delete_object(Bucket=bucket, Key=deleted)
            await ours.put_object(Bucket=bucket, Key="new.jpg", Body=b"new")
            await there.type(typed["night"])
            said = await there.type(typed["week"])
            assert ALL in said, "what was deleted is no difference"
            assert "1 kept: only where the copy goes to, kept: nothing is ever removed" in said
            assert (await theirs.get_object(Bucket=bucket, Key=deleted))["ContentLength"] > 0
            await theirs.put_object(Bucket=bucket, Key="new.jpg", Body=b"neW")
            await _damage_is_found(there, typed["week"])


async def _damage_is_found(there: Shell, week: str) -> None:
    with pytest.raises(AssertionError, match="1 differences, in"):
        await there.type(week)
