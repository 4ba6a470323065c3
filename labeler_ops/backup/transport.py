"""What is sent between machines is encrypted, or stays on a network that is private by itself."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from labeler_ops.connecting import Connection
from labeler_ops.errors import DatabaseError

PLAIN = "BACKUP_ALLOW_PLAIN"
"""The variable that allows what is not encrypted."""

# Railway's private network is WireGuard; a cluster's service names and this machine are not the internet either.
_PRIVATE_NAMES = (".internal", ".local", ".localhost", ".svc")


def is_private(host: str) -> bool:
    """Whether an address leads over no network that others can listen on."""
    if not host or host.startswith("/") or host == "localhost" or host.endswith(_PRIVATE_NAMES):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host  # a name of the own network, as containers have


def require_encrypted_store(endpoint: str, environ: Mapping[str, str]) -> None:
    """Refuse a store that is reached over the internet without TLS."""
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and not is_private(parts.hostname or "") and not _allowed(environ):
        raise DatabaseError(f"{endpoint} is not encrypted: use https, or set {PLAIN}=true on a network of your own")


def _allowed(environ: Mapping[str, str]) -> bool:
    return environ.get(PLAIN, "").lower() in {"1", "true", "yes", "on"}


async def require_encrypted(url: str, connection: Connection, environ: Mapping[str, str]) -> None:
    """Refuse a database that is reached over the internet without TLS."""
    if is_private(urlsplit(url).hostname or "") or _allowed(environ):
        return
    if not await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"):
        raise DatabaseError(f"the connection is not encrypted: add ?sslmode=require, or set {PLAIN}=true")
