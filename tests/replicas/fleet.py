"""Three API processes and two gateways behind the Envoy that deploy/envoy describes, each to be stopped at will."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_ports
from labeler_ops.stack.processes import Process, spawn
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.killable_gateway import KillableGateway
from tests.fixtures.users import GATEWAY_TOKEN

ENVOY = Path(__file__).parents[2] / "deploy" / "envoy" / "envoy.yaml"
APIS = 3
GATEWAYS = 2
_DRAIN_SECONDS = "3"  # Envoy looks once a second, and believes the first 503
_SECONDS = 30.0


@dataclass
class Fleet:
    """The processes. `api` builds and recounts past all of them."""

    api: Api
    apis: list[ApiProcess]
    gateways: list[KillableGateway]
    url: str
    admin: str

    async def restore(self) -> None:
        """Have all of them at work, however a test that failed has left them."""
        for gateway in self.gateways:
            await gateway.restore()
        for process in self.apis:
            await process.restore()
        await self.healthy("labeler-api", APIS)
        await self.healthy("user-gateway", GATEWAYS)

    async def healthy(self, cluster: str, number: int) -> None:
        """Wait until Envoy sends to this many processes of a cluster."""
        async with asyncio.timeout(_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while await self._healthy(client, cluster) != number:  # noqa: ASYNC110 - Envoy has no event for us
                await asyncio.sleep(0.05)

    async def _healthy(self, client: httpx.AsyncClient, cluster: str) -> int:
        text = (await client.get(f"{self.admin}/stats?filter=cluster.{cluster}.membership_healthy")).text
        return int(text.rpartition(":")[2])


def configuration(ports: list[int], apis: list[int], gateways: list[int]) -> dict[str, Any]:
    """Put the test's ports into the file that is deployed, and change nothing else."""
    document: dict[str, Any] = yaml.safe_load(ENVOY.read_text())
    document["admin"]["address"]["socket_address"]["port_value"] = ports[0]
    resources = document["static_resources"]
    for listener, port in zip(resources["listeners"], ports[1:], strict=True):
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    for cluster, members in zip(resources["clusters"], (apis, gateways), strict=True):
        cluster["type"] = "STATIC"
        cluster["load_assignment"]["endpoints"] = [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                    for port in members
                ]
            }
        ]
    return document


@asynccontextmanager
async def deployed(labeler_dsn: str, users_dsn: str, store: SeaweedServer, directory: Path) -> AsyncIterator[Fleet]:
    """Start all of them; the API processes reach the gateways through Envoy, too."""
    async with AsyncExitStack() as stack:
        admin, front, middle, *others = free_ports(3 + GATEWAYS)
        gateways = [KillableGateway(users_dsn, port, {"USER_GATEWAY_DRAIN_SECONDS": _DRAIN_SECONDS}) for port in others]
        environment = {
            **storage_environment(store),
            "LABELER_DB_URL": labeler_dsn,
            "USER_GATEWAY_ADDRESS": f"127.0.0.1:{middle}",
            "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
            "API_DRAIN_SECONDS": _DRAIN_SECONDS,
            "TRUSTED_PROXIES": "127.0.0.1",
        }
        apis = [ApiProcess(environment, directory / f"api-{number}.log") for number in range(APIS)]
        envoy = _envoy(directory, configuration([admin, front, middle], [api.port for api in apis], others))
        stack.push_async_callback(envoy.stop)
        stack.push_async_callback(_stop, gateways)
        await asyncio.gather(*(gateway.start() for gateway in gateways))
        stack.push_async_callback(_stop, apis)
        for process in apis:
            process.launch()
        await asyncio.gather(*(process.ready() for process in apis))
        settings = api_settings(labeler_dsn, f"127.0.0.1:{middle}", GATEWAY_TOKEN, storage_environment(store))
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        fleet = Fleet(api, apis, gateways, f"http://127.0.0.1:{front}", f"http://127.0.0.1:{admin}")
        await fleet.healthy("labeler-api", APIS)
        await fleet.healthy("user-gateway", GATEWAYS)
        yield fleet


async def _stop(processes: Sequence[ApiProcess] | Sequence[KillableGateway]) -> None:
    """Stop all of a kind side by side: each takes three seconds to drain."""
    await asyncio.gather(*(process.stop() for process in processes))


def _envoy(directory: Path, document: dict[str, Any]) -> Process:
    file = directory / "envoy.yaml"
    file.write_text(yaml.safe_dump(document))
    binary = Path(sys.executable).parent / "envoy"
    words: list[str | Path] = [
        binary,
        "-c",
        file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]
    return spawn("envoy", words, log=directory / "envoy.log")
