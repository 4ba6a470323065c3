from pathlib import Path

import pytest

from labeler_ops.errors import StackError
from labeler_ops.stack.settings import load


def test_nothing_given_means_everything_embedded() -> None:
    settings = load(environ={})
    assert settings.home == Path.cwd() / ".labeler"
    assert settings.api_port == 8001
    assert settings.gateway_port == 50051
    assert settings.given == {}
    assert settings.given_storage is None
    assert settings.embeds_postgres


def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    environ = {"LABELER_HOME": str(tmp_path / "variable")}
    assert load(environ=environ).home == tmp_path / "variable"
    assert load(home=tmp_path / "option", environ=environ).home == tmp_path / "option"


@pytest.mark.parametrize("value", ["eighty", "-1", "65536", "80.5", "８０"])
def test_a_wrong_port_is_named(value: str) -> None:
    with pytest.raises(StackError, match="USER_GATEWAY_PORT: expected a port number"):
        load(environ={"USER_GATEWAY_PORT": value})


def test_what_is_given_is_used_whether_as_a_url_or_in_parts() -> None:
    settings = load(
        environ={
            "LABELER_DB_URL": "postgres://me:pw@db.example:5433/labeler",
            "USER_DB_HOST": "users.example",
            "USER_DB_NAME": "users",
            "USER_DB_USER": "user_readonly",
            "PLATFORM_DB_URL": "postgresql+asyncpg://p@platform.example/platform",
        }
    )
    assert settings.given["labeler"] == "postgresql://me:pw@db.example:5433/labeler"
    assert settings.given["users"].startswith("postgresql://user_readonly:")
    assert settings.given["platform"] == "postgresql://p@platform.example/platform"
    assert not settings.embeds_postgres


def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(StackError, match="LABELER_DB_URL: expected postgresql://"):
        load(environ={"LABELER_DB_URL": "mysql://db/labeler"})


def test_a_given_store_needs_its_keys() -> None:
    with pytest.raises(StackError, match="S3_ACCESS_KEY and S3_SECRET_KEY: missing"):
        load(environ={"S3_ENDPOINT": "http://minio:9000"})


def test_a_given_store_with_everything() -> None:
    storage = load(
        environ={
            "S3_ENDPOINT": "minio:9000",
            "S3_USE_SSL": "true",
            "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "s",
            "S3_REGION": "auto",
            "S3_BUCKET_DATASETS": "my-datasets",
        }
    ).given_storage
    assert storage is not None
    assert storage.endpoint == "https://minio:9000"
    assert storage.region == "auto"
    assert storage.buckets == ("my-datasets", "annotations")


def test_the_store_lets_those_origins_read_that_the_api_answers() -> None:
    assert "http://localhost:3010" in load(environ={}).origins
    assert load(environ={"CORS_ORIGINS": "https://app.example"}).origins == ["https://app.example"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JWT_EXPIRE_MINUTES", "soon"), ("CORS_ORIGINS", "app.example"), ("LOG_LEVEL", "LOUD"), ("DB_POOL_SIZE", "0")],
)
def test_a_wrong_variable_of_the_api_is_named_before_anything_starts(variable: str, value: str) -> None:
    with pytest.raises(StackError, match=variable):
        load(environ={variable: value})


def test_production_with_a_short_secret_is_refused() -> None:
    with pytest.raises(StackError, match="JWT_SECRET_KEY"):
        load(environ={"ENVIRONMENT": "production", "JWT_SECRET_KEY": "short", "API_PUBLIC_URL": "https://api.example"})


def test_variables_for_servers_elsewhere_do_not_reach_the_parts() -> None:
    environ = {"PGSSLMODE": "require", "http_proxy": "http://proxy.example", "no_proxy": "intranet.example"}
    parts = load(environ=environ).environ
    assert "PGSSLMODE" not in parts
    assert parts["no_proxy"] == "intranet.example,127.0.0.1,localhost"
    assert parts["NO_PROXY"] == "127.0.0.1,localhost"
    given = dict.fromkeys(("LABELER_DB_URL", "USER_DB_URL", "PLATFORM_DB_URL"), "postgresql://u@db.example/d")
    assert load(environ={**environ, **given}).environ["PGSSLMODE"] == "require"
