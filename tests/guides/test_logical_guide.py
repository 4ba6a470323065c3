"""The guide to seconds without writes, followed line by line between two servers that keep a logical log."""

from pathlib import Path

from labeler_ops.database.upgrade import upgrade
from labeler_ops.move.replication.database_pair import Urls, drop_everything
from tests.fixtures.listener import Listener
from tests.fixtures.project_to_move import PROJECT
from tests.fixtures.sql import execute
from tests.fixtures.users import RunningGateway
from tests.guides.conftest import PASSWORD, SMOKE, Buckets, Servers, deployed, serving
from tests.guides.following import follow, shell
from tests.guides.reading import guide

GUIDE = guide("logical-replication.md")


async def test_the_guide_to_logical_replication_can_be_followed(
    servers: Servers, buckets: Buckets, gateway: RunningGateway, labeler: Path, tmp_path: Path
) -> None:
    source = await servers.database(servers.old, "labeler")
    target = await servers.database(servers.new, "railway")
    await upgrade(serving(source))
    await execute(serving(source), PROJECT)
    async with deployed(gateway, buckets.old, serving(source), tmp_path) as deployment:
        values = {
            "ROLE_PASSWORD": f"LABELER_ROLE_PASSWORD={PASSWORD}",
            "SOURCE": source,
            "TARGET": target,
            "API": deployment.front.url,
            **SMOKE,
        }
        try:
            async with shell(tmp_path, {}, labeler) as typed:
                await follow(GUIDE, typed, values, {"labeler move open": deployment.deploy_latest})
        finally:  # what is left would keep both databases from being dropped
            await drop_everything(Urls(source, target), Listener())
