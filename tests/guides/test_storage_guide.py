"""The guide to a move of the objects, followed line by line, rclone's way first."""

from pathlib import Path

from labeler_ops.database.upgrade import upgrade
from tests.fixtures.stored_objects import fill, objects
from tests.fixtures.users import RunningGateway
from tests.guides.conftest import SMOKE, Buckets, Servers, deployed, serving
from tests.guides.following import follow, shell
from tests.guides.reading import guide

GUIDE = guide("storage-migration.md")
# Which rclone takes for another key of the same letters, and passes over.
TWIN = "datasets/ds_1/images/\u1112\u1161\u11ab.jpg"


async def test_the_guide_to_the_objects_can_be_followed(
    servers: Servers, buckets: Buckets, gateway: RunningGateway, labeler: Path, tmp_path: Path
) -> None:
    database = serving(await servers.database(servers.old, "labeler"))
    await upgrade(database)
    async with objects(buckets.old) as opened:
        await fill(opened, 40)
        await opened.delete(TWIN)
    async with deployed(gateway, buckets.old, database, tmp_path) as deployment:
        values = {"DATABASE": database, "API": deployment.front.url, **SMOKE, **buckets.placeholders()}
        more = {
            "TARGET_REGION": "TARGET_S3_REGION=us-east-1",
            "REGION": "S3_REGION=us-east-1",
            "DATASETS": f"old:{buckets.old.datasets_bucket} new:{buckets.new.datasets_bucket}",
            "ANNOTATIONS": f"old:{buckets.old.annotations_bucket} new:{buckets.new.annotations_bucket}",
        }
        async with shell(tmp_path, buckets.exported(), labeler) as typed:
            await follow(GUIDE, typed, {**values, **more})
