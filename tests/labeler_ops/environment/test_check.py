"""What is missing or contradictory is found and named; what is secret is never printed."""

from pathlib import Path

import msgspec
import pytest
from dotenv import dotenv_values
from rich.console import Console
from typer.testing import CliRunner

from labeler_ops.cli import app
from labeler_ops.environment.connections import Allowance, compare
from labeler_ops.environment.declaration import VARIABLES
from labeler_ops.environment.environment_check import Report, check
from labeler_ops.environment.show import show
from labeler_ops.environment.variables import SERVICES

TOKEN = "a-token-of-32-characters-or-more-for-the-api"
SECRET = "hush-hush-hush-hush-hush-hush-hush-hush"
RIGHT = {
    "ENVIRONMENT": "production",
    "API_HOST": "::",
    "API_PUBLIC_URL": "https://labeler.example.com",
    "CORS_ORIGINS": "https://app.example.com",
    "LABELER_DB_URL": f"postgresql://labeler:{SECRET}@labeler.railway.internal:5432/railway",
    "PLATFORM_DB_URL": f"postgresql://reader:{SECRET}@platform.railway.internal:5432/railway",
    "USER_DB_URL": f"postgresql://reader:{SECRET}@users.railway.internal:5432/railway",
    "USER_GATEWAY_ADDRESS": "user-gateway.railway.internal:50051",
    "USER_GATEWAY_TOKEN": TOKEN,
    "USER_GATEWAY_TOKENS": f"labeler={TOKEN}:users.read+users.read_private+credentials.verify",
    "JWT_SECRET_KEY": SECRET,
    "MEDIA_LINK_KEYS": SECRET,
    "S3_ENDPOINT": "https://account.r2.cloudflarestorage.com",
    "S3_REGION": "auto",
    "S3_ACCESS_KEY": SECRET,
    "S3_SECRET_KEY": SECRET,
}
POOLED = "postgresql://u:p@pgbouncer.railway.internal:6432/railway"


async def checked(**changes: str) -> Report:
    return await check({**RIGHT, **changes}, SERVICES, source="test")


async def test_a_right_environment_has_nothing_wrong() -> None:
    report = await checked()
    assert report.problems == []
    assert report.right
    assert [(one.database, one.connections) for one in report.connections] == [
        ("Labeler DB", 37),  # (5 + 10 + 1 + 1) × 2 + 3
        ("Platform DB", 6),
        ("User DB", 22),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"LABELER_DB_URL": ""}, "LABELER_DB_URL is not set"),
        ({"LABELER_DB_URL": "mysql://u:p@h/d"}, "LABELER_DB_URL: expected postgresql://"),
        ({"USER_DB_URL": ""}, "gateway: USER_DB_URL is not set"),
        ({"JWT_SECRET_KEY": ""}, "JWT_SECRET_KEY: production needs"),
        ({"MEDIA_LINK_KEYS": "short"}, "MEDIA_LINK_KEYS"),
        ({"DB_POOL_SIZE": "many"}, "DB_POOL_SIZE"),
        ({"LABELER_DB_URL": POOLED}, "LISTEN"),
        ({"LABELER_DB_URL": POOLED, "LABELER_DB_UNPOOLED_URL": RIGHT["LABELER_DB_URL"]}, "DB_STATEMENT_CACHE"),
        (
            {
                "LABELER_DB_URL": "postgresql://u:p@db.internal/r",
                "DATABASE_URL": "postgresql://u:p@db.internal/r",
                "DATABASE_UNPOOLED_URL": "postgresql://u:p@direct.internal/r",
            },
            "LISTEN",
        ),
        ({"S3_USE_SSL": "false"}, "S3_USE_SSL=false contradicts S3_ENDPOINT"),
        ({"S3_USE_SSL": "true", "S3_ENDPOINT": "http://store:9000"}, "S3_USE_SSL=true contradicts S3_ENDPOINT"),
        ({"S3_ENDPOINT": "https://host/bucket"}, "leave the path /bucket out"),
        ({"S3_SECRET_KEY": ""}, "S3_SECRET_KEY: missing"),
        ({"S3_BUCKET_DATASETS": "one", "S3_BUCKET_ANNOTATIONS": "one"}, "two buckets are needed"),
        ({"IMAGE_DELIVERY": "presigned", "S3_ENDPOINT": "http://minio:9000"}, "set S3_PUBLIC_ENDPOINT"),
        ({"USER_DB_URL": RIGHT["LABELER_DB_URL"]}, "one and the same database"),
        (
            {"SOURCE_DATABASE_URL": "postgresql://a@h/d", "TARGET_DATABASE_URL": "postgres://b@h:5432/d"},
            "SOURCE_DATABASE",
        ),
        ({"LABELER_DB_URL": "postgresql://u:p@x.proxy.rlwy.net:12345/railway"}, "add ?sslmode=require"),
        ({"USER_DB_URL": "postgresql://u:p@x.railway.internal/r?sslmode=verify-full"}, "verify-full cannot work"),
        ({"USER_GATEWAY_TOKEN": "another-token-of-32-characters-or-more"}, "none of the tokens"),
        ({"USER_GATEWAY_TOKENS": f"labeler={TOKEN}:users.read"}, "needs the scopes credentials.verify"),
        ({"USER_GATEWAY_ADDRESS": "user-gateway"}, "USER_GATEWAY_ADDRESS: expected host:port"),
        ({"USER_GATEWAY_TLS_CERT": "/nowhere.pem"}, "set both or none"),
        ({"USER_GATEWAY_TLS_CA": "/nowhere.pem"}, "expected a PEM file"),
        ({"PORT": "50051"}, "PORT (HTTP health) and USER_GATEWAY_PORT"),
        ({"API_HOST": "127.0.0.1"}, "health checks neither"),
        ({"API_PUBLIC_URL": "http://localhost:8001"}, "everybody's own machine"),
        ({"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "20"}, "API_SHUTDOWN_SECONDS=20 is not less"),
        (
            {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30", "API_DRAIN_SECONDS": "10"},
            "=30 is not less",
        ),
        ({"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "12", "API_SHUTDOWN_SECONDS": "5"}, "the gateway's drain and grace"),
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER: expected otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf"),
        ({"S3_PUBLIC_ENDPONT": "https://x"}, "S3_PUBLIC_ENDPONT is read by nothing: is S3_PUBLIC_ENDPOINT meant?"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT"),
    ],
)
async def test_what_is_wrong_is_named(changes: dict[str, str], said: str) -> None:
    report = await checked(**changes)
    wrong = [problem.text for problem in report.problems if problem.level == "wrong"]
    assert any(said in text for text in wrong), wrong
    assert not report.right


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"API_PORT": "8001", "PORT": "9000"}, "API_PORT is not read: PORT is set"),
        ({"LABELER_DB_HOST": "elsewhere"}, "LABELER_DB_HOST is not read: LABELER_DB_URL is set"),
        ({"S3_REGION": "us-east-1"}, "R2 calls its region auto"),
        ({"CORS_ORIGINS": "https://app.example.com,http://localhost:3010"}, "everybody's own machine"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "is not used"),
        ({"MAINTENANCE_MODE": "true"}, "refuses every write"),
        ({"ENVIRONMENT": "development"}, "JOBS is on, and the object store (account.r2.cloudflarestorage.com) is not"),
    ],
)
async def test_what_is_worth_knowing_is_a_note(changes: dict[str, str], said: str) -> None:
    report = await checked(**changes)
    assert any(said in problem.text for problem in report.problems if problem.level == "note")
    assert report.right


@pytest.mark.parametrize(
    "changes",
    [
        {"JOBS": "off", "ENVIRONMENT": "development"},
        {"S3_ENDPOINT": "http://127.0.0.1:9000", "S3_USE_SSL": "", "ENVIRONMENT": "development"},
        {"S3_ENDPOINT": "http://localhost:9000", "S3_USE_SSL": "", "ENVIRONMENT": "development"},
        {},  # production's own
    ],
)
async def test_jobs_are_nothing_to_note_where_they_belong(changes: dict[str, str]) -> None:
    report = await checked(**changes)
    assert not any("JOBS" in problem.text for problem in report.problems)


def test_the_example_for_this_machine_does_no_jobs() -> None:
    values = dotenv_values(Path(__file__).parents[3] / ".env.local.example", interpolate=False)
    assert values["JOBS"] == "off"


async def test_no_secret_is_ever_printed() -> None:
    """Not even of a URL that a / or # in the password breaks."""
    hidden = {name: f"s3cr3t{number}#/@:s3cr3t" for number, name in enumerate(VARIABLES) if VARIABLES[name].secret}
    hidden |= {name: f"postgresql://u:12/{text}@h/d" for name, text in hidden.items() if VARIABLES[name].text.url}
    for values in (hidden, {**RIGHT, **hidden}, RIGHT):
        report = await check(values, SERVICES, source="test")
        console = Console(record=True, width=300, quiet=True)
        show(report, console)
        printed = console.export_text() + msgspec.json.encode(report).decode()
        assert "s3cr3t" not in printed
        assert SECRET not in printed
        assert TOKEN not in printed


async def test_a_given_system_embeds_nothing_and_an_empty_one_says_what_it_would_run() -> None:
    assert (await checked()).embedded_postgres is None
    report = await check({}, ["ops"], source="test")
    assert report.embedded_postgres is not None
    assert report.embedded_postgres.startswith(("PostgreSQL ", "none: "))
    assert report.right


async def test_everything_that_is_wrong_is_said_at_once() -> None:
    """Who fills in a form wants to know all of it, and not one thing after the other."""
    report = await checked(
        JWT_SECRET_KEY="…", MEDIA_LINK_KEYS="", METRICS_TOKEN="…", API_PUBLIC_URL="", S3_SECRET_KEY="…"
    )
    said = "\n".join(problem.text for problem in report.problems)
    for name in ("JWT_SECRET_KEY", "MEDIA_LINK_KEYS", "METRICS_TOKEN", "API_PUBLIC_URL"):
        assert f"api: {name}: " in said
    assert "S3_SECRET_KEY: … stands in the guide for a value of your own" in said


async def test_workers_and_replicas_count() -> None:
    values = {**RIGHT, "API_WORKERS": "4", "JOBS": "off"}
    report = await check(values, ["api"], source="test", replicas=3, overlap=False)
    assert [one.connections for one in report.connections] == [(5 + 10 + 0 + 1) * 4 * 3 + 3, 3 * 4 * 3]
    [problem] = compare(report.connections, [Allowance(report.connections[0].server, 97, "max_connections 100")])
    assert problem.level == "wrong"
    assert "may open 195 connections, the server allows 97" in problem.text


async def test_workers_of_the_gateway_count() -> None:
    report = await check({**RIGHT, "USER_GATEWAY_WORKERS": "3"}, ["gateway"], source="test", replicas=2, overlap=False)
    assert [one.connections for one in report.connections] == [(10 + 1) * 3 * 2]
    assert report.connections[0].formula == "(10 pool + 1 watcher) × 3 workers × 2 replicas"


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}='{value}'  # said\n" for name, value in RIGHT.items()))
    runner = CliRunner()
    right = runner.invoke(app, ["env", "check", "--file", str(file), "--json"])
    assert right.exit_code == 0, right.output
    decoded = msgspec.json.decode(right.stdout)
    assert decoded["right"] is True
    assert {row["name"] for row in decoded["variables"]} == set(VARIABLES)
    said = [problem["text"] for problem in decoded["problems"] if "quotes and a comment" in problem["text"]]
    assert {text.partition(":")[0] for text in said} == set(RIGHT), "their quotes would be set, too, by other programs"
    file.write_text("".join(f"{name}={value}\n" for name, value in RIGHT.items()))
    assert "quotes and a comment" not in runner.invoke(app, ["env", "check", "--file", str(file)]).stdout

    file.write_text("LABELER_DB_URL=nonsense\n")
    wrong = runner.invoke(app, ["env", "check", "--file", str(file), "--for", "api"])
    assert wrong.exit_code == 1
    assert "LABELER_DB_URL: expected postgresql://" in wrong.stdout
    assert "USER_DB_POOL_SIZE" not in wrong.stdout

    absent = runner.invoke(app, ["env", "check", "--file", str(tmp_path / "none")])
    assert absent.exit_code == 2
    assert "cannot be read" in absent.output


def test_render_says_what_differs(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["env", "render", "--root", str(tmp_path)]).exit_code == 2
    (tmp_path / "pyproject.toml").touch()
    assert runner.invoke(app, ["env", "render", "--root", str(tmp_path), "--dry-run"]).exit_code == 1
    assert ".env.example written" in runner.invoke(app, ["env", "render", "--root", str(tmp_path)]).stdout
    assert runner.invoke(app, ["env", "render", "--root", str(tmp_path), "--dry-run"]).exit_code == 0
