"""The two stores of a move, read from SOURCE_S3_… and TARGET_S3_…, and the environment that each one means."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from labeler_ops.storage.access import StorageAccess, StorageError

BUCKETS = ("datasets", "annotations")
"""What the two buckets are for; what they are called may differ between the stores."""

_REQUIRED = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
_TRUE = frozenset({"1", "true", "yes", "on"})


def read_store(environ: Mapping[str, str], prefix: str = "") -> StorageAccess:
    """Read one store from `<prefix>_S3_…`, or from S3_… alone. Raises StorageError that names what is missing."""
    begin = f"{prefix}_S3_" if prefix else "S3_"
    missing = [begin + name for name in _REQUIRED if not environ.get(begin + name)]
    if missing:
        raise StorageError(f"{', '.join(missing)}: missing. Expected the S3_… variables of that store, as {begin}…")

    def given(name: str, default: str) -> str:
        return environ.get(begin + name) or default

    endpoint = given("ENDPOINT", "")
    if "://" not in endpoint:
        endpoint = f"{'https' if given('USE_SSL', '').lower() in _TRUE else 'http'}://{endpoint}"
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise StorageError(f"{begin}ENDPOINT: expected http://host:port or https://host, got {endpoint!r}")
    return StorageAccess(
        endpoint=endpoint.rstrip("/"),
        access_key=given("ACCESS_KEY", ""),
        secret_key=given("SECRET_KEY", ""),
        region=given("REGION", "auto" if endpoint.endswith(".r2.cloudflarestorage.com") else "us-east-1"),
        datasets_bucket=given("BUCKET_DATASETS", "datasets"),
        annotations_bucket=given("BUCKET_ANNOTATIONS", "annotations"),
    )


def read_both(environ: Mapping[str, str] = os.environ) -> tuple[StorageAccess, StorageAccess]:
    """Read source and target. Raises StorageError, also when they share a bucket: a copy onto itself proves nothing."""
    source, target = read_store(environ, "SOURCE"), read_store(environ, "TARGET")
    for name, access in (("SOURCE", source), ("TARGET", target)):
        if access.datasets_bucket == access.annotations_bucket:
            raise StorageError(f"{name}_S3_BUCKET_DATASETS and _ANNOTATIONS are the same bucket")
    if source.endpoint == target.endpoint and set(source.buckets) & set(target.buckets):
        raise StorageError("SOURCE_S3_… and TARGET_S3_… name the same bucket of the same store")
    return source, target


def store_name(access: StorageAccess) -> str:
    """Name a store without its keys."""
    return f"{access.endpoint} {'+'.join(access.buckets)}"


def bucket_of(access: StorageAccess, role: str) -> str:
    """Give the name of the datasets' or the annotations' bucket."""
    return dict(zip(BUCKETS, access.buckets, strict=True))[role]


def service_variables(access: StorageAccess) -> dict[str, str]:
    """What the services' environment says of this store."""
    return {
        "S3_ENDPOINT": access.endpoint,
        "S3_ACCESS_KEY": access.access_key,
        "S3_SECRET_KEY": access.secret_key,
        "S3_BUCKET_DATASETS": access.datasets_bucket,
        "S3_BUCKET_ANNOTATIONS": access.annotations_bucket,
        "S3_REGION": access.region,
        "S3_USE_SSL": "true" if access.endpoint.startswith("https://") else "false",
    }
