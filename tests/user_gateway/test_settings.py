"""Settings: what is understood, and the errors that name a variable and its form."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service_kit.settings import EXIT_CONFIGURATION, SettingsError
from user_gateway.auth import Scope
from user_gateway.settings import Settings, load

TOKEN = "t" * 43
MINIMUM = {"USER_DB_URL": "postgresql://u:p@db:5434/users", "USER_GATEWAY_TOKENS": f"labeler={TOKEN}:users.read"}


def load_with(**variables: str) -> Settings:
    return load(MINIMUM | variables)


def test_the_minimum() -> None:
    settings = load(MINIMUM)
    assert settings.database_url == "postgresql://u:p@db:5434/users"
    assert settings.variables.user_gateway_port == 50051
    assert settings.callers[0].name == "labeler"
    assert settings.callers[0].scopes == {Scope.USERS_READ}
    assert settings.reflection
    assert settings.drain_seconds == 0.2
    assert settings.hash_slots >= 1


def test_the_parts_of_the_database_url() -> None:
    parts = {
        "USER_DB_HOST": "db",
        "USER_DB_PASSWORD": "p@ss/wörd",
        "USER_GATEWAY_TOKENS": MINIMUM["USER_GATEWAY_TOKENS"],
    }
    assert load(parts).database_url == "postgresql://user_readonly:p%40ss%2Fw%C3%B6rd@db:5434/users"
    every = {"USER_DB_PORT": "1", "USER_DB_NAME": "n", "USER_DB_USER": "u"}
    assert load(parts | every).database_url == "postgresql://u:p%40ss%2Fw%C3%B6rd@db:1/n"
    assert load(MINIMUM | parts).database_url == MINIMUM["USER_DB_URL"], "the URL wins"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_other_spellings_of_the_scheme(scheme: str) -> None:
    settings = load_with(USER_DB_URL=f"{scheme}://u:p@db/users?sslmode=require")
    assert settings.database_url == "postgresql://u:p@db/users?sslmode=require"


def test_callers_with_tokens_and_scopes() -> None:
    text = f"labeler={TOKEN}|{'u' * 43}:users.read+users.read_private+credentials.verify, report={'v' * 43}:users.read,"
    labeler, report = load_with(USER_GATEWAY_TOKENS=text).callers
    assert labeler.tokens == (TOKEN, "u" * 43)
    assert labeler.scopes == set(Scope)
    assert report.name == "report"
    assert report.scopes == {Scope.USERS_READ}


def test_production_is_calm_about_nothing() -> None:
    settings = load_with(ENVIRONMENT="production")
    assert not settings.reflection
    assert settings.drain_seconds == 2
    assert load_with(ENVIRONMENT="production", USER_GATEWAY_REFLECTION="true").reflection
    assert load_with(ENVIRONMENT="production", USER_GATEWAY_DRAIN_SECONDS="0.5").drain_seconds == 0.5
    with pytest.raises(SettingsError, match="at least 32 characters"):
        load_with(ENVIRONMENT="production", USER_GATEWAY_TOKENS=f"labeler={'t' * 31}:users.read")


def test_page_keys_follow_the_tokens_unless_given() -> None:
    same = load(MINIMUM).page_keys
    assert load(MINIMUM).page_keys == same
    assert load_with(USER_GATEWAY_TOKENS=f"labeler={'x' * 43}:users.read").page_keys != same
    assert load_with(USER_GATEWAY_PAGE_KEYS="old, new").page_keys == ("old", "new")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"USER_DB_URL": ""}, "USER_DB_URL is not set. Expected postgresql://"),
        ({"USER_DB_URL": "mysql://u@h/d"}, "USER_DB_URL: expected postgresql://"),
        ({"USER_DB_URL": "postgresql://u:p@db"}, "USER_DB_URL: expected"),
        ({"USER_DB_URL": "postgresql://u:p@db:x/users"}, "USER_DB_URL: expected"),
        ({"USER_DB_URL": "", "USER_DB_HOST": "h", "USER_DB_PORT": "many"}, "USER_DB_PORT: expected a port number"),
        ({"USER_GATEWAY_TOKENS": ""}, "USER_GATEWAY_TOKENS is not set. Expected caller=token"),
        ({"USER_GATEWAY_TOKENS": "secret-secret-secret"}, "USER_GATEWAY_TOKENS: expected caller=token"),
        ({"USER_GATEWAY_TOKENS": f"a={TOKEN}:users.write"}, "scopes are credentials.verify, users.read, users.read_pr"),
        ({"USER_GATEWAY_TOKENS": "a=short:users.read"}, "a needs one or two tokens of at least 16"),
        ({"USER_GATEWAY_TOKENS": f"a={TOKEN}|{TOKEN}2|{TOKEN}3:users.read"}, "one or two tokens"),
        ({"USER_GATEWAY_TOKENS": f"a={TOKEN}:users.read,b={TOKEN}:users.read"}, "a token is given twice"),
        ({"USER_GATEWAY_TOKENS": f"a={TOKEN}:users.read,a={TOKEN}2:users.read"}, "a caller is named twice"),
        ({"USER_GATEWAY_PORT": "70000"}, "USER_GATEWAY_PORT: Expected `int` <= 65535"),
        ({"USER_GATEWAY_PORT": "http"}, "USER_GATEWAY_PORT: Expected `int`"),
        ({"PORT": "50051"}, "PORT .HTTP health. and USER_GATEWAY_PORT"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT: Invalid enum value"),
        ({"USER_DB_ALLOW_WRITABLE": "perhaps"}, "USER_DB_ALLOW_WRITABLE: Expected `bool`"),
        ({"USER_GATEWAY_CALL_SECONDS": "0"}, "USER_GATEWAY_CALL_SECONDS: Expected `float` > 0"),
        ({"USER_GATEWAY_SERVER_TLS_CERT": "x.pem"}, "set both or none"),
        ({"USER_GATEWAY_SERVER_TLS_CLIENT_CA": "x.pem"}, "USER_GATEWAY_SERVER_TLS_CLIENT_CA needs"),
        (
            {"USER_GATEWAY_SERVER_TLS_CERT": "no.pem", "USER_GATEWAY_SERVER_TLS_KEY": "no.key"},
            "USER_GATEWAY_SERVER_TLS_CERT: expected a PEM file, no.pem is none",
        ),
    ],
)
def test_errors_name_the_variable_and_the_form(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load(MINIMUM | variables)
    assert TOKEN not in str(caught.value)
    assert "secret-secret" not in str(caught.value)


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_with(USER_GATEWAY_PORT="x", LOG_LEVEL="LOUD", USER_DB_POOL_SIZE="0")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "LOG_LEVEL",
        "USER_DB_POOL_SIZE",
        "USER_GATEWAY_PORT",
    ]


def test_wrong_variables_of_every_kind_are_named_at_once() -> None:
    """In one line each, with the exit status of a wrong configuration."""
    wrong = {
        "ENVIRONMENT": "production",
        "USER_GATEWAY_PORT": "x",
        "USER_GATEWAY_SERVER_TLS_CLIENT_CA": "no.pem",
        "USER_GATEWAY_TOKENS": f"a=hidden:users.read,b={TOKEN}:users.rest,c d={TOKEN}",
        "USER_DB_HOST": "h",
        "USER_DB_PORT": "x",
        "METRICS_TOKEN": "hidden",
        "OTEL_TRACES_EXPORTER": "zipkin",
    }
    environment = {"PATH": os.environ["PATH"], **wrong}
    command = [sys.executable, "-m", "user_gateway"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_CONFIGURATION
    named = [line.removeprefix("user_gateway: ").split()[0].strip(":,") for line in done.stderr.splitlines()]
    assert named == [
        *("USER_GATEWAY_PORT", "USER_GATEWAY_SERVER_TLS_CLIENT_CA", "USER_GATEWAY_SERVER_TLS_CLIENT_CA"),
        *("USER_GATEWAY_TOKENS", "USER_GATEWAY_TOKENS", "USER_GATEWAY_TOKENS"),
        *("USER_DB_PORT", "METRICS_TOKEN", "OTEL_TRACES_EXPORTER"),
    ]
    assert "hidden" not in done.stderr
    assert TOKEN not in done.stderr


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    settings = load_with(USER_GATEWAY_READY_FILE=str(tmp_path / "ready"), USER_GATEWAY_PAGE_KEYS="hidden-key")
    for text in (repr(settings), str(settings), repr(settings.callers)):
        assert TOKEN not in text
        assert "u:p@" not in text
        assert "hidden-key" not in text


_PUBLISHED = {"USER_GATEWAY_TOKENS": "labeler=development-token-of-the-labeler:users.read"}


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({"USER_GATEWAY_HOST": "127.0.0.1"}, True),
        ({"USER_GATEWAY_HOST": "::1"}, True),
        ({}, False),
        ({"USER_GATEWAY_HOST": "10.0.0.1"}, False),
        ({"ALLOW_PUBLISHED_DEFAULTS": "true"}, True),
        ({"ENVIRONMENT": "staging", "USER_GATEWAY_HOST": "127.0.0.1"}, False),
        ({"ENVIRONMENT": "production", "ALLOW_PUBLISHED_DEFAULTS": "true"}, False),
    ],
)
def test_a_published_token_works_on_the_loopback_only(changes: dict[str, str], starts: bool) -> None:
    if starts:
        load_with(**_PUBLISHED, **changes)
        return
    with pytest.raises(SettingsError, match="USER_GATEWAY_TOKENS: one of the tokens is published") as caught:
        load_with(**_PUBLISHED, **changes)
    assert "development-token" not in str(caught.value)
