"""TLS and mutual TLS on both sides."""

from pathlib import Path

import grpc
import pytest

from labeler_api.directory import UserDirectory
from labeler_api.errors import Unavailable
from tests.fixtures.users import StartGateway
from tests.user_gateway.calls import Calls, refused

FILES = Path(__file__).parent / "tls"
SERVER = {
    "USER_GATEWAY_SERVER_TLS_CERT": str(FILES / "server.pem"),
    "USER_GATEWAY_SERVER_TLS_KEY": str(FILES / "server.key"),
}
MUTUAL = SERVER | {"USER_GATEWAY_SERVER_TLS_CLIENT_CA": str(FILES / "ca.pem")}


def credentials(name: str | None, ca: str = "ca.pem") -> grpc.ChannelCredentials:
    """Trust `ca`; show the certificate `name`."""
    key = (FILES / f"{name}.key").read_bytes() if name else None
    certificate = (FILES / f"{name}.pem").read_bytes() if name else None
    return grpc.ssl_channel_credentials((FILES / ca).read_bytes(), key, certificate)


async def test_tls(users_dsn: str, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_dsn, **SERVER)
    async with Calls(running.address, running.token, credentials(None)) as calls:
        assert (await calls.get(id=1)).id == 1
    async with Calls(running.address, running.token) as plain:
        assert (await refused(plain.get(id=1))).code == grpc.StatusCode.UNAVAILABLE
    async with Calls(running.address, running.token, credentials(None, "other_ca.pem")) as distrustful:
        assert (await refused(distrustful.get(id=1))).code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(("name", "welcome"), [("client", True), (None, False), ("stranger", False)])
async def test_mutual_tls(users_dsn: str, start_gateway: StartGateway, name: str | None, welcome: bool) -> None:
    running = await start_gateway(users_dsn, **MUTUAL)
    async with Calls(running.address, running.token, credentials(name)) as calls:
        if welcome:
            assert (await calls.get(id=1)).id == 1
        else:
            assert (await refused(calls.get(id=1))).code == grpc.StatusCode.UNAVAILABLE


async def test_the_directory_speaks_mutual_tls(users_dsn: str, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_dsn, **MUTUAL)
    directory = UserDirectory(
        running.address,
        running.token,
        ca_file=FILES / "ca.pem",
        cert_file=FILES / "client.pem",
        key_file=FILES / "client.key",
    )
    assert (await directory.require_active(1)).email == "admin@example.com"
    await directory.close()
    without = UserDirectory(running.address, running.token, ca_file=FILES / "ca.pem")
    with pytest.raises(Unavailable):
        await without.require_active(1)
    await without.close()


def test_half_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="both or none"):
        UserDirectory("127.0.0.1:1", "token", cert_file=FILES / "client.pem")
