"""The guide to a move of the Labeler DB, followed line by line, and the User DB after it."""

from pathlib import Path

from labeler_ops.database.upgrade import upgrade
from tests.fixtures.project_to_move import PROJECT
from tests.fixtures.sql import execute
from tests.fixtures.users import RunningGateway
from tests.guides.conftest import PASSWORD, SMOKE, Buckets, Servers, deployed, serving
from tests.guides.following import follow, shell
from tests.guides.reading import guide

GUIDE = guide("database-migration.md")


async def test_the_guide_to_the_labeler_db_can_be_followed(
    servers: Servers, buckets: Buckets, gateway: RunningGateway, labeler: Path, tmp_path: Path
) -> None:
    source = await servers.database(servers.old, "labeler")
    target = await servers.database(servers.new, "railway")
    await upgrade(serving(source))
    await execute(serving(source), PROJECT, "ALTER DATABASE labeler SET TimeZone = 'Asia/Seoul'")
    async with deployed(gateway, buckets.old, serving(source), tmp_path) as deployment:
        back = serving(servers.old.dsn("back"))
        values = {"SOURCE": serving(source), "TARGET": target, "BACK": back, "API": deployment.front.url, **SMOKE}
        values |= {"ROLE_PASSWORD": f"LABELER_ROLE_PASSWORD={PASSWORD}", "OLD_SERVER": servers.old.dsn("postgres")}
        async with shell(tmp_path, {}, labeler) as typed:
            await follow(GUIDE, typed, values, {"--read-only": deployment.deploy_latest})
