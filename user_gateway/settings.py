"""Settings of the gateway: frozen, read once from the environment, refused with the variable's name."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from service_kit import container
from service_kit.settings import Problems, SettingsError, database_url
from user_gateway.auth import Caller, MetricsAccess, Scope, names

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Workers = Annotated[int, Meta(ge=1, le=32)]  # each has a pool of its own, and more than there are cores help nobody

_TOKENS_FORM = "caller=token[|token]:scope[+scope], several separated by commas"
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)=(?P<tokens>[^:,\s]+):(?P<scopes>[a-z_.+]+)")
_TOKENS_PER_CALLER = 2  # the one in use and the one it is being replaced by
_SHORTEST_TOKEN = 16  # characters; shorter ones can be guessed
_PUBLISHED_TOKEN = "development-token-of-the-labeler"  # noqa: S105 - stands in docker-compose.yml; refused, see below
_SHORTEST_PRODUCTION_TOKEN = 32  # 192 bits as token_urlsafe writes them
_CALM_ENVIRONMENTS = {"development", "test"}


class Variables(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """The variables that stand for themselves, one field each, upper case in the environment."""

    environment: Literal["development", "test", "staging", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    event_loop_step_seconds: Seconds = 0.0
    allow_published_defaults: bool = False
    user_db_allow_writable: bool = False
    user_db_pool_size: Positive = 10
    user_gateway_host: str = "::"
    user_gateway_port: Port = 50051
    user_gateway_workers: Workers = 1
    user_gateway_reflection: bool | None = None
    user_gateway_call_seconds: Annotated[float, Meta(gt=0)] = 5.0
    user_gateway_hash_slots: Positive | None = None
    user_gateway_drain_seconds: Seconds | None = None
    user_gateway_grace_seconds: Seconds = 10.0
    user_gateway_connection_age_seconds: Annotated[float, Meta(gt=0)] = 300.0
    user_gateway_server_tls_cert: Path | None = None
    user_gateway_server_tls_key: Path | None = None
    user_gateway_server_tls_client_ca: Path | None = None
    user_gateway_ready_file: Path | None = None
    port: Port | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway runs with. Times in seconds."""

    database_url: str
    callers: tuple[Caller, ...]
    page_keys: tuple[str, ...]
    metrics_token: str = ""
    variables: Variables = Variables()

    def __repr__(self) -> str:
        return f"Settings({self.variables!r})"  # no password, no token, no key

    @property
    def metrics_access(self) -> MetricsAccess:
        """Who may read /metrics: who knows METRICS_TOKEN; without one this machine, and in production nobody."""
        return MetricsAccess(self.metrics_token, local=self.variables.environment in _CALM_ENVIRONMENTS)

    @property
    def reflection(self) -> bool:
        """Whether the gateway describes its calls to anybody who connects: not in production unless asked."""
        asked = self.variables.user_gateway_reflection
        return self.variables.environment != "production" if asked is None else asked

    @property
    def drain_seconds(self) -> float:
        """How long NOT_SERVING is shown before connections are refused, for balancers to notice it."""
        asked = self.variables.user_gateway_drain_seconds
        if asked is not None:
            return asked
        # Two seconds: one period of the usual health check and a bit. On one machine it is seen at once.
        return 0.2 if self.variables.environment in _CALM_ENVIRONMENTS else 2.0

    @property
    def hash_slots(self) -> int:
        """How many passwords are checked at once: a check fills one core."""
        return self.variables.user_gateway_hash_slots or container.cores()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises SettingsError naming every wrong variable and the form it should have."""
    env, problems = os.environ if environ is None else environ, Problems()
    variables = _variables(env, problems)
    for line in _wrong_tls(variables):
        problems.add(line)
    if variables.port and variables.port == variables.user_gateway_port:
        problems.add("PORT (HTTP health) and USER_GATEWAY_PORT (gRPC) are the same: set one of them to another port")
    with problems.noted():
        _check_workers(variables)
    callers = _callers(env.get("USER_GATEWAY_TOKENS", ""), variables.environment, problems)
    with problems.noted():
        _check_published(variables, callers)
    settings = Settings(
        database_url=problems.read(lambda: _database_url(env), ""),
        callers=callers,
        page_keys=_page_keys(env, callers),
        metrics_token=problems.read(lambda: _metrics_token(env, variables.environment), ""),
        variables=variables,
    )
    problems.refuse()
    return settings


def _variables(env: Mapping[str, str], problems: Problems) -> Variables:
    """Turn texts into values. What is wrong is noted, and has its default for what is checked next."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(Variables):
        text = env.get(field.encode_name, "").strip()
        if not text:
            continue
        try:
            given[field.encode_name] = msgspec.convert(text, field.type, strict=False, dec_hook=_path)
        except msgspec.ValidationError as error:
            problems.add(f"{field.encode_name}: {error}, got {text!r}")
    return msgspec.convert(given, Variables, strict=False, dec_hook=_path)


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return value if isinstance(value, Path) else Path(str(value))
    raise NotImplementedError(kind)


def _check_workers(variables: Variables) -> None:
    if variables.user_gateway_workers > 1 and sys.platform != "linux":
        raise SettingsError(
            "USER_GATEWAY_WORKERS: several processes on one port need Linux, which spreads connections over them; "
            f"this is {sys.platform}. Set it to 1, and start more gateways on other ports where one is too slow"
        )


def _wrong_tls(variables: Variables) -> Iterator[str]:
    cert, key = variables.user_gateway_server_tls_cert, variables.user_gateway_server_tls_key
    client_ca = variables.user_gateway_server_tls_client_ca
    if (cert is None) != (key is None):
        yield "USER_GATEWAY_SERVER_TLS_CERT and USER_GATEWAY_SERVER_TLS_KEY: set both or none"
    if client_ca is not None and cert is None:
        yield "USER_GATEWAY_SERVER_TLS_CLIENT_CA needs USER_GATEWAY_SERVER_TLS_CERT and USER_GATEWAY_SERVER_TLS_KEY"
    for name, path in (("CERT", cert), ("KEY", key), ("CLIENT_CA", client_ca)):
        if path is not None and not path.is_file():
            yield f"USER_GATEWAY_SERVER_TLS_{name}: expected a PEM file, {path} is none"


def _database_url(env: Mapping[str, str]) -> str:
    if url := env.get("USER_DB_URL"):
        return database_url(url, "USER_DB_URL")
    if host := env.get("USER_DB_HOST"):
        port, name = env.get("USER_DB_PORT") or "5434", env.get("USER_DB_NAME") or "users"
        user, password = env.get("USER_DB_USER") or "user_readonly", env.get("USER_DB_PASSWORD", "")
        if not port.isdigit():
            raise SettingsError(f"USER_DB_PORT: expected a port number, got {port!r}")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@{host}:{port}/{quote(name, safe='')}"
    raise SettingsError(
        "USER_DB_URL is not set. Expected postgresql://user_readonly:password@host:5434/users, "
        "or the parts USER_DB_HOST, USER_DB_PORT, USER_DB_NAME, USER_DB_USER and USER_DB_PASSWORD."
    )


def _callers(text: str, environment: str, problems: Problems) -> tuple[Caller, ...]:
    if not text.strip():
        problems.add(f"USER_GATEWAY_TOKENS is not set. Expected {_TOKENS_FORM}.")
    callers: list[Caller] = []
    for entry in text.split(","):
        if entry.strip():
            with problems.noted():
                callers.append(_caller(entry.strip(), environment))
    tokens = [token for caller in callers for token in caller.tokens]
    if len({caller.name for caller in callers}) != len(callers):
        problems.add("USER_GATEWAY_TOKENS: a caller is named twice; write its two tokens as token|token")
    if len(set(tokens)) != len(tokens):
        problems.add("USER_GATEWAY_TOKENS: a token is given twice; every token belongs to one caller")
    return tuple(callers)


def _check_published(variables: Variables, callers: tuple[Caller, ...]) -> None:
    """Refuse a token that everybody can read, but in development and where it cannot be tried from elsewhere."""
    if all(_PUBLISHED_TOKEN not in caller.tokens for caller in callers):
        return
    calm = variables.environment in _CALM_ENVIRONMENTS
    if not calm or not (variables.allow_published_defaults or _is_loopback(variables.user_gateway_host)):
        raise SettingsError(
            "USER_GATEWAY_TOKENS: one of the tokens is published with the source; make one of your own with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'. In development it works with "
            "USER_GATEWAY_HOST=127.0.0.1, or with ALLOW_PUBLISHED_DEFAULTS=true in a container whose port is "
            "published on 127.0.0.1 alone"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _caller(entry: str, environment: str) -> Caller:
    match = _ENTRY.fullmatch(entry)
    if match is None:  # the entry holds a token: it is not repeated here
        raise SettingsError(f"USER_GATEWAY_TOKENS: expected {_TOKENS_FORM}")
    name, tokens = match["name"], tuple(match["tokens"].split("|"))
    shortest = _SHORTEST_TOKEN if environment in _CALM_ENVIRONMENTS else _SHORTEST_PRODUCTION_TOKEN
    if len(tokens) > _TOKENS_PER_CALLER or min(map(len, tokens)) < shortest:
        raise SettingsError(
            f"USER_GATEWAY_TOKENS: {name} needs one or two tokens of at least {shortest} characters; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    try:
        scopes = frozenset(Scope(scope) for scope in match["scopes"].split("+"))
    except ValueError as error:
        raise SettingsError(f"USER_GATEWAY_TOKENS: {name}: {error}; scopes are {', '.join(names(Scope))}") from None
    return Caller(name, scopes, tokens)


def _metrics_token(env: Mapping[str, str], environment: str) -> str:
    token = env.get("METRICS_TOKEN", "")
    if token and environment not in _CALM_ENVIRONMENTS and len(token) < _SHORTEST_PRODUCTION_TOKEN:
        raise SettingsError(f"METRICS_TOKEN: {environment} needs at least {_SHORTEST_PRODUCTION_TOKEN} characters")
    return token


def _page_keys(env: Mapping[str, str], callers: tuple[Caller, ...]) -> tuple[str, ...]:
    """Give the keys that sign page tokens, the signing one last."""
    if text := env.get("USER_GATEWAY_PAGE_KEYS"):
        return tuple(key.strip() for key in text.split(",") if key.strip())
    # The same in every replica without a variable more; a rotation of tokens ends the searches under way.
    tokens = "|".join(sorted(token for caller in callers for token in caller.tokens))
    return (hashlib.sha256(f"page tokens:{tokens}".encode()).hexdigest(),)
