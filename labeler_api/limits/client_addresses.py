"""Addresses of clients, as limits count them."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def client_of(address: str) -> str:
    """What stands for a client: its IPv4 address, or the /64 of its IPv6 address, all of which is one customer's."""
    found = read_address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found or address)


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; IPv4 within IPv6, as a socket on `::` shows it, is IPv4. None for what is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def read_network(text: str) -> IPv4Network | IPv6Network | None:
    """Read an address or a network. None for what is none, as the path of a UNIX socket."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
