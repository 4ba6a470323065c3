"""What is wrong with the addresses of databases and of the object store, as far as it shows without asking them."""

from collections.abc import Iterator
from itertools import combinations
from urllib.parse import parse_qs, urlsplit

from labeler_ops.environment.problems import Environment, Problem, local
from labeler_ops.runs import endpoint_name

_POOLER_PORT = 6432  # PgBouncer's own, and that of Railway's template
_RAILWAY_PROXY = ".proxy.rlwy.net"
_R2 = ".r2.cloudflarestorage.com"


def pooled(given: Environment) -> Iterator[Problem]:
    """Find a transaction pooler where LISTEN and prepared statements are needed."""
    if given.api is None or not through_pooler(given.api.labeler_db_url, given):
        return
    if through_pooler(given.api.jobs_db_url, given):
        yield Problem(
            "wrong",
            "the Labeler DB is reached through a transaction pooler, which LISTEN (jobs, maintenance mode) cannot "
            "pass: set LABELER_DB_URL or LABELER_DB_UNPOOLED_URL to the unpooled address",
        )
    if given.api.db_statement_cache:
        yield Problem(
            "wrong",
            "DB_STATEMENT_CACHE=true behind a transaction pooler: set it to false, or use the unpooled address",
        )


def through_pooler(url: str, given: Environment) -> bool:
    """Recognise a pooler by its port, by its host's name, or by Railway's unpooled address next to it."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.port == _POOLER_PORT or "pgbouncer" in host or "pooler" in host:
        return True
    both = given.values.get("DATABASE_URL"), given.values.get("DATABASE_UNPOOLED_URL")
    return bool(both[0] and both[1]) and endpoint_name(url) == endpoint_name(str(both[0])) != endpoint_name(
        str(both[1])
    )


def databases(given: Environment) -> dict[str, str]:
    """Name each database that the environment leads to, with its URL."""
    found = {}
    if given.api is not None:
        found["Labeler DB"] = given.api.labeler_db_url
        if given.api.platform_db_url:
            found["Platform DB"] = given.api.platform_db_url
    if given.gateway is not None:
        found["User DB"] = given.gateway.database_url
    return found


def distinct_databases(given: Environment) -> Iterator[Problem]:
    """Find two of the three databases in one place, and a move that leads nowhere."""
    for (one, url), (other, its_url) in combinations(databases(given).items(), 2):
        if endpoint_name(url) == endpoint_name(its_url):
            yield Problem("wrong", f"the {one} and the {other} are one and the same database ({endpoint_name(url)})")
    source, target = given.values.get("SOURCE_DATABASE_URL"), given.values.get("TARGET_DATABASE_URL")
    if "ops" in given.services and source and target and endpoint_name(source) == endpoint_name(target):
        yield Problem("wrong", "SOURCE_DATABASE_URL and TARGET_DATABASE_URL are one and the same database")


def encryption(given: Environment) -> Iterator[Problem]:
    """Find passwords that would cross the Internet in the clear, and proofs that Railway's certificates cannot give."""
    for name, url in databases(given).items():
        parts = urlsplit(url)
        mode = parse_qs(parts.query).get("sslmode", [""])[0]
        host = parts.hostname or ""
        if host.endswith(_RAILWAY_PROXY) and mode in {"", "disable", "allow", "prefer"}:
            yield Problem("wrong", f"the {name} is reached over the Internet: add ?sslmode=require to its URL")
        if host.endswith((_RAILWAY_PROXY, ".railway.internal")) and mode in {"verify-ca", "verify-full"}:
            yield Problem(
                "wrong", f"the {name}: sslmode={mode} cannot work, Railway's certificates are self-signed; use require"
            )


def jobs(given: Environment) -> Iterator[Problem]:
    """Find an API of this machine that would delete objects in a store of others."""
    if given.api is None or given.production or given.api.jobs == "off":
        return
    host = urlsplit(given.api.storage_url).hostname or ""
    if not local(host):
        yield Problem(
            "note",
            f"JOBS is on, and the object store ({host}) is not on this machine: jobs delete objects. "
            "Set JOBS=off where the store is others', too",
        )


def storage(given: Environment) -> Iterator[Problem]:
    """Find contradictions in where the objects are."""
    if given.api is None:
        return
    endpoint, public = urlsplit(given.api.storage_url), urlsplit(given.api.s3_public_endpoint)
    asked = given.values.get("S3_USE_SSL", "")
    if asked and "://" in given.api.s3_endpoint and given.api.s3_use_ssl != (endpoint.scheme == "https"):
        yield Problem("wrong", f"S3_USE_SSL={asked} contradicts S3_ENDPOINT, which begins with {endpoint.scheme}://")
    if endpoint.path.strip("/"):
        yield Problem("wrong", f"S3_ENDPOINT: leave the path {endpoint.path} out; buckets have variables of their own")
    missing = [name for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY") if not given.values.get(name)]
    if missing:
        yield Problem("wrong", f"{' and '.join(missing)}: missing; the object store refuses whoever has none")
    if given.api.s3_bucket_datasets == given.api.s3_bucket_annotations:
        yield Problem("wrong", "S3_BUCKET_DATASETS and S3_BUCKET_ANNOTATIONS: two buckets are needed")
    host = endpoint.hostname or ""
    if host.endswith(_R2) and given.api.s3_region != "auto":
        yield Problem("note", f"S3_REGION={given.api.s3_region}: Cloudflare R2 calls its region auto")
    seen = public.hostname or host
    if given.production and given.api.image_delivery == "presigned" and ("." not in seen or seen.endswith(".internal")):
        yield Problem("wrong", f"IMAGE_DELIVERY=presigned: browsers cannot reach {seen}; set S3_PUBLIC_ENDPOINT")
    if given.production and endpoint.scheme == "http" and "." in host and not host.endswith(".internal"):
        yield Problem("note", f"S3_ENDPOINT={given.api.s3_endpoint}: images would travel in the clear; use https")
