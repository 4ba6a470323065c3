"""TLS and mutual TLS on both sides."""

import asyncio
import shutil
import ssl
from pathlib import Path

import grpc
import pytest
import structlog

from labeler_api.errors import Unavailable
from labeler_api.user_directory.directory import UserDirectory
from service_kit.settings import SettingsError
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import StartGateway

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


@pytest.mark.parametrize(
    ("certificate", "key", "ca", "said"),
    [
        ("server.pem", "missing.key", "ca.pem", "USER_GATEWAY_SERVER_TLS_KEY: expected a PEM file"),
        ("server.pem", "client.key", "ca.pem", "expected a certificate and its own key.* KEY_VALUES_MISMATCH"),
        ("README.md", "server.key", "ca.pem", "USER_GATEWAY_SERVER_TLS_CERT and .* expected a certificate"),
        ("server.pem", "server.key", "README.md", "USER_GATEWAY_SERVER_TLS_CLIENT_CA: expected certificates"),
        ("server.pem", "server.key", "missing.pem", "USER_GATEWAY_SERVER_TLS_CLIENT_CA: expected a PEM file"),
    ],
)
async def test_a_wrong_file_is_named(
    users_dsn: str, start_gateway: StartGateway, certificate: str, key: str, ca: str, said: str
) -> None:
    names = {"CERT": certificate, "KEY": key, "CLIENT_CA": ca}
    variables = {f"USER_GATEWAY_SERVER_TLS_{name}": str(FILES / file) for name, file in names.items()}
    with pytest.raises(SettingsError, match=said):
        await start_gateway(users_dsn, **variables)


async def test_a_renewed_certificate_needs_no_restart(
    users_dsn: str, start_gateway: StartGateway, tmp_path: Path
) -> None:
    variables = {}
    for name, file in (("CERT", "server.pem"), ("KEY", "server.key")):
        shutil.copy(FILES / file, tmp_path / file)
        variables[f"USER_GATEWAY_SERVER_TLS_{name}"] = str(tmp_path / file)
    running = await start_gateway(users_dsn, **variables)
    assert await shown(running.address) == (FILES / "server.pem").read_text()
    with structlog.testing.capture_logs() as lines:
        (tmp_path / "server.key").write_bytes((FILES / "client.key").read_bytes())
        assert await shown(running.address) == (FILES / "server.pem").read_text(), "half of it is no pair yet"
        (tmp_path / "server.pem").write_bytes((FILES / "client.pem").read_bytes())
        assert await shown(running.address) == (FILES / "client.pem").read_text()
    assert [line["log_level"] for line in lines if "TLS files" in line["event"]] == ["error", "info"]


async def shown(address: str) -> str:
    """The certificate that the gateway shows."""
    host, port = address.split(":")
    return await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=10)
