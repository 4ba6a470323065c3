"""The guide to backups, run as it stands: every line in order, from the first backup to the disaster and back.

Its placeholders are replaced by the table at its beginning. What is not a line is done by the test: the disaster comes
before the chapter of the way back, and a deployment before the first look at it. It takes half a minute, for which
`labeler` is started some fifteen times.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from labeler_ops.backup import contents
from labeler_ops.database.roles import ROLES
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.sides import variables
from tests.fixtures.users import RunningGateway
from tests.guides.following import filled_in, shell
from tests.guides.reading import guides
from tests.labeler_ops.backup.conftest import bucket, count, execute, named, source, store
from tests.races.processes import ApiProcess

__all__ = ["bucket", "source", "store"]

GUIDE = next(guide for guide in guides() if guide.name == "backup-and-restore.md")
WAY_BACK = "## 7."


async def test_the_guide_to_backups_can_be_followed(
    source: str, bucket: str, object_store: SeaweedServer, gateway: RunningGateway, store: StorageAccess,
    tmp_path: Path,
) -> None:  # fmt: skip
    admin, restored = named(source, "postgres"), f"restored_{os.getpid()}"
    server = urlsplit(source).netloc.rpartition("@")[2]
    serving = f"postgresql://{ROLES['labeler']}:of-the-guide@{server}/{restored}"
    api = ApiProcess(
        {
            **variables(store),
            "LABELER_DB_URL": serving,
            "USER_GATEWAY_ADDRESS": gateway.address,
            "USER_GATEWAY_TOKEN": gateway.token,
        },
        tmp_path / "api.log",
    )
    values = {
        "PLACE": f"s3://{bucket}/production",
        "STORE": object_store.access.endpoint,
        "ACCESS_KEY": f"BACKUP_S3_ACCESS_KEY={object_store.access.access_key}",
        "SECRET_KEY": f"BACKUP_S3_SECRET_KEY={object_store.access.secret_key}",
        "SOURCE": source,
        "SCRATCH": admin,
        "ADMIN": named(source, restored),
        "RESTORED": serving,
        "ENTRANCE": admin,
        "ROLE_PASSWORD": "LABELER_ROLE_PASSWORD=of-the-guide",
        "SMOKE_PASSWORD": "LABELER_SMOKE_PASSWORD=owner123",
        "API": api.url,
    }
    before = await contents.take(source)
    back = GUIDE.text[: GUIDE.text.index(WAY_BACK)].count("\n") + 1
    destroyed = launched = False
    said = ""
    try:
        async with shell(tmp_path, variables(store)) as typed:
            for block in GUIDE.blocks():
                if block.kind != "sh":
                    continue
                if block.line > back and not destroyed:
                    await execute(admin, f'DROP DATABASE "{source.rpartition("/")[2]}" WITH (FORCE)')
                    destroyed = True
                text = filled_in(block, GUIDE, values).replace(
                    "CREATE DATABASE restored", f"CREATE DATABASE {restored}"
                )
                if "labeler smoke" in text and not launched:
                    api.launch(API_PUBLIC_URL=api.url)
                    await api.ready()
                    launched = True
                said += await typed.type(text)
        assert destroyed
        assert launched
        assert said.count("The same: every row and definition") == 3, said  # verified, made with a trial, restored
        assert said.count("everything works") == 2, said
        assert said.count(before.digest[:16]) >= 4, said  # made, verified, listed, restored
        assert await count(serving, "annotations") == 500
    finally:
        await api.stop()
        await execute(admin, f"DROP DATABASE IF EXISTS {restored} WITH (FORCE)")
