"""The guides of every day: setting up, a new version and its way back, an incident, the time after a move, staging."""

import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from labeler_ops.maintenance import fence
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.store_variables import service_variables
from tests.fixtures.backups import store
from tests.fixtures.buckets import own_buckets
from tests.fixtures.platform import PLATFORM_SQL
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.fixtures.users import USERS_SQL, RunningGateway
from tests.guides.conftest import (
    PASSWORD,
    SMOKE,
    Buckets,
    Deployment,
    Servers,
    buckets_of,
    deployed,
    make_buckets,
    serving,
)
from tests.guides.following import follow, shell
from tests.guides.reading import ROOT, Guide, guide

__all__ = ["store"]

ON_RAILWAY = frozenset({"", "railway"})


@pytest.fixture(scope="module")
async def production(
    create_database: DatabaseFactory, labeler_template: str, object_store: SeaweedServer, gateway: RunningGateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Deployment]:  # fmt: skip
    """A deployment that these guides look at."""
    database = await create_database(labeler_template)
    async with deployed(gateway, object_store.access, database, tmp_path_factory.mktemp("production")) as deployment:
        deployment.railway.set("labeler-api", {**deployment.settings, "CORS_ORIGINS": "http://localhost:3000"})
        deployment.railway.set("labeler-db", as_its_service(database))
        yield deployment
    await create_database.drop(database)


def as_its_service(database: str) -> dict[str, str]:
    """What the server's own service has for `psql`."""
    parts = urlsplit(database)
    return {"PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGPASSWORD": parts.password or ""}


def keep_backups_in(directory: Path, production: Deployment) -> dict[str, str]:
    """Write `backup.env`, as the guide to backups has it made."""
    kept = {"BACKUP_PLACE": str(directory / "backups"), "BACKUP_DATABASE_URL": production.database}
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())
    (directory / "backup.env").write_text("".join(lines))
    return kept


def values(production: Deployment) -> dict[str, str]:
    return {"API": production.front.url, **SMOKE}


async def test_the_guide_to_incidents_can_be_followed(production: Deployment, labeler: Path, tmp_path: Path) -> None:
    parts = urlsplit(production.database)
    more = {"LOGIN": f"-U {parts.username} -d {parts.path.strip('/')}"}
    try:
        async with shell(tmp_path, {}, labeler, production.railway) as typed:
            said = await follow(guide("incident.md"), typed, values(production) | more, places=ON_RAILWAY)
    finally:  # the other guides have the same deployment
        await fence.off(production.database, by="the test")
    assert said.count("everything works") == 2
    assert "maintenance mode: on" in said


async def test_the_guide_to_a_new_version_can_be_followed(
    production: Deployment, labeler: Path, tmp_path: Path
) -> None:
    keep_backups_in(tmp_path, production)
    async with shell(tmp_path, {}, labeler, production.railway) as typed:
        said = await follow(guide("rollback.md"), typed, values(production), places=ON_RAILWAY)
    assert said.count("everything works") == 2
    assert "nothing is wrong" in said


async def test_the_guide_to_the_time_after_the_move_can_be_followed(
    production: Deployment, object_store: SeaweedServer, second_store: SeaweedServer, store: StorageAccess,
    labeler: Path, tmp_path: Path,
) -> None:  # fmt: skip
    first, second = object_store.access, second_store.access
    more = {
        "FIRST": first.endpoint,
        "SECOND": second.endpoint,
        "FIRST_KEY": f"SOURCE_S3_ACCESS_KEY={first.access_key}",
        "FIRST_SECRET": f"SOURCE_S3_SECRET_KEY={first.secret_key}",
        "SECOND_KEY": f"TARGET_S3_ACCESS_KEY={second.access_key}",
        "SECOND_SECRET": f"TARGET_S3_SECRET_KEY={second.secret_key}",
        "DATASETS": f"r2:{store.datasets_bucket} second:{store.datasets_bucket}",
        "ANNOTATIONS": f"r2:{store.annotations_bucket} second:{store.annotations_bucket}",
    }
    await make_buckets(second, store)
    async with shell(tmp_path, buckets_of(store), labeler, production.railway) as typed:
        said = await follow(guide("after-the-move.md"), typed, {**values(production), **more}, places=ON_RAILWAY)
    assert "HTTP/1.1 200 OK" in said
    assert said.count("everything works") == 1
    assert said.count("The same: every object read on both sides") == 1


async def test_the_guide_to_railway_can_be_followed(
    servers: Servers, production: Deployment, buckets: Buckets, labeler: Path, tmp_path: Path
) -> None:
    for name, schema in (
        ("labeler", "SELECT"),
        ("users", USERS_SQL.read_text()),
        ("platform", PLATFORM_SQL.read_text()),
    ):
        dsn = await servers.database(servers.new, name)
        await execute(dsn, schema)
    admins = {f"{name.upper()}_ADMIN": servers.new.dsn(name) for name in ("labeler", "users", "platform")}
    r2 = {
        "STORE": buckets.new.endpoint,
        "KEY": f"S3_ACCESS_KEY={buckets.new.access_key}",
        "SECRET": f"S3_SECRET_KEY={buckets.new.secret_key}",
        "REGION": f"S3_REGION={buckets.new.region}",
    }
    environ = {**service_variables(buckets.new), "CORS_ORIGINS": "https://app.example.com"}
    async with shell(tmp_path, environ, labeler) as dashboard:
        await dashboard.type("labeler storage init")  # what a person does there
    names = {name: value for name, value in buckets.exported().items() if name.startswith("S3_")}
    async with shell(tmp_path, names, labeler) as typed:
        said = await follow(guide("railway-setup.md"), typed, {**values(production), **admins, **r2})
    assert said.count("nothing is wrong") == 2
    assert "everything works" in said


async def test_the_guide_to_staging_can_be_followed(
    servers: Servers, production: Deployment, gateway: RunningGateway, object_store: SeaweedServer,
    labeler: Path, tmp_path: Path,
) -> None:  # fmt: skip
    admin = await servers.database(servers.new, "staging")
    access, ours = (
        object_store.access,
        replace(object_store.access, datasets_bucket="staging-images", annotations_bucket="staging-exports"),
    )
    async with shell(tmp_path, keep_backups_in(tmp_path, production), labeler) as typed:
        await typed.type("labeler backup create")
    more = {
        "ADMIN": admin,
        "STAGING": serving(admin),
        "ROLE_PASSWORD": f"LABELER_ROLE_PASSWORD={PASSWORD}",
        "STORE": access.endpoint,
        "KEY": f"S3_ACCESS_KEY={access.access_key}",
        "SECRET": f"S3_SECRET_KEY={access.secret_key}",
        "REGION": "S3_REGION=us-east-1",
        "STAGING_DATASETS": f"S3_BUCKET_DATASETS={ours.datasets_bucket}",
        "STAGING_ANNOTATIONS": f"S3_BUCKET_ANNOTATIONS={ours.annotations_bucket}",
        "COPIED_DATASETS": f"store:{access.datasets_bucket} store:{ours.datasets_bucket}",
        "COPIED_ANNOTATIONS": f"store:{access.annotations_bucket} store:{ours.annotations_bucket}",
    }
    async with own_buckets(ours), deployed(gateway, ours, None, tmp_path) as staging:

        async def deploy() -> None:
            await staging.deploy(LABELER_DB_URL=serving(admin))

        more["STAGING_API"] = staging.front.url
        async with shell(tmp_path, {}, labeler) as typed:
            said = await follow(guide("staging.md"), typed, {**values(production), **more}, {"labeler smoke": deploy})
    assert "everything works" in said
    assert "verdict" in said


async def test_the_examples_of_an_environment_are_complete(labeler: Path, tmp_path: Path) -> None:
    page = Guide(ROOT / "docs" / "deployment" / "environment-variables.md")
    async with shell(tmp_path, {}, labeler) as typed:
        said = await follow(page, typed, {})
    assert said.count("nothing is wrong") == 6
