"""A deployment that things happen to: two API processes, a gateway, a PostgreSQL and a store, and what is between."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.killable_gateway import KillableGateway
from tests.fixtures.users import GATEWAY_TOKEN
from tests.outages.flaky import FlakyStore
from tests.outages.wire import SilentWire

PROCESSES = 2
_CLIENT_SECONDS = 40.0  # longer than the 30 s in which the API has to answer


@dataclass
class Fleet:
    """The parts, and the wires to each. `api` builds and recounts over wires that nothing happens to."""

    api: Api
    processes: list[ApiProcess]
    postgres: PostgresServer
    store: SeaweedServer
    gateway: "KillableGateway"
    database_wire: SilentWire
    gateway_wire: SilentWire
    users_wire: SilentWire
    store_wire: SilentWire
    flaky: FlakyStore
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def clients(self) -> list[httpx.AsyncClient]:
        """A client of each process, as the owner of what `api` builds."""
        made = [
            httpx.AsyncClient(
                base_url=process.url,
                headers={"Authorization": f"Bearer {self.api.token(2, 'owner@example.com')}"},
                timeout=_CLIENT_SECONDS,
                limits=httpx.Limits(max_connections=None),
                trust_env=False,
                verify=False,
            )
            for process in self.processes
        ]
        self._clients += made
        return made

    async def close_clients(self) -> None:
        while self._clients:
            await self._clients.pop().aclose()


@asynccontextmanager
async def deployed(
    postgres: PostgresServer, labeler_dsn: str, users_dsn: str, store: SeaweedServer, gateway_port: int, logs: Path
) -> AsyncIterator[Fleet]:
    """Start the gateway and the API processes, with a wire to each part."""
    async with AsyncExitStack() as stack:
        users_wire = await stack.enter_async_context(SilentWire(urlsplit(users_dsn).port or 0))
        gateway = KillableGateway(_by_way_of(users_dsn, users_wire.port), gateway_port)
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        flaky = await stack.enter_async_context(FlakyStore(store.endpoint))
        database_wire = await stack.enter_async_context(SilentWire(urlsplit(labeler_dsn).port or 0))
        gateway_wire = await stack.enter_async_context(SilentWire(gateway_port))
        store_wire = await stack.enter_async_context(SilentWire(flaky.port))
        settings = api_settings(labeler_dsn, f"127.0.0.1:{gateway_port}", GATEWAY_TOKEN, storage_environment(store))
        services = await open_services(settings, stack)
        api = Api(create_app(settings, services), services)
        stack.push_async_callback(api.close)
        environment = {
            **storage_environment(store),
            "LABELER_DB_URL": _by_way_of(labeler_dsn, database_wire.port),
            "USER_GATEWAY_ADDRESS": f"127.0.0.1:{gateway_wire.port}",
            "USER_GATEWAY_TOKEN": GATEWAY_TOKEN,
            "S3_ENDPOINT": f"http://127.0.0.1:{store_wire.port}",
            "DB_POOL_SIZE": "5",
            "DB_MAX_OVERFLOW": "10",
        }
        processes = [ApiProcess(environment, logs / f"api-{number}.log") for number in range(PROCESSES)]
        for process in processes:
            stack.push_async_callback(process.stop)
            process.launch()
        await asyncio.gather(*(process.ready() for process in processes))
        wires = (database_wire, gateway_wire, users_wire, store_wire)
        fleet = Fleet(api, processes, postgres, store, gateway, *wires, flaky)
        stack.push_async_callback(fleet.close_clients)
        yield fleet


def _by_way_of(dsn: str, port: int) -> str:
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


def figures(environ: Mapping[str, str] = os.environ) -> tuple[float, Path | None]:
    """How long an outage lasts (OUTAGE_SECONDS), and where its figures are added to (OUTAGE_TABLE)."""
    table = environ.get("OUTAGE_TABLE")
    return float(environ.get("OUTAGE_SECONDS", "3")), Path(table) if table else None
