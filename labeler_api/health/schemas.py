"""Wire types of the root and the health calls."""

from msgspec import Struct


class RootResponse(Struct):
    """What runs here."""

    name: str
    version: str
    status: str
    environment: str
    docs: str


class HealthResponse(Struct):
    """The process is up."""

    status: str
    version: str
    environment: str


class DatabasesResponse(Struct):
    """`connected`, or what is wrong, per database. Each part of the old answer keeps its key."""

    platform_db: str
    labeler_db: str


class ReadyResponse(Struct):
    """Whether this process can work, and each part that it needs.

    `ready`; `degraded`, when the gateway or the store is away and this process can do what the others can; `not ready`.
    """

    status: str
    process: str
    labeler_db: str
    user_gateway: str
    object_store: str
