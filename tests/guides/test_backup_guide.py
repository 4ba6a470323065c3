"""The guide to backups, run as it stands: every line in order, from the first backup to the disaster and back.

What is not a line is done by the test: the disaster comes before the chapter of the way back, and a deployment before
the first look at it.
"""

from pathlib import Path
from urllib.parse import urlsplit

from labeler_ops.backup import fingerprint
from labeler_ops.database.upgrade import upgrade
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.store_variables import service_variables
from tests.fixtures.backups import FILLED, bucket, count, store
from tests.fixtures.platform import PLATFORM_SQL
from tests.fixtures.sql import execute
from tests.fixtures.users import USERS_SQL, RunningGateway
from tests.guides.conftest import PASSWORD, SMOKE, Servers, deployed, serving
from tests.guides.following import follow, shell
from tests.guides.reading import guide

__all__ = ["bucket", "store"]

GUIDE = guide("backup-and-restore.md")


async def of_others(servers: Servers, name: str, schema: str) -> str:
    """A database of the platform."""
    dsn = await servers.database(servers.old, name)
    await execute(dsn, schema)
    return dsn


async def test_the_guide_to_backups_can_be_followed(
    servers: Servers, bucket: str, object_store: SeaweedServer, gateway: RunningGateway, store: StorageAccess,
    labeler: Path, tmp_path: Path,
) -> None:  # fmt: skip
    source = await servers.database(servers.old, "railway")
    await upgrade(serving(source))
    await execute(source, FILLED)
    admin, restored = servers.new.dsn("restored"), serving(servers.new.dsn("restored"))
    before = await fingerprint.read_fingerprint(source)
    async with deployed(gateway, store, None, tmp_path) as deployment:

        async def disaster() -> None:
            await execute(servers.old.dsn("postgres"), "DROP DATABASE railway WITH (FORCE)")

        async def see_that_it_is_active() -> None:
            await deployment.served.wait()
            assert deployment.database == restored

        values = {
            "PLACE": f"s3://{bucket}/production",
            "STORE": object_store.access.endpoint,
            "ACCESS_KEY": f"BACKUP_S3_ACCESS_KEY={object_store.access.access_key}",
            "SECRET_KEY": f"BACKUP_S3_SECRET_KEY={object_store.access.secret_key}",
            "SOURCE": source,
            "USERS": await of_others(servers, "users", USERS_SQL.read_text()),
            "PLATFORM": await of_others(servers, "platform", PLATFORM_SQL.read_text()),
            "SCRATCH": servers.new.dsn("postgres"),
            "ADMIN": admin,
            "RESTORED": restored,
            "PRIVATE": urlsplit(restored).netloc.rpartition("@")[2] + "/restored",
            "ENTRANCE": servers.new.dsn("postgres"),
            "ROLE_PASSWORD": f"LABELER_ROLE_PASSWORD={PASSWORD}",
            "API": deployment.front.url,
            **SMOKE,
        }
        async with shell(tmp_path, service_variables(store), labeler, deployment.railway) as typed:
            hooks = {"export ADMIN_DATABASE_URL": disaster, "labeler smoke": see_that_it_is_active}
            said = await follow(GUIDE, typed, values, hooks, places={"", "railway"})
    assert said.count("The same: every row and definition") == 3, said  # verified, made with a trial, restored
    assert said.count("everything works") == 2, said
    assert said.count(before.digest[:16]) >= 4, said  # made, verified, listed, restored
    assert await count(restored, "annotations") == 500
