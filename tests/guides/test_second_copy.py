"""The guide to what comes after the move: its lines for the second copy, typed with the pinned rclone."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from tests.fixtures.backups import store
from tests.guides.following import Shell, filled_in, shell
from tests.guides.reading import guides

__all__ = ["store"]

GUIDE = next(guide for guide in guides() if guide.name == "after-the-move.md")
SAME = "0 differences found"


def lines(values: Mapping[str, str]) -> dict[str, str]:
    """The guide's blocks about rclone: the variables, each night, each week."""
    blocks = [filled_in(block.text, GUIDE, values) for block in GUIDE.blocks() if block.kind == "sh"]
    found = [text for text in blocks if "rclone" in text.lower()]
    return dict(zip(("variables", "night", "week"), found, strict=True))


async def test_the_second_copy_gets_what_is_new_keeps_what_is_deleted_and_is_proven(
    store: StorageAccess, object_store: SeaweedServer, second_store: SeaweedServer, tmp_path: Path
) -> None:
    first, second = object_store.access, second_store.access
    values = {
        "FIRST": first.endpoint,
        "SECOND": second.endpoint,
        "FIRST_KEY": f"RCLONE_CONFIG_R2_ACCESS_KEY_ID={first.access_key}",
        "FIRST_SECRET": f"RCLONE_CONFIG_R2_SECRET_ACCESS_KEY={first.secret_key}",
        "SECOND_KEY": f"RCLONE_CONFIG_SECOND_ACCESS_KEY_ID={second.access_key}",
        "SECOND_SECRET": f"RCLONE_CONFIG_SECOND_SECRET_ACCESS_KEY={second.secret_key}",
        "DATASETS": f"r2:{store.datasets_bucket} second:{store.datasets_bucket}",
        "ANNOTATIONS": f"r2:{store.annotations_bucket} second:{store.annotations_bucket}",
    }
    typed = lines(values)
    async with shell(tmp_path, {}) as there:
        await there.type(typed["variables"])
        await there.type(typed["night"])
        assert (await there.type(typed["week"])).count(SAME) == 2
        async with connect(first) as ours, connect(second) as theirs:
            bucket, deleted = store.datasets_bucket, "datasets/ds_0/images/0003.jpg"
            await ours.delete_object(Bucket=bucket, Key=deleted)
            await ours.put_object(Bucket=bucket, Key="new.jpg", Body=b"new")
            await there.type(typed["night"])
            assert (await there.type(typed["week"])).count(SAME) == 2, "what was deleted is no difference"
            assert (await theirs.get_object(Bucket=bucket, Key=deleted))["ContentLength"] > 0
            await theirs.put_object(Bucket=bucket, Key="new.jpg", Body=b"neW")
            await _damage_is_found(there, typed["week"])


async def _damage_is_found(there: Shell, week: str) -> None:
    with pytest.raises(AssertionError, match="1 differences found"):
        await there.type(week)
