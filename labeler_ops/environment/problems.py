"""What is missing, wrong or contradictory: what the services themselves would refuse, then what they cannot see."""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from labeler_api import settings as api_settings
from labeler_ops.environment.declaration import VARIABLES
from labeler_ops.environment.reading import overruled
from labeler_ops.environment.variables import Service
from labeler_ops.errors import StackError
from labeler_ops.stack.postgres_install import find_install
from service_kit import tracing
from service_kit.settings import SettingsError
from user_gateway import settings as gateway_settings

_T = TypeVar("_T")

Level = Literal["wrong", "note"]
_LIKE_ENOUGH = 0.82  # S3_ENDPONT is S3_ENDPOINT; LABELER_DB_URL is not LABELER_URL


class Problem(msgspec.Struct, frozen=True):
    """`wrong` makes the check fail; a `note` is worth knowing."""

    level: Level
    text: str


@dataclass(frozen=True)
class Environment:
    """What the rules look at. A part is None when its settings cannot be read, or when it was not asked for."""

    values: Mapping[str, str]
    services: Sequence[Service]
    api: api_settings.Settings | None
    gateway: gateway_settings.Settings | None

    @property
    def production(self) -> bool:
        """Whether what is merely convenient must be refused."""
        return self.values.get("ENVIRONMENT") in {"staging", "production"}


Rule = Callable[[Environment], Iterator[Problem]]


def load(values: Mapping[str, str], services: Sequence[Service]) -> tuple[Environment, list[Problem]]:
    """Read the settings as each service would; the problems are what it would refuse, in its own words."""
    problems: list[Problem] = []
    api, gateway = None, None
    if "api" in services:
        api = _loaded(problems, "api", lambda: api_settings.load(values))
        _loaded(problems, "api", lambda: tracing.exporters(values))
    if "gateway" in services:
        gateway = _loaded(problems, "gateway", lambda: gateway_settings.load(values))
    return Environment(values, services, api, gateway), problems


def _loaded(problems: list[Problem], service: str, read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except SettingsError as error:
        problems.extend(Problem("wrong", f"{service}: {line}") for line in str(error).splitlines())
        return None


def overridden(given: Environment) -> Iterator[Problem]:
    """Find variables that are set in vain, since another one wins."""
    for name, variable in VARIABLES.items():
        if given.values.get(name) and set(variable.services) & set(given.services):
            winner = overruled(name, given.values)
            # Railway sets all of its own together: that is no contradiction.
            if winner and not name.startswith(("PG", "DATABASE_")):
                yield Problem("note", f"{name} is not read: {winner} is set, and wins")


def placeholders(given: Environment) -> Iterator[Problem]:
    """Find what stands in a guide for a value of one's own."""
    for name, value in given.values.items():
        if name in VARIABLES and "…" in value:
            yield Problem("wrong", f"{name}: … stands in the guide for a value of your own")


def misspelled(given: Environment) -> Iterator[Problem]:
    """Find names that no program reads and that are nearly one of ours."""
    for name in given.values:
        if name in VARIABLES or name.startswith(("OTEL_", "RAILWAY_")):
            continue
        near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=_LIKE_ENOUGH)
        if near and not given.values.get(near[0]):
            yield Problem("wrong", f"{name} is read by nothing: is {near[0]} meant?")


def addresses(given: Environment) -> Iterator[Problem]:
    """Find addresses that nobody could reach."""
    if given.api is None or not given.production:
        return
    if given.api.api_host in {"127.0.0.1", "localhost", "::1"}:
        yield Problem(
            "wrong", f"API_HOST={given.api.api_host}: nobody outside reaches it, health checks neither; set ::"
        )
    for name, url in (("API_PUBLIC_URL", given.api.public_url), *(("CORS_ORIGINS", o) for o in given.api.origins)):
        if local(urlsplit(url).hostname):
            yield Problem(
                "wrong" if name == "API_PUBLIC_URL" else "note", f"{name} has {url}: that is everybody's own machine"
            )
        elif urlsplit(url).scheme == "http":
            yield Problem("note", f"{name} has {url}: tokens would travel in the clear; use https")


def draining(given: Environment) -> Iterator[Problem]:
    """Compare how long the services finish their work with how long Railway lets them."""
    text = given.values.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "")
    if not text.isdigit():
        return
    if given.api is not None:
        needed = given.api.api_drain_seconds + given.api.api_shutdown_seconds
        if needed >= int(text):
            yield Problem(
                "wrong",
                f"API_DRAIN_SECONDS + API_SHUTDOWN_SECONDS={needed:g} is not less than "
                f"RAILWAY_DEPLOYMENT_DRAINING_SECONDS={text}: requests under way would be killed",
            )
    if given.gateway is not None:
        needed = given.gateway.drain_seconds + given.gateway.variables.user_gateway_grace_seconds
        if needed >= int(text):
            yield Problem(
                "wrong",
                f"the gateway's drain and grace ({needed:g} s) are not less than "
                f"RAILWAY_DEPLOYMENT_DRAINING_SECONDS={text}: calls under way would be killed",
            )


def gateway_client(given: Environment) -> Iterator[Problem]:
    """Compare both ends of the gateway, as far as one environment has them."""
    if given.api is None:
        return
    for line in api_settings.wrong_files(given.api):
        yield Problem("wrong", line)
    _, colon, port = given.api.user_gateway_address.rpartition(":")
    if not colon or not port.isdigit():
        yield Problem("wrong", f"USER_GATEWAY_ADDRESS: expected host:port, got {given.api.user_gateway_address!r}")
    if given.gateway is not None:
        yield from _both_ends(given.api, given.gateway)


def _both_ends(api: api_settings.Settings, gateway: gateway_settings.Settings) -> Iterator[Problem]:
    caller = next((caller for caller in gateway.callers if api.user_gateway_token in caller.tokens), None)
    if caller is None:
        yield Problem("wrong", "USER_GATEWAY_TOKEN is none of the tokens in USER_GATEWAY_TOKENS")
    elif missing := {"users.read", "users.read_private", "credentials.verify"} - {one.value for one in caller.scopes}:
        yield Problem("wrong", f"USER_GATEWAY_TOKENS: {caller.name} needs the scopes {', '.join(sorted(missing))} too")
    if bool(api.user_gateway_tls_ca or api.user_gateway_tls_cert) != (
        gateway.variables.user_gateway_server_tls_cert is not None
    ):
        yield Problem(
            "wrong", "USER_GATEWAY_TLS_* and USER_GATEWAY_SERVER_TLS_*: one end speaks TLS, the other does not"
        )


def trace_settings(given: Environment) -> Iterator[Problem]:
    """Find traces that are sent nowhere, and a switch that was left on."""
    if given.values.get("OTEL_EXPORTER_OTLP_ENDPOINT") and given.values.get("OTEL_TRACES_EXPORTER") == "none":
        yield Problem("note", "OTEL_EXPORTER_OTLP_ENDPOINT is not used: OTEL_TRACES_EXPORTER is none")
    if given.api is not None and given.api.maintenance_mode:
        yield Problem("note", "MAINTENANCE_MODE is on: this process refuses every write")


def embedded_postgres(given: Environment) -> tuple[str | None, list[Problem]]:
    """Say which PostgreSQL `labeler up` would run here; None when every database is given."""
    prefixes = ("LABELER_DB", "USER_DB", "PLATFORM_DB")
    if all(given.values.get(f"{prefix}_URL") or given.values.get(f"{prefix}_HOST") for prefix in prefixes):
        return None, []
    try:
        # PATH counts too, which a file of variables does not have.
        install = find_install({**os.environ, **given.values})
    except StackError as error:
        return f"none: {error}", [Problem("note", f"`labeler up` could not start: {error}")]
    notes = [Problem("note", install.notice)] if install.notice else []
    return f"PostgreSQL {install.version} ({install.source}, {install.bin_dir})", notes


def local(host: str | None) -> bool:
    """Whether a name is that of this machine."""
    return host in {"localhost", "127.0.0.1", "::1"}
