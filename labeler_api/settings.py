"""Settings of the API: frozen, read once from the environment, refused with the variable's name."""

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from service_kit.settings import Problems, SettingsError, url_parts
from service_kit.settings import database_url as normal_database_url

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Secret = str

_DEVELOPMENT_SECRET = "development-only-secret-change-me"  # noqa: S105 - refused outside development, see _weak_secrets
# Everybody can read these: they stand here and in docker-compose.yml.
_PUBLISHED = {
    _DEVELOPMENT_SECRET,
    "development-secret-shared-with-the-platform",
    "development-token-of-the-labeler",
    "labeler-secret",
}
_SECRETS = ("jwt_secret_key", "user_gateway_token", "s3_secret_key", "media_link_keys", "metrics_token")
_MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key has at least the size of the hash
_SHARED_STORAGES = ("redis", "rediss", "valkey", "valkeys")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says, one field a variable (upper case)."""

    app_name: str = "Image Labeler API"
    app_version: str = "0.1.0"
    environment: Literal["development", "test", "staging", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    allow_published_defaults: bool = False

    api_host: str = "127.0.0.1"
    api_port: Port = 8001
    api_workers: Positive = 1
    api_public_url: str = ""
    api_drain_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.0
    api_shutdown_seconds: Positive = 20
    api_max_connections: Positive = 4096
    api_max_connections_per_client: Annotated[int, Meta(ge=0)] = 1024
    api_header_seconds: Positive = 10
    api_slow_seconds: Positive = 30
    cors_origins: str = "http://localhost:3001,http://localhost:3000,http://localhost:3010"
    trusted_proxies: str = "127.0.0.1"
    trusted_hops: Annotated[int, Meta(ge=1, le=16)] = 1
    client_address_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*$")] = ""
    rate_limit_storage: Secret = ""

    labeler_db_url: str
    db_pool_size: Positive = 5
    db_max_overflow: Annotated[int, Meta(ge=0)] = 10
    db_pool_timeout: Annotated[float, Meta(gt=0)] = 30.0
    db_pool_recycle: Annotated[float, Meta(gt=0)] = 3600.0
    db_statement_cache: bool = True
    labeler_db_unpooled_url: str = ""
    maintenance_mode: bool = False
    jobs: Literal["on", "off"] = "on"
    jobs_lease_seconds: Annotated[float, Meta(gt=0)] = 30.0

    platform_db_url: Secret = ""
    platform_db_allow_writable: bool = False

    user_gateway_address: str = "127.0.0.1:50051"
    user_gateway_token: Secret = ""
    user_gateway_tls_ca: str = ""
    user_gateway_tls_cert: str = ""
    user_gateway_tls_key: str = ""
    user_cache_seconds: Annotated[float, Meta(ge=0)] = 30.0
    user_cache_grace_seconds: Annotated[float, Meta(ge=0)] = 300.0

    metrics_token: Secret = ""
    event_loop_step_seconds: Annotated[float, Meta(ge=0)] = 0.0

    jwt_secret_key: Secret = _DEVELOPMENT_SECRET
    jwt_algorithm: Literal["HS256"] = "HS256"
    jwt_expire_minutes: Positive = 1440
    media_link_keys: Secret = ""

    s3_endpoint: str = "http://127.0.0.1:9000"
    s3_public_endpoint: str = ""
    s3_access_key: Secret = ""
    s3_secret_key: Secret = ""
    s3_bucket_datasets: str = "datasets"
    s3_bucket_annotations: str = "annotations"
    s3_region: str = "us-east-1"
    s3_use_ssl: bool = False
    s3_max_connections: Positive = 256
    max_streams_per_person: Positive = 32
    max_streams_per_client: Annotated[int, Meta(ge=0)] = 96
    image_delivery: Literal["stream", "presigned"] = "stream"
    thumbnail_cache_bytes: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024

    max_json_bytes: Positive = 2 * 1024 * 1024
    max_upload_files: Positive = 1000
    max_upload_file_bytes: Positive = 200 * 1024 * 1024
    max_upload_bytes: Positive = 4 * 1024 * 1024 * 1024
    max_image_pixels: Positive = 350_000_000
    decoding_memory_bytes: Annotated[int, Meta(ge=0)] = 0  # 0: half of the container's, at most 4 GiB

    @property
    def jobs_db_url(self) -> str:
        """The Labeler DB without a transaction pooler in between, which LISTEN cannot pass."""
        return self.labeler_db_unpooled_url or self.labeler_db_url

    @property
    def origins(self) -> list[str]:
        """The exact origins that browsers may call from."""
        text = self.cors_origins.strip()
        parts = msgspec.json.decode(text, type=list[str]) if text.startswith("[") else text.split(",")
        return [part.strip().rstrip("/") for part in parts if part.strip()]

    @property
    def public_url(self) -> str:
        """Scheme, host and port under which browsers reach this API; links are built on it."""
        return (self.api_public_url or f"http://localhost:{self.api_port}").rstrip("/")

    @property
    def link_keys(self) -> list[str]:
        """Keys of media links, the signing one first. Apart from the JWT secret, so that each can be rotated alone."""
        keys = [key.strip() for key in self.media_link_keys.split(",") if key.strip()]
        return keys or ["media:" + self.jwt_secret_key]

    @property
    def buckets(self) -> tuple[str, str]:
        """Both buckets: images first, exports second."""
        return self.s3_bucket_datasets, self.s3_bucket_annotations

    @property
    def storage_url(self) -> str:
        """S3_ENDPOINT with a scheme; S3_USE_SSL decides where the variable has none."""
        if "://" in self.s3_endpoint:
            return self.s3_endpoint
        return f"{'https' if self.s3_use_ssl else 'http'}://{self.s3_endpoint}"


def load(environ: Mapping[str, str] | None = None, *, to_listen: bool = False) -> Settings:
    """Read the settings. Raises SettingsError with every wrong variable's name and the form it should have.

    `to_listen` is for who serves others by them: then the secrets have to be one's own (`require_own_secrets`), and the
    files have to be there (`wrong_files`).
    """
    env, problems = os.environ if environ is None else environ, Problems()
    given: dict[str, Any] = {
        field.name: env[field.name.upper()]
        for field in msgspec.structs.fields(Settings)
        if env.get(field.name.upper(), "") != ""
    }
    given["labeler_db_url"] = problems.read(lambda: database_url(env, "LABELER_DB", fall_back_to_railway=True), "")
    if url := env.get("LABELER_DB_UNPOOLED_URL"):
        given["labeler_db_unpooled_url"] = problems.read(
            lambda: normal_database_url(url, "LABELER_DB_UNPOOLED_URL"), ""
        )
    if env.get("PLATFORM_DB_URL") or env.get("PLATFORM_DB_HOST"):
        given["platform_db_url"] = problems.read(lambda: database_url(env, "PLATFORM_DB"), "")
    if env.get("PORT"):  # Railway's: the port that its edge and its health check use
        given["api_port"] = env["PORT"]
    settings = _convert(given, problems)
    for line in (*_weak_secrets(settings), *_wrong_urls(settings), *_wrong_proxies(settings)):
        problems.add(line)
    if to_listen:
        with problems.noted():
            require_own_secrets(settings)
        for line in wrong_files(settings):
            problems.add(line)
    problems.refuse()
    return settings


def database_url(env: Mapping[str, str], prefix: str, *, fall_back_to_railway: bool = False) -> str:
    """Find one database's URL: `<PREFIX>_URL`, then `<PREFIX>_HOST` …, then Railway's `DATABASE_URL` and `PG*`."""
    if url := env.get(f"{prefix}_URL"):
        return normal_database_url(url, f"{prefix}_URL")
    if env.get(f"{prefix}_HOST"):
        return _url_from_parts(env, {part: f"{prefix}_{part}" for part in ("HOST", "PORT", "NAME", "USER", "PASSWORD")})
    if fall_back_to_railway:
        # The unpooled one: prepared statements do not survive PgBouncer's transaction mode.
        for name in ("DATABASE_UNPOOLED_URL", "DATABASE_URL"):
            if url := env.get(name):
                return normal_database_url(url, name)
        if env.get("PGHOST"):
            railway = {
                "HOST": "PGHOST",
                "PORT": "PGPORT",
                "NAME": "PGDATABASE",
                "USER": "PGUSER",
                "PASSWORD": "PGPASSWORD",
            }
            return _url_from_parts(env, railway)
    raise SettingsError(
        f"{prefix}_URL is not set. Expected postgresql://user:password@host:port/name, "
        f"or the parts {prefix}_HOST, {prefix}_PORT, {prefix}_NAME, {prefix}_USER and {prefix}_PASSWORD."
    )


def _url_from_parts(env: Mapping[str, str], names: Mapping[str, str]) -> str:
    problems = Problems()
    missing = [names[part] for part in ("NAME", "USER") if not env.get(names[part])]
    if missing:
        problems.add(f"{', '.join(missing)}: missing beside {names['HOST']}")
    port = env.get(names["PORT"]) or "5432"
    if not port.isdigit():
        problems.add(f"{names['PORT']}: expected a port number, got {port!r}")
    problems.refuse()
    user, password = quote(env[names["USER"]], safe=""), quote(env.get(names["PASSWORD"], ""), safe="")
    return f"postgresql://{user}:{password}@{env[names['HOST']]}:{port}/{quote(env[names['NAME']], safe='')}"


def _convert(given: Mapping[str, Any], problems: Problems) -> Settings:
    """Turn texts into values. What is wrong is noted, and has its default for what is checked next."""
    typed: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        if field.name not in given:
            continue
        try:
            value = _as_bool(given[field.name], field.type)
            typed[field.name] = msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError as error:
            problems.add(f"{field.name.upper()}: {error}, got {_shown(field.type, given[field.name])}")
    return Settings(**typed)


def _as_bool(value: Any, kind: Any) -> Any:
    if kind is bool and isinstance(value, str) and value.strip().lower() in {"yes", "on", "no", "off"}:
        return value.strip().lower() in {"yes", "on"}
    return value


def _shown(kind: Any, value: object) -> str:
    return "a value that is kept secret" if kind is Secret else repr(value)


def published_secrets(settings: Settings) -> list[str]:
    """Name the variables whose secret everybody can read."""
    return [name.upper() for name in _SECRETS if not _PUBLISHED.isdisjoint(getattr(settings, name).split(","))]


def require_own_secrets(settings: Settings) -> None:
    """Refuse to serve others with secrets that everybody knows. Raises SettingsError. Called before the server listens.

    On the loopback they do no harm, and to try the API out needs no secrets.
    """
    found = published_secrets(settings)
    if found and not settings.allow_published_defaults and not _is_loopback(settings.api_host):
        raise SettingsError(
            f"{', '.join(found)}: this secret is published with the source, and API_HOST={settings.api_host} can be "
            "reached from other machines. Make one of your own with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))', or set API_HOST=127.0.0.1. "
            "ALLOW_PUBLISHED_DEFAULTS=true is for a container whose port is published on 127.0.0.1 alone"
        )


def wrong_files(settings: Settings) -> Iterator[str]:
    """Say which of the files for the gateway's TLS are not on this machine, or lack the other one of a pair."""
    if bool(settings.user_gateway_tls_cert) != bool(settings.user_gateway_tls_key):
        yield "USER_GATEWAY_TLS_CERT and USER_GATEWAY_TLS_KEY: set both or none"
    for name in ("user_gateway_tls_ca", "user_gateway_tls_cert", "user_gateway_tls_key"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            yield f"{name.upper()}: expected a PEM file, {path} is none"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _weak_secrets(settings: Settings) -> Iterator[str]:
    """Every secret that others could know or guess, and what else has no default outside development."""
    if settings.environment not in {"staging", "production"}:
        return
    make_one = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
    if found := published_secrets(settings):
        yield (
            f"{', '.join(found)}: {settings.environment} needs a secret of its own, and this one is published with the "
            f"source; {make_one}"
        )
    if len(settings.jwt_secret_key.encode()) < _MIN_SECRET_BYTES:
        yield (
            f"JWT_SECRET_KEY: {settings.environment} needs the secret shared with the Platform, at least "
            f"{_MIN_SECRET_BYTES} bytes long; {make_one}"
        )
    if not settings.user_gateway_token:
        yield "USER_GATEWAY_TOKEN: missing; it is one of the tokens in the gateway's USER_GATEWAY_TOKENS"
    if not settings.media_link_keys or any(len(key.encode()) < _MIN_SECRET_BYTES for key in settings.link_keys):
        yield (
            f"MEDIA_LINK_KEYS: {settings.environment} needs one or more keys of at least {_MIN_SECRET_BYTES} bytes, "
            f"separated by commas, the signing one first; {make_one}"
        )
    if settings.metrics_token and len(settings.metrics_token.encode()) < _MIN_SECRET_BYTES:
        yield f"METRICS_TOKEN: {settings.environment} needs at least {_MIN_SECRET_BYTES} bytes; {make_one}"
    if not settings.api_public_url:
        yield "API_PUBLIC_URL: missing; expected https://host, under which browsers reach this API"


def _wrong_proxies(settings: Settings) -> Iterator[str]:
    try:
        networks = [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]
        for network in networks if networks != ["*"] else []:
            ip_network(network)
    except ValueError as error:
        yield f"TRUSTED_PROXIES: expected addresses and networks, or *; {error}"
    scheme, _, rest = settings.rate_limit_storage.partition("://")
    if settings.rate_limit_storage and (scheme not in _SHARED_STORAGES or not rest):
        yield f"RATE_LIMIT_STORAGE: expected {', '.join(f'{name}://…' for name in _SHARED_STORAGES)}"


def _wrong_urls(settings: Settings) -> Iterator[str]:
    for name in ("api_public_url", "s3_public_endpoint"):
        value = getattr(settings, name)
        if value and url_parts(value).scheme not in {"http", "https"}:
            yield f"{name.upper()}: expected http://host:port or https://host, got {value!r}"
    if not url_parts(settings.storage_url).hostname:
        yield f"S3_ENDPOINT: expected http://host:port or https://host, got {settings.s3_endpoint!r}"
    try:
        origins = settings.origins
    except msgspec.MsgspecError:
        yield 'CORS_ORIGINS: expected a comma list or a JSON list, as ["http://localhost:3010"]'
        return
    for origin in origins:
        if url_parts(origin).scheme not in {"http", "https"} or url_parts(origin).path:
            yield f"CORS_ORIGINS: expected scheme://host[:port] without a path, got {origin!r}"
