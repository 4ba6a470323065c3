"""The guide to the whole move, followed line by line: three databases and the objects, from the backend of before."""

import re
from pathlib import Path

from labeler_api.migrations import HEAD
from tests.fixtures.pictures import picture
from tests.fixtures.platform import PLATFORM_SQL
from tests.fixtures.production import HERE as OF_BEFORE
from tests.fixtures.production import run_sql
from tests.fixtures.sql import execute, fetchval
from tests.fixtures.stored_objects import objects
from tests.fixtures.users import USERS_SQL, RunningGateway, insert_accounts
from tests.guides.conftest import PASSWORD, SMOKE, Buckets, Servers, deployed, serving
from tests.guides.following import follow, shell
from tests.guides.reading import Block, guide

GUIDE = guide("moving-everything.md")
# As many images as there are annotations on; a test need not put 1,725 objects.
_FEWER = "DELETE FROM image_metadata WHERE id > 'images/zipper/good/0050'"
# A service of the platform, which the guide lets a person make on the new server first.
_SERVICE = "CREATE ROLE accounts_service LOGIN PASSWORD 'theirs'; GRANT SELECT, UPDATE ON users TO accounts_service"
_DEMO = GUIDE.text[: GUIDE.text.index("## Try it with the demo")].count("\n")


async def of_before(servers: Servers, buckets: Buckets) -> str:
    """Production's database in the schema of before, and the objects that it names."""
    source = serving(await servers.database(servers.old, "labeler"))
    await execute(source, *((OF_BEFORE / name).read_text() for name in ("production.sql", "production_rows.sql")))
    await execute(source, _FEWER, "ALTER DATABASE labeler SET TimeZone = 'Asia/Seoul'")
    async with objects(buckets.old) as opened:
        for number, row in enumerate(await run_sql(source, "SELECT s3_key FROM image_metadata")):
            key, content = row[0], picture(64 + number, 48)
            await opened.put(key, content)
            thumbnail = f"{key.replace('/images/', '/thumbnails/', 1).removesuffix('.png')}.jpg"
            await opened.put(thumbnail, picture(32, 24))
            await execute(source, f"UPDATE image_metadata SET size = {len(content)} WHERE s3_key = '{key}'")
    return source


async def test_the_guide_to_the_whole_move_can_be_followed(
    servers: Servers, buckets: Buckets, gateway: RunningGateway, labeler: Path, tmp_path: Path
) -> None:
    values = {"SOURCE": await of_before(servers, buckets), "BACK": serving(servers.old.dsn("back"))}
    for name in ("users", "platform"):
        values[f"OLD_{name.upper()}"] = old = await servers.database(servers.old, name)
        values[f"NEW_{name.upper()}"] = await servers.database(servers.new, f"new_{name}")
        await execute(old, (USERS_SQL if name == "users" else PLATFORM_SQL).read_text())
        values[f"PRIVATE_{name.upper()}"] = f"127.0.0.1:{servers.new.port}"
    await insert_accounts(values["OLD_USERS"])
    await execute(values["OLD_USERS"], _SERVICE)
    values |= {
        "ROLE_PASSWORD": f"LABELER_ROLE_PASSWORD={PASSWORD}",
        "OLD_SERVER": servers.old.dsn("postgres"),
        "REHEARSAL": serving(servers.old.dsn("rehearsal")),
        "REHEARSED": servers.new.dsn("rehearsed"),
    }
    values |= {"TARGET": await servers.database(servers.new, "railway"), **buckets.placeholders(), **SMOKE}
    async with deployed(gateway, buckets.old, None, tmp_path) as deployment:
        values |= {"PRIVATE_LABELER": f"127.0.0.1:{servers.new.port}"}
        values |= {
            "API": deployment.front.url,
            "OLD_API": deployment.front.url,
            "TARGET_REGION": "TARGET_S3_REGION=us-east-1",
        }

        def before_the_demo(block: Block) -> bool:
            return block.line < _DEMO

        async with shell(tmp_path, buckets.sides(), labeler, deployment.railway) as typed:
            said = await follow(GUIDE, typed, values, only=before_the_demo, places={"", "railway"})
        set_on = deployment.railway.variables
        assert f"user_readonly:{PASSWORD}@127.0.0.1:{servers.new.port}/" in set_on("user-gateway")["USER_DB_URL"]
        assert f"platform_readonly:{PASSWORD}@127" in set_on("labeler-api")["PLATFORM_DB_URL"]
    estimated = re.findall(r"as in run ([\w-]+)", said)[-1]
    assert "/rehearsal" in (tmp_path / "runs" / estimated / "journal.jsonl").read_text()
    assert said.count("the move is final") == 2, said  # the User DB and the Platform DB
    assert await fetchval(values["NEW_USERS"], "SELECT has_table_privilege('accounts_service', 'users', 'UPDATE')")
    (row,) = await run_sql(
        values["BACK"], "SELECT version_num, (SELECT count(*) FROM annotations) AS annotations FROM alembic_version"
    )
    assert row["version_num"] == HEAD
    assert row["annotations"] == 200  # and 127 in quarantine, which the guide lets pass by a word of its own
    (row,) = await run_sql(values["BACK"], "SELECT count(*) FROM image_metadata WHERE width IS NULL")
    assert row[0] == 0
