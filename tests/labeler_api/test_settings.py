"""Every wrong variable is named, with the form it should have, before anything starts."""

import os
import subprocess
import sys

import pytest

from labeler_api.settings import load, require_own_secrets
from service_kit.settings import EXIT_CONFIGURATION, SettingsError

URL = "postgresql://labeler:secret@db.example:5432/labeler"
PRODUCTION = {
    "LABELER_DB_URL": URL,
    "ENVIRONMENT": "production",
    "JWT_SECRET_KEY": "j" * 48,
    "MEDIA_LINK_KEYS": "m" * 48,
    "USER_GATEWAY_TOKEN": "t" * 32,
    "API_PUBLIC_URL": "https://api.example",
}


def test_defaults_are_those_of_the_contract() -> None:
    settings = load({"LABELER_DB_URL": URL})
    assert settings.api_port == 8001
    assert settings.db_pool_size == 5
    assert settings.db_max_overflow == 10
    assert settings.db_pool_timeout == 30.0
    assert settings.db_pool_recycle == 3600.0
    assert settings.origins == ["http://localhost:3001", "http://localhost:3000", "http://localhost:3010"]
    assert settings.public_url == "http://localhost:8001"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"LABELER_DB_URL": ""}, "LABELER_DB_URL is not set"),
        ({"LABELER_DB_URL": "mysql://u:p@h/db"}, "LABELER_DB_URL: expected postgresql://"),
        ({"PLATFORM_DB_URL": "mysql://u:p@h/db"}, "PLATFORM_DB_URL: expected postgresql://"),
        ({"PLATFORM_DB_HOST": "h"}, "PLATFORM_DB_NAME, PLATFORM_DB_USER: missing"),
        ({"PLATFORM_DB_ALLOW_WRITABLE": "maybe"}, "PLATFORM_DB_ALLOW_WRITABLE:"),
        ({"LABELER_DB_URL": "postgresql://u:p@h"}, "LABELER_DB_URL: expected postgresql://"),
        ({"LABELER_DB_URL": "postgresql://u:p@h:port/db"}, "LABELER_DB_URL: expected postgresql://"),
        ({"LABELER_DB_URL": "", "LABELER_DB_HOST": "h"}, "LABELER_DB_NAME, LABELER_DB_USER: missing"),
        (
            {
                "LABELER_DB_URL": "",
                "LABELER_DB_HOST": "h",
                "LABELER_DB_NAME": "n",
                "LABELER_DB_USER": "u",
                "LABELER_DB_PORT": "x",
            },
            "LABELER_DB_PORT: expected a port number",
        ),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT: "),
        ({"TRUSTED_PROXIES": "proxy.internal"}, "TRUSTED_PROXIES: expected addresses and networks"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES: expected addresses and networks"),
        ({"TRUSTED_HOPS": "0"}, "TRUSTED_HOPS: "),
        ({"CLIENT_ADDRESS_HEADER": "X Real IP"}, "CLIENT_ADDRESS_HEADER: "),
        ({"RATE_LIMIT_STORAGE": "memcached://h"}, "RATE_LIMIT_STORAGE: expected redis://"),
        ({"RATE_LIMIT_STORAGE": "redis://"}, "RATE_LIMIT_STORAGE: expected redis://"),
        ({"API_PORT": "eight"}, "API_PORT: "),
        ({"API_PORT": "70000"}, "API_PORT: "),
        ({"PORT": "x"}, "API_PORT: "),
        ({"DB_POOL_SIZE": "0"}, "DB_POOL_SIZE: "),
        ({"DB_MAX_OVERFLOW": "-1"}, "DB_MAX_OVERFLOW: "),
        ({"DB_POOL_TIMEOUT": "soon"}, "DB_POOL_TIMEOUT: "),
        ({"JWT_ALGORITHM": "none"}, "JWT_ALGORITHM: "),
        ({"S3_USE_SSL": "maybe"}, "S3_USE_SSL: "),
        ({"S3_ENDPOINT": "http://"}, "S3_ENDPOINT: "),
        ({"S3_PUBLIC_ENDPOINT": "store:9000"}, "S3_PUBLIC_ENDPOINT: "),
        ({"API_PUBLIC_URL": "api.example"}, "API_PUBLIC_URL: "),
        ({"CORS_ORIGINS": "localhost:3010"}, "CORS_ORIGINS: "),
        ({"CORS_ORIGINS": '["http://a", 3]'}, "CORS_ORIGINS: "),
        ({"CORS_ORIGINS": "http://a/path"}, "CORS_ORIGINS: "),
        ({"IMAGE_DELIVERY": "carrier pigeon"}, "IMAGE_DELIVERY: "),
    ],
)
def test_a_wrong_variable_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=r".*") as caught:
        load({"LABELER_DB_URL": URL, **changes})
    assert named in str(caught.value)


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"LABELER_DB_URL": URL, "API_PORT": "x", "DB_POOL_SIZE": "y"})
    assert "API_PORT" in str(caught.value)
    assert "DB_POOL_SIZE" in str(caught.value)


WRONG = {
    "ENVIRONMENT": "production",
    "LABELER_DB_URL": "mysql://u:hidden@h/d",
    "PLATFORM_DB_HOST": "h",
    "API_PORT": "eight",
    "JWT_SECRET_KEY": "short",
    "S3_PUBLIC_ENDPOINT": "http://[",
    "CORS_ORIGINS": "http://a/path,ftp://b",
    "TRUSTED_PROXIES": "somebody",
    "USER_GATEWAY_TLS_CERT": "no.pem",
    "OTEL_TRACES_EXPORTER": "zipkin",
}


def test_wrong_variables_of_every_kind_are_named_at_once() -> None:
    """In one line each, with the exit status of a wrong configuration."""
    environment = {"PATH": os.environ["PATH"], **WRONG}
    command = [sys.executable, "-m", "labeler_api"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_CONFIGURATION
    named = [line.split()[0].strip(":,") for line in done.stderr.splitlines()[1:]]
    assert named == [
        *("LABELER_DB_URL", "PLATFORM_DB_NAME", "API_PORT", "JWT_SECRET_KEY", "USER_GATEWAY_TOKEN", "MEDIA_LINK_KEYS"),
        *("API_PUBLIC_URL", "S3_PUBLIC_ENDPOINT", "CORS_ORIGINS", "CORS_ORIGINS", "TRUSTED_PROXIES"),
        *("USER_GATEWAY_TLS_CERT", "USER_GATEWAY_TLS_CERT", "OTEL_TRACES_EXPORTER"),
    ]
    assert "hidden" not in done.stderr


def test_a_published_secret_is_named_beside_what_else_is_wrong() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"LABELER_DB_URL": URL, "API_HOST": "0.0.0.0", "API_PORT": "eight"}, to_listen=True)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["API_PORT", "JWT_SECRET_KEY"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"JWT_SECRET_KEY": ""}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": "short"}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": "development-only-secret-change-me"}, "JWT_SECRET_KEY"),
        ({"USER_GATEWAY_TOKEN": ""}, "USER_GATEWAY_TOKEN"),
        ({"MEDIA_LINK_KEYS": ""}, "MEDIA_LINK_KEYS"),
        ({"MEDIA_LINK_KEYS": "m" * 48 + ",short"}, "MEDIA_LINK_KEYS"),
        ({"API_PUBLIC_URL": ""}, "API_PUBLIC_URL"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN"),
    ],
)
def test_production_refuses_what_development_allows(changes: dict[str, str], named: str) -> None:
    load(PRODUCTION)
    with pytest.raises(SettingsError) as caught:
        load({**PRODUCTION, **changes})
    assert named in str(caught.value)
    assert "short" not in str(caught.value).replace("shortly", "")


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"DATABASE_URL": "postgres://u:p@h:1/d"}, "postgresql://u:p@h:1/d"),
        ({"LABELER_DB_URL": "postgresql+asyncpg://u:p@h/d"}, "postgresql://u:p@h/d"),
        (
            {"DATABASE_URL": "postgresql://u:p@pooler/d", "DATABASE_UNPOOLED_URL": "postgresql://u:p@direct/d"},
            "postgresql://u:p@direct/d",
        ),
        (
            {"PGHOST": "h", "PGPORT": "6000", "PGUSER": "u", "PGPASSWORD": "p@:/", "PGDATABASE": "d"},
            "postgresql://u:p%40%3A%2F@h:6000/d",
        ),
        (
            {"LABELER_DB_HOST": "h", "LABELER_DB_NAME": "d", "LABELER_DB_USER": "u", "PGHOST": "other"},
            "postgresql://u:@h:5432/d",
        ),
    ],
)
def test_railways_names_are_understood(env: dict[str, str], url: str) -> None:
    assert load(env).labeler_db_url == url


def test_the_process_says_what_is_missing_and_starts_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labeler_api"],
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "LABELER_DB_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr


_PUBLISHED = "development-only-secret-change-me"
_OF_COMPOSE = "development-secret-shared-with-the-platform"
_OWN = {"JWT_SECRET_KEY": "j" * 48}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_published_secrets_work_on_the_loopback(host: str) -> None:
    require_own_secrets(load({"LABELER_DB_URL": URL, "API_HOST": host}))
    require_own_secrets(load({"LABELER_DB_URL": URL, "API_HOST": host, "JWT_SECRET_KEY": _OF_COMPOSE}))


@pytest.mark.parametrize("host", ["::", "0.0.0.0", "10.0.0.1", "api.internal", "localhost.example"])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": _PUBLISHED}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": _OF_COMPOSE}, "JWT_SECRET_KEY"),
        (_OWN | {"USER_GATEWAY_TOKEN": "development-token-of-the-labeler"}, "USER_GATEWAY_TOKEN"),
        (_OWN | {"S3_SECRET_KEY": "labeler-secret"}, "S3_SECRET_KEY"),
        (_OWN | {"MEDIA_LINK_KEYS": "m,development-only-secret-change-me"}, "MEDIA_LINK_KEYS"),
    ],
)
def test_published_secrets_are_refused_where_others_can_reach_them(
    host: str, changes: dict[str, str], named: str
) -> None:
    environment = {"LABELER_DB_URL": URL, "API_HOST": host, **changes}
    with pytest.raises(SettingsError, match=rf"^{named}: this secret is published with the source") as caught:
        require_own_secrets(load(environment))
    assert "development-" not in str(caught.value)
    require_own_secrets(
        load({**environment, "ALLOW_PUBLISHED_DEFAULTS": "true"})
    )  # the container of docker-compose.yml


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET_KEY", _OF_COMPOSE),
        ("USER_GATEWAY_TOKEN", "development-token-of-the-labeler"),
        ("S3_SECRET_KEY", "labeler-secret"),
        ("MEDIA_LINK_KEYS", _OF_COMPOSE),
    ],
)
def test_published_secrets_are_never_those_of_production(environment: str, name: str, value: str) -> None:
    for host in ("127.0.0.1", "::"):
        given = {**PRODUCTION, "ENVIRONMENT": environment, "API_HOST": host, "ALLOW_PUBLISHED_DEFAULTS": "true"}
        load(given)
        with pytest.raises(SettingsError, match=rf"^{name}: {environment} needs a secret of its own"):
            load({**given, name: value})


def test_the_process_does_not_start_with_published_secrets() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "labeler_api"],
        env={"LABELER_DB_URL": URL, "API_HOST": "0.0.0.0", "API_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 78
    assert "JWT_SECRET_KEY: this secret is published with the source" in started.stderr
