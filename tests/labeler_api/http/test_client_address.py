"""Behind proxies: whose words are believed about who the client is."""

import pytest
from starlette.types import Scope

from labeler_api.http.server.client_address import ClientAddress, parsed
from tests.fixtures.api import Api

Headers = list[tuple[str, str]]
FORWARDED = "X-Forwarded-For"


def seen(peer: str, headers: Headers, *, proxies: str, header: str = "", hops: int = 1) -> tuple[str, str]:
    """The client and the scheme as they are from then on."""
    scope: Scope = {
        "client": (peer, 7),
        "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    ClientAddress(proxies=proxies, header=header, hops=hops).rewrite(scope)
    return scope["client"][0], scope["scheme"]


@pytest.mark.parametrize("proxies", ["*", "10.0.0.0/8", "10.0.0.1, 127.0.0.1"])
@pytest.mark.parametrize("forged", ["6.6.6.6", "6.6.6.6, 7.7.7.7", "127.0.0.1", "x", ", ,", "10.0.0.1, 10.0.0.1"])
async def test_the_leftmost_address_is_the_clients_own_word(proxies: str, forged: str) -> None:
    headers = [(FORWARDED, f"{forged}, 192.0.2.1")]
    assert seen("10.0.0.1", headers, proxies=proxies) == ("192.0.2.1", "http")
    lines = [(FORWARDED, forged), (FORWARDED, "192.0.2.1")]
    assert seen("10.0.0.1", lines, proxies=proxies) == ("192.0.2.1", "http")


async def test_each_proxy_of_ours_is_a_place_further_to_the_left() -> None:
    headers = [(FORWARDED, "6.6.6.6, 192.0.2.1, 10.0.0.7")]
    assert seen("10.0.0.1", headers, proxies="10.0.0.1", hops=2)[0] == "192.0.2.1"
    for few in ("192.0.2.1", ""):  # past the outer one, or by no proxy at all
        assert seen("10.0.0.1", [(FORWARDED, few)], proxies="10.0.0.1", hops=2)[0] == "10.0.0.1"


async def test_the_platforms_header_goes_before_what_clients_can_add_to() -> None:
    headers = [(FORWARDED, "6.6.6.6, 7.7.7.7"), ("X-Real-IP", "192.0.2.1")]
    assert seen("10.0.0.1", headers, proxies="*", header="X-Real-IP")[0] == "192.0.2.1"
    twice = [("X-Real-IP", "6.6.6.6"), ("X-Real-IP", "6.6.6.6, 192.0.2.1")]
    assert seen("10.0.0.1", twice, proxies="*", header="X-Real-IP")[0] == "192.0.2.1"
    for nothing in ([(FORWARDED, "6.6.6.6")], [("X-Real-IP", "nobody")], []):
        assert seen("10.0.0.1", nothing, proxies="*", header="X-Real-IP")[0] == "10.0.0.1"


@pytest.mark.parametrize("proxies", ["127.0.0.1", "", "10.0.0.0/24"])
async def test_others_are_not_believed(proxies: str) -> None:
    headers = [(FORWARDED, "192.0.2.1"), ("X-Real-IP", "192.0.2.1"), ("X-Forwarded-Proto", "https")]
    for header in ("", "X-Real-IP"):
        assert seen("198.51.100.7", headers, proxies=proxies, header=header) == ("198.51.100.7", "http")


async def test_the_scheme_comes_from_a_trusted_proxy() -> None:
    assert (seen("10.0.0.1", [("X-Forwarded-Proto", "https")], proxies="10.0.0.1"))[1] == "https"
    assert (seen("10.0.0.1", [("X-Forwarded-Proto", "gopher")], proxies="10.0.0.1"))[1] == "http"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:443 ", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("1" * 10_000, None),
        ("[", None),
    ],
)
def test_addresses_as_proxies_write_them(text: str, address: str | None) -> None:
    assert parsed(text) == address


async def test_a_forged_header_gives_no_fresh_limit(api: Api) -> None:
    """The application's own order of steps: httpx is a peer on 127.0.0.1, which is trusted by default."""
    statuses = []
    async with api.client() as client:
        for n in range(6):
            headers = {FORWARDED: f"203.0.113.{n}, 192.0.2.1", "X-Real-IP": f"203.0.113.{n}"}
            body = {"email": "owner@example.com", "password": "wrong"}
            statuses.append((await client.post("/api/v1/auth/login", json=body, headers=headers)).status_code)
    assert statuses == [401] * 5 + [429]
