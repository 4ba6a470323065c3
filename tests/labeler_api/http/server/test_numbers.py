"""How many connections there may be, and whose they are."""

import resource

import pytest
import structlog.testing

from labeler_api.http.server.connections import Connections, Proxies, room_for_connections
from labeler_api.limits.client_addresses import client_of
from labeler_api.settings import load
from tests.fixtures.waiting import until
from tests.labeler_api.http.server.bare_server import GET, serving


async def test_one_client_takes_so_many_connections_and_others_have_theirs() -> None:
    async with serving(per_client=3) as server:
        mine = [await server.client("127.0.0.2") for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        refused = await server.client("127.0.0.2")
        await refused.send(GET)
        assert await refused.refusal() == (503, "too_many_connections")
        other = await server.client("127.0.0.3")
        await other.send(GET)
        assert (await other.answer())[0] == 200
        mine[0].writer.close()
        await until(lambda: len(server.connections) == 3)
        again = await server.client("127.0.0.2")
        await again.send(GET)
        assert (await again.answer())[0] == 200
        assert server.ended("client_has_many") == 1


async def test_all_clients_together_take_so_many() -> None:
    async with serving(total=2) as server:
        held = [await server.client(f"127.0.0.{number}") for number in (2, 3)]
        await until(lambda: len(server.connections) == 2)
        refused = await server.client("127.0.0.4")
        await refused.send(GET)
        status, headers, _ = await refused.answer()
        assert status == 503
        assert headers["retry-after"] == "5"
        held[0].writer.close()
        await until(lambda: len(server.connections) == 1)
        welcome = await server.client("127.0.0.4")
        await welcome.send(GET)
        assert (await welcome.answer())[0] == 200
        assert server.ended("all_taken") == 1


async def test_a_proxy_that_is_trusted_brings_everybody() -> None:
    async with serving(per_client=1, trusted="10.0.0.1, 127.0.0.0/30") as server:
        for _ in range(5):
            client = await server.client("127.0.0.2")
            await client.send(GET)
            assert (await client.answer())[0] == 200
        assert len(server.connections) == 5


async def test_who_is_refused_and_asks_nothing_is_closed_soon() -> None:
    async with serving(total=1) as server:
        await server.client()
        await until(lambda: len(server.connections) == 1)
        refused = await server.client()
        await until(lambda: server.ended("all_taken") == 1)
        await server.pass_seconds(3)
        assert await refused.ended() == b""


async def test_a_flood_of_refused_ones_is_not_kept() -> None:
    async with serving(total=1) as server:
        await server.client()
        await until(lambda: len(server.connections) == 1)
        for _ in range(300):
            await server.client()
        await until(lambda: server.ended("all_taken") == 300)
        assert len(server.connections._refused) == 256


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_address_or_a_customers_network(address: str, client: str) -> None:
    assert client_of(address) == client


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
        ("10.0.0.0/8,fd00::/8", "fd12::1", "192.168.0.1"),
        ("*", "1.2.3.4", None),
        ("", None, ""),
    ],
)
def test_proxies_are_what_trusted_proxies_says(text: str, inside: str | None, outside: str | None) -> None:
    assert inside is None or inside in Proxies(text)
    assert outside is None or outside not in Proxies(text)


def test_there_are_never_more_connections_than_files() -> None:
    url = {"LABELER_DB_URL": "postgresql://x@127.0.0.1:1/x"}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert room_for_connections(load(url)) == 4096
    assert room_for_connections(load({**url, "API_MAX_CONNECTIONS": "10"})) == 10
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        assert room_for_connections(load(url)) == 1024 - 256 - 15 - 192
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert room_for_connections(load(url)) == 64
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_connection_that_cannot_be_looked_at_does_not_keep_the_others_waiting() -> None:
    class Broken:
        aborted = False

        def look(self) -> None:
            raise OSError("gone")

        def abort(self) -> None:
            self.aborted = True

    class Sound(Broken):
        looked = 0

        def look(self) -> None:
            self.looked += 1

    connections, broken, sound = Connections(), Broken(), Sound()
    connections.admit(broken, "10.0.0.1")
    connections.admit(sound, "10.0.0.1")
    with structlog.testing.capture_logs() as lines:
        connections.look()
    assert broken.aborted is True
    assert sound.looked == 1
    assert [line["event"] for line in lines] == ["a connection could not be looked at"]
