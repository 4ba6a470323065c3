"""The files that deploy the services say what the code needs, and agree with each other."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import asyncpg
import bcrypt
import msgspec
import pytest
import yaml

from labeler_api import settings as api_settings
from labeler_api.app import ROOT_ROUTES
from labeler_ops.environment.declaration import VARIABLES
from labeler_ops.environment.environment_check import check
from labeler_ops.stack.accounts import ACCOUNTS
from labeler_ops.stack.postgres_install import PRODUCTION_MAJOR
from tests.fixtures.postgres import DatabaseFactory

ROOT = Path(__file__).parents[2]
SQL = ROOT / "labeler_ops" / "stack" / "sql"
# Of the platform and of programs that are not ours.
FOREIGN = re.compile(r"RAILWAY_|POSTGRES_|MINIO_|GF_")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


@pytest.fixture(scope="module")
def railway() -> dict[str, Any]:
    """What Railway's CLI would read from `.railway/railway.py`, service by service."""
    program = runpy.run_path(str(ROOT / ".railway" / "railway.py"))["main"]
    return {resource["name"]: resource for resource in program().to_graph()["resources"]}


@pytest.fixture(scope="module")
def railway_toml() -> dict[str, Any]:
    return tomllib.loads((ROOT / "railway.toml").read_text())


def test_both_descriptions_of_the_api_on_railway_agree(railway: dict[str, Any], railway_toml: dict[str, Any]) -> None:
    api = railway["labeler-api"]
    deploy = dict(railway_toml["deploy"]) | railway_toml["environments"]["production"]["deploy"]
    assert api["build"] == railway_toml["build"]
    assert api["deploy"] == deploy
    variables = api["variables"]
    assert variables["RAILWAY_DOCKERFILE_PATH"]["value"] == railway_toml["build"]["dockerfilePath"]
    assert variables["RAILWAY_DEPLOYMENT_DRAINING_SECONDS"]["value"] == str(deploy["drainingSeconds"])
    assert variables["RAILWAY_DEPLOYMENT_OVERLAP_SECONDS"]["value"] == str(deploy["overlapSeconds"])


def test_railway_restarts_ten_times_and_asks_for_health(railway: dict[str, Any]) -> None:
    for name, path in (("labeler-api", "/health/deploy"), ("user-gateway", "/health")):
        deploy = railway[name]["deploy"]
        assert deploy["restartPolicyType"] == "ON_FAILURE"
        assert deploy["restartPolicyMaxRetries"] == 10
        assert deploy["healthcheckPath"] == path
        assert deploy["drainingSeconds"] > 0
    assert {"/health/ready", "/health/deploy"} <= {route.path for route in ROOT_ROUTES}


def test_the_databases_on_railway_have_productions_major(railway: dict[str, Any]) -> None:
    databases = [resource for resource in railway.values() if resource["type"] == "database"]
    assert [one["name"] for one in databases] == ["labeler-db", "user-db", "platform-db"]
    assert all(one["image"].endswith(f":{PRODUCTION_MAJOR}") for one in databases)
    assert all("tcpProxies" not in one.get("networking", {}) for one in databases)


def test_the_gateway_on_railway_is_reached_where_the_api_looks(railway: dict[str, Any]) -> None:
    gateway, api = railway["user-gateway"]["variables"], railway["labeler-api"]["variables"]
    port = gateway["USER_GATEWAY_PORT"]["value"]
    assert api["USER_GATEWAY_ADDRESS"]["value"] == "${{user-gateway.RAILWAY_PRIVATE_DOMAIN}}:" + port
    assert gateway["PORT"]["value"] != port
    # The Internet reaches the API alone, and no secret stands in the file.
    assert "networking" not in railway["user-gateway"]
    for variables in (gateway, api):
        for name, value in variables.items():
            assert FOREIGN.match(name) or name in VARIABLES, name
            assert value["type"] == "preserve" or not VARIABLES[name].secret if name in VARIABLES else True


def test_the_nightly_backup_on_railway_has_the_operators_image() -> None:
    """Railway builds a Dockerfile's last stage: the image with `pg_dump` has a Dockerfile of its own."""
    program = runpy.run_path(str(ROOT / ".railway" / "railway.py"))
    backup = program["nightly"](None).to_graph()
    assert backup["build"]["dockerfilePath"] == "Dockerfile.ops"
    assert backup["variables"]["RAILWAY_DOCKERFILE_PATH"]["value"] == "Dockerfile.ops"
    assert backup["deploy"]["cronSchedule"] == program["BACKUP_AT"]
    command = backup["deploy"]["startCommand"]
    guide = (ROOT / "docs" / "deployment" / "backup-and-restore.md").read_text()
    assert command.removeprefix('sh -c "').removesuffix('"') in guide
    assert f"`{program['BACKUP_AT']}`" in guide
    read = {name for name in backup["variables"] if not FOREIGN.match(name)}
    assert {"BACKUP_DATABASE_URL", "BACKUP_PLACE"} <= read <= set(VARIABLES) | set(program["BACKUP_BY_HAND"])


def test_the_operators_dockerfile_is_the_other_one_with_another_last_stage() -> None:
    ours, ops = ((ROOT / name).read_text().splitlines() for name in ("Dockerfile", "Dockerfile.ops"))
    end = next(number for number, line in enumerate(ours) if line.startswith("# What is built where no stage"))
    assert ops[1:-1] == ours[:end]  # its first line says what it is
    assert ops[-1] == "FROM ops"


async def test_what_railway_is_told_passes_the_check(railway: dict[str, Any]) -> None:
    """With the values that are set by hand, nothing is missing: neither a variable nor a limit."""
    by_hand = {
        "LABELER_DB_URL": "postgresql://u:p@labeler.railway.internal/railway",
        "PLATFORM_DB_URL": "postgresql://u:p@platform.railway.internal/railway",
        "USER_DB_URL": "postgresql://u:p@users.railway.internal/railway",
        "USER_GATEWAY_TOKEN": "t" * 40,
        "USER_GATEWAY_TOKENS": f"labeler={'t' * 40}:users.read+users.read_private+credentials.verify",
        "JWT_SECRET_KEY": "j" * 40,
        "MEDIA_LINK_KEYS": "m" * 40,
        "METRICS_TOKEN": "n" * 40,
        "API_PUBLIC_URL": "https://labeler.example.com",
        "CORS_ORIGINS": "https://app.example.com",
        "S3_ENDPOINT": "https://account.r2.cloudflarestorage.com",
        "S3_ACCESS_KEY": "a",
        "S3_SECRET_KEY": "s",
        "S3_BUCKET_DATASETS": "datasets",
        "S3_BUCKET_ANNOTATIONS": "annotations",
    }
    for name, service in (("labeler-api", "api"), ("user-gateway", "gateway")):
        given = {
            key: by_hand[key] if value["type"] == "preserve" else value["value"]
            for key, value in railway[name]["variables"].items()
        }
        # What Railway puts in for the reference.
        given = {key: value.replace("${{user-gateway.RAILWAY_PRIVATE_DOMAIN}}", "gw") for key, value in given.items()}
        report = await check(given, [service], source="test")  # type: ignore[list-item]
        assert report.right, report.problems


def test_railway_toml_serves_the_api_alone(railway_toml: dict[str, Any]) -> None:
    assert railway_toml["deploy"]["startCommand"] == "python -m labeler_api"
    fields = msgspec.structs.fields(api_settings.Settings)
    shutdown = next(field.default for field in fields if field.name == "api_shutdown_seconds")
    assert shutdown < railway_toml["deploy"]["drainingSeconds"]


def test_the_image_runs_without_root_without_shell_and_without_a_frontend_to_pull() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^#\s*syntax", text, re.MULTILINE)
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    commands = re.findall(r"^(?:CMD|ENTRYPOINT) (.*)$", text, re.MULTILINE)
    assert commands
    assert all(command.startswith("[") for command in commands)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env*", ".venv", "runs"} <= set(ignored)


def test_the_image_is_one_for_production_and_installs_from_hashes_only() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ENV .*\bENVIRONMENT=production$", text, re.MULTILINE)
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 5
    for install in installs:
        ours = install.split("&&")[0].split()[-2:]
        assert "--require-hashes" in install or (
            "." in ours and {"--no-index", "--no-build-isolation"} < {*install.split()}
        )
        assert "--no-deps" in install
    for lock in ("build.txt", "runtime.txt", "ops.txt"):
        pinned = re.findall(
            r"^([a-z0-9._-]+)==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE | re.IGNORECASE
        )
        assert pinned


def test_images_are_named_by_digest_or_by_a_tag_of_one_release(compose: dict[str, Any]) -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    bases = [base for base, _ in stages if base not in {name for _, name in stages}]
    others = [service["image"] for service in compose["services"].values() if service["image"] != "labeler"]
    assert len(set(bases)) == 1
    for image in (*bases, *others):
        assert re.search(r"@sha256:[0-9a-f]{64}$|:\d+\.\d+(\.\d+)?-|:v?\d+\.\d+\.\d+$|:RELEASE\.", image), image


def test_compose_publishes_on_this_machine_only_while_demo_accounts_exist(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_runs_our_image_with_nothing_to_write_on(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if service["image"] == "labeler"]
    assert len(ours) == 12  # five of them are for --profile scale
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "user" not in service
    for name, service in compose["services"].items():
        for needed, how in service.get("depends_on", {}).items():
            one_shot = needed.endswith("roles") or needed in {"migrate", "buckets"}
            expected = {"service_completed_successfully"} if one_shot else {"service_healthy", "service_started"}
            assert how["condition"] in expected, (name, needed)


def test_compose_sets_variables_that_exist_and_settings_that_load(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name in service.get("environment", {}):
            assert name in VARIABLES or FOREIGN.match(name), name
    api = compose["services"]["labeler-api"]
    settings = api_settings.load(api["environment"])
    assert "http://localhost:3010" in settings.origins
    assert settings.public_url == "http://localhost:8001"
    gateway = compose["services"]["user-gateway"]["environment"]
    assert settings.user_gateway_token in gateway["USER_GATEWAY_TOKENS"]
    # Docker kills what has not ended by then.
    assert int(api["stop_grace_period"].removesuffix("s")) > settings.api_shutdown_seconds


async def test_the_demo_accounts_of_compose_are_those_of_the_embedded_stack(create_database: DatabaseFactory) -> None:
    for schema, demo in (("users.sql", "users_demo.sql"), ("platform.sql", "platform_demo.sql")):
        dsn = await create_database()
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute((SQL / schema).read_text())
            for _ in range(2):  # safe to repeat
                await connection.execute((SQL / demo).read_text())
            if schema == "users.sql":
                rows = await connection.fetch("SELECT * FROM users ORDER BY id")
                next_id = await connection.fetchval("SELECT nextval(pg_get_serial_sequence('users', 'id'))")
            else:
                assert await connection.fetchval("SELECT count(*) FROM workspaces WHERE organization_id = 1") == 1
        finally:
            await connection.close()
    assert [(row["id"], row["email"], row["full_name"], str(row["system_role"])) for row in rows] == [
        (one.user_id, one.email, one.full_name, one.system_role) for one in ACCOUNTS
    ]
    assert next_id == len(ACCOUNTS) + 1
    for row, account in zip(rows, ACCOUNTS, strict=True):
        assert bcrypt.checkpw(account.password.encode(), row["hashed_password"].encode())
