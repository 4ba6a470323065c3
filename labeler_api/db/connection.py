"""One connection to PostgreSQL, opened so that neither side waits for the other without end."""

import socket
from time import monotonic
from typing import Any

import asyncpg

APPLICATION = "labeler_api"
"""What the pool's connections call themselves; those of the job queue and of the watch say what they are for."""

STATEMENT_SECONDS = 20
"""What the server gives one statement of a request, which has thirty seconds for all that it does.

The limit holds between the parts of a statement, too: a process that freezes there keeps its locks no longer.
"""
LOCK_SECONDS = 5
"""What a statement of a request waits for a lock: who waits holds a connection that others could use."""
# Between two statements of a write nothing is waited for. A process that is frozen there, or whose machine vanished
# without a word, must not keep a project locked until TCP gives it up, which takes hours.
IDLE_SECONDS = 15

# A firewall that forgets a connection, or a machine that loses its power, tells nobody. Each side asks after a quiet
# while, and gives the connection up half a minute after the other side fell silent.
_KEEPALIVE_IDLE_SECONDS = 15
_KEEPALIVE_INTERVAL_SECONDS = 5
_KEEPALIVE_TRIES = 3
_UNACKNOWLEDGED_SECONDS = 20  # what was sent and not even received for so long will not be answered
# How often a server at work on a statement looks whether its client is still there: a statement that was given up ends.
_CLIENT_CHECK_SECONDS = 2

PATIENCE: dict[str, str] = {
    "tcp_keepalives_idle": str(_KEEPALIVE_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_KEEPALIVE_INTERVAL_SECONDS),
    "tcp_keepalives_count": str(_KEEPALIVE_TRIES),
    "tcp_user_timeout": str(_UNACKNOWLEDGED_SECONDS * 1000),
    "client_connection_check_interval": f"{_CLIENT_CHECK_SECONDS}s",
}
"""What every connection asks of its server."""

OF_A_REQUEST: dict[str, str] = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}
"""What the server lets a request do; who needs more says so for its transaction."""

PLANS: dict[str, str] = {"jit": "off"}
"""How the server is to plan: compiling takes longer than any statement here runs."""

_SESSION: dict[str, str] = {"application_name": APPLICATION, "TimeZone": "UTC"}
# PgBouncer takes no more than these two (and client_encoding, DateStyle, standard_conforming_strings) when a connection
# begins, and hands a transaction to whichever server connection is free: all else is said in each transaction.


def at_the_start(*, pooled: bool) -> dict[str, str]:
    """Give what is set when a connection begins; `pooled` is one that leads to a transaction pooler."""
    return _SESSION if pooled else {**_SESSION, **PLANS, **OF_A_REQUEST, **PATIENCE}


def begin(kind: str = "", *, pooled: bool, **limits: str) -> str:
    """Write the one message that opens a transaction of some kind, with the limits that are its own."""
    local = {**PLANS, **OF_A_REQUEST, **limits} if pooled else limits
    return "; ".join([f"BEGIN {kind}".rstrip(), *(f"SET LOCAL {name} = '{value}'" for name, value in local.items())])


_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", _KEEPALIVE_TRIES),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _UNACKNOWLEDGED_SECONDS * 1000),
)


class Connection(asyncpg.Connection):
    """A connection that knows its age, and when the server last answered on it, which asyncpg's pool does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.born_at = self.heard_at = monotonic()

    def note_answer(self) -> None:
        """The server is there."""
        self.heard_at = monotonic()


def watch_silence(connection: Any) -> None:
    """Have the kernel notice on this side, too, that the other one is gone."""
    # The driver has no word for it; what it lacks is no reason to fail.
    transport = getattr(connection, "_transport", None)
    wire = transport.get_extra_info("socket") if transport is not None else None
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, name, value in _SOCKET_OPTIONS:
        if hasattr(socket, name):  # Linux has them all
            wire.setsockopt(level, getattr(socket, name), value)
