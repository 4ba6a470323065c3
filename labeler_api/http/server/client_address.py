"""Who the client is behind a proxy: writes `scope["client"]` and `scope["scheme"]`.

Only what a trusted proxy wrote counts. A client may send any header; what a proxy appends stands to the right of it, so
the leftmost entry of X-Forwarded-For is never believed.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import Scope

from labeler_api.http.server.connections import Proxies

_LONGEST_ADDRESS = 64  # characters: an IPv6 address in brackets with a port and a zone


class ClientAddress:
    """Writes the client's address into the scope.

    `proxies` are the addresses and networks, separated by commas, from which headers are believed; `*` believes every
    peer. `header` names one that a proxy sets itself, whatever the client sent. Without it X-Forwarded-For is read at
    the place `hops` from the right: so many proxies of ours have appended to it. Where nothing sound stands, the client
    is the peer.
    """

    def __init__(self, *, proxies: str, header: str = "", hops: int = 1) -> None:
        self._proxies = Proxies(proxies)
        self._header = header.strip().lower().encode("latin-1")
        self._hops = hops
        self._names = {b"x-forwarded-for", b"x-forwarded-proto", self._header}

    def is_named_in(self, fields: Iterable[bytes]) -> bool:
        """Whether a request with these header fields came through a proxy that says anything of the client."""
        return not self._names.isdisjoint(fields)

    def rewrite(self, scope: Scope) -> None:
        """Write who the client of a request is."""
        if (scope.get("client") or [""])[0] not in self._proxies:
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        address = self._named(headers) if self._header else self._forwarded(headers)
        if address is not None:
            scope["client"] = (address, 0)
        for name, value in headers:
            if name == b"x-forwarded-proto" and value in {b"http", b"https"}:
                scope["scheme"] = value.decode()

    def _named(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        # Of several the last: a proxy that appends instead of replacing writes behind what the client sent.
        values = [value for name, value in headers if name == self._header]
        return parsed(values[-1].decode("latin-1").rpartition(",")[2]) if values else None

    def _forwarded(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        entries = b",".join(value for name, value in headers if name == b"x-forwarded-for").rsplit(b",", self._hops)
        place = len(entries) - self._hops
        # With fewer entries than proxies somebody came another way: what stands there may be their own words.
        return parsed(entries[place].decode("latin-1")) if place >= 0 else None


def parsed(text: str) -> str | None:
    """Read an address with or without a port, `192.0.2.1:80` or `[2001:db8::1]:80`; None for anything else."""
    text = text.strip()
    if not text or len(text) > _LONGEST_ADDRESS:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)  # an IPv4 client of a socket that is bound to ::
    return str(mapped or found)
