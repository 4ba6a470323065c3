"""The address of the gRPC port."""

import socket

import structlog

from service_kit.settings import SettingsError

log = structlog.get_logger(__name__)


def bound_host(host: str) -> str:
    """Return the host to bind: where all addresses are asked for, `::`, and `0.0.0.0` without IPv6."""
    if host not in {"::", "[::]", "*", ""}:
        return host.strip("[]")
    return "::" if _has_ipv6() else "0.0.0.0"


def written(host: str, port: int) -> str:
    """Write host and port as gRPC wants them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def taken(host: str, port: int) -> SettingsError:
    """Say that the port cannot be had."""
    return SettingsError(
        f"cannot listen on {written(host, port)}: is the port taken? Set USER_GATEWAY_PORT to another port, or to 0 "
        "for any free one, and USER_GATEWAY_HOST to an address of this machine"
    )


def _has_ipv6() -> bool:
    """Tell whether this machine can bind `[::]`; containers without IPv6 cannot."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        log.warning("no IPv6 on this machine: listening on IPv4 only")
        return False
    return True
