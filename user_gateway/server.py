"""The composition root of the gateway: everything is built here, started in order and stopped in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import asyncpg
import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from service_kit import event_loop
from service_kit.role_privileges import write_privileges
from service_kit.tracing import Tracing
from user_gateway import catalog, indexes, reflection, tls
from user_gateway.address import bound_host, taken, written
from user_gateway.auth import Authenticator
from user_gateway.catalog_notes import CatalogNotes
from user_gateway.database import Connection, Database, NoteStep
from user_gateway.hash_slots import HashSlots, OwnSlots
from user_gateway.health import HealthService
from user_gateway.http_health import HttpHealth
from user_gateway.interceptors import CallGuard, GuardedServer
from user_gateway.metrics import Metrics
from user_gateway.paging import PageTokens
from user_gateway.passwords import PasswordChecker
from user_gateway.servicer import Proof, UserGatewayServicer
from user_gateway.settings import Settings
from user_gateway.store import UserStore
from user_gateway.writable_role import UserRoleCanWrite

log = structlog.get_logger(__name__)

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["UserGatewayService"].full_name
"""The name that the health service knows this one by, beside the empty name."""

LOG_INS_NAME = f"{SERVICE_NAME}/VerifyCredentials"
"""The name of log-ins for the health service: not serving, too, while the password hashes cannot be read."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# Long enough for a call that was taken to reach its handler on a busy loop, and short compared to a caller's deadline.
_IDLE_SECONDS = 0.3
_LOOK_AGAIN_SECONDS = 0.05
_LOOK_SECONDS = 1.0  # for a thousand hashes by the primary key, and for the list of indexes


class Gateway:
    """A gateway that is not started yet; `start` and `stop` belong to one event loop."""

    def __init__(
        self,
        settings: Settings,
        tracing: Tracing | None = None,
        steps: event_loop.StepWatch | None = None,
        slots: HashSlots | None = None,
    ) -> None:
        variables = settings.variables
        tracing = tracing or Tracing()
        self._settings = settings
        self._metrics = Metrics()
        self._notes = CatalogNotes()
        self._passwords = PasswordChecker(slots or OwnSlots(settings.hash_slots))
        self._database = Database(
            settings.database_url,
            pool_size=variables.user_db_pool_size,
            call_seconds=variables.user_gateway_call_seconds,
            prepare=self._prepare,
            on_statement=tracing.statement_ended if tracing.on else None,
        )
        self._store = UserStore(self._database)
        self._servicer = UserGatewayServicer(
            self._store,
            self._passwords,
            PageTokens(settings.page_keys),
            call_seconds=variables.user_gateway_call_seconds,
        )
        if steps is None and variables.event_loop_step_seconds:
            steps = event_loop.StepWatch(variables.event_loop_step_seconds, _log_held)
        self._guard = CallGuard(Authenticator(settings.callers), self._metrics, tracing, steps)
        self._health = HealthService()
        self._stopping = False
        self._watch = AsyncExitStack()
        self._metrics.watch(self._show_numbers)
        self._http = HttpHealth(self.status, self._metrics.text, settings.metrics_access)
        self._server: grpc.aio.Server | None = None
        self.port = 0
        self.health_port: int | None = None

    @property
    def serving(self) -> bool:
        """Whether calls are answered now: the database is there, and the gateway is not stopping."""
        return self._database.available and not self._stopping

    def status(self) -> tuple[bool, bool]:
        """Whether calls are answered, and whether passwords can be checked."""
        return self.serving, self._store.verifies

    def on_change(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        """Await `listener(available)` whenever the User DB comes or goes."""
        self._database.on_change(listener)

    def sample(self) -> None:
        """Bring the gauges up to date, for the other workers."""
        self._metrics.sample()

    @property
    def checking(self) -> int:
        """How many passwords are being checked."""
        return self._passwords.slots[1]

    async def start(self) -> None:
        """Bind, prove the role and serve. An absent database is waited for while NOT_SERVING is shown.

        Raises SettingsError when the port is taken, UserRoleCanWrite when the role could write, CatalogError when it
        cannot read what it must.
        """
        self._database.on_change(self._show_health)
        await self._show_health(available=False)
        self._server = self._make_server()
        self.port = self._bind(self._server)
        try:
            await self._database.open()
            await self._watch.enter_async_context(event_loop.watched(self._metrics.event_loop_lag.observe))
            await self._server.start()
            if self._settings.variables.port is not None:
                self.health_port = await self._http.start(self._settings.variables.port)
        except BaseException:
            await self.stop(drain_seconds=0.0, grace_seconds=0.0)
            raise
        slots, _ = self._passwords.slots
        # Of this process: the fleet checks as many at once as its processes together.
        log.info(
            "listening", port=self.port, health_port=self.health_port, serving=self.serving, hash_slots_of_process=slots
        )

    async def stop(self, *, drain_seconds: float | None = None, grace_seconds: float | None = None) -> None:
        """Show NOT_SERVING and serve on while clients and balancers see it; finish the calls under way; close the pool.

        Calls are served until the server says goodbye (GOAWAY). To refuse them before that lost far more of them: a
        client without the health watch, such as grpc-js, met refusals where it now meets another gateway.
        """
        self._stopping = True
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_seconds if drain_seconds is None else drain_seconds)
        self._health.end_watches()
        if self._server is not None:
            grace = self._settings.variables.user_gateway_grace_seconds if grace_seconds is None else grace_seconds
            await self._say_goodbye(self._server, grace)
        await self._http.stop()
        await self._watch.aclose()
        await self._database.close()
        self._passwords.close()
        log.info("stopped")

    async def _say_goodbye(self, server: grpc.aio.Server, grace_seconds: float) -> None:
        """Send GOAWAY, and let the calls under way end; then close, without waiting for calls that nobody works on.

        A call that arrives in the moment of the GOAWAY can be taken by gRPC and handed to nobody. It hung until its
        deadline and the stop as long as its grace. Closing cancels it, and its caller may ask another gateway.
        """
        stopping = asyncio.ensure_future(server.stop(grace_seconds))
        idle_seconds = 0.0
        while not stopping.done() and idle_seconds < _IDLE_SECONDS:
            await asyncio.wait([stopping], timeout=_LOOK_AGAIN_SECONDS)
            idle_seconds = 0.0 if self._guard.under_way else idle_seconds + _LOOK_AGAIN_SECONDS
        await server.stop(None)  # shortens the grace of the first stop; does nothing if all is closed
        await stopping

    async def _prepare(self, connection: Connection, step: NoteStep) -> bool:
        step("proving that the role cannot write")
        privileges = await write_privileges(connection)
        if privileges and not self._settings.variables.user_db_allow_writable:
            raise UserRoleCanWrite(privileges)
        if privileges:
            self._notes.warn("USER_DB_ALLOW_WRITABLE: serving with a role that could write", privileges=privileges[:8])
        step("reading the catalog")
        columns = await catalog.read(connection)
        self._notes.tell(columns)
        self._store.use(columns)
        await self._show_log_ins(columns.verifies and self._database.available)
        self._servicer.proof = Proof(privileges, datetime.now(UTC))
        step("looking around")
        await self._look_around(connection, columns)
        return columns.verifies

    async def _look_around(self, connection: Connection, columns: catalog.Catalog) -> None:
        """Learn what is good to know. It takes milliseconds; where it does not, nobody is kept out for it."""
        try:
            if columns.verifies:
                self._store.password_cost = await catalog.password_cost(connection, _LOOK_SECONDS)
            self._notes.tell_missing(await indexes.missing(connection, columns, _LOOK_SECONDS))
        except (TimeoutError, asyncpg.PostgresError) as error:
            # The cost of hashes known so far goes on, and a dearer hash is learned when it is checked.
            log.warning("the hashes and indexes of the User DB could not be looked at", why=type(error).__name__)

    def _show_numbers(self) -> None:
        size, idle = self._database.size
        slots, in_use = self._passwords.slots
        self._metrics.connections.labels("used").set(size - idle)
        self._metrics.connections.labels("idle").set(idle)
        self._metrics.connections.labels("max").set(self._settings.variables.user_db_pool_size)
        self._metrics.calls_open.set(self._guard.under_way)
        self._metrics.available.set(self._database.available)
        self._metrics.verifies.set(self._store.verifies)
        # Workers share their slots, and the sum over them has to be right.
        self._metrics.hash_slots.labels("max").set(slots / self._settings.variables.user_gateway_workers)
        self._metrics.hash_slots.labels("used").set(in_use)

    async def _show_health(self, available: bool) -> None:
        if self._stopping:
            return
        for name in ("", SERVICE_NAME):
            await self._health.set(name, _SERVING if available else _NOT_SERVING)
        await self._show_log_ins(available and self._store.verifies)

    async def _show_log_ins(self, readable: bool) -> None:
        if not self._stopping:
            await self._health.set(LOG_INS_NAME, _SERVING if readable else _NOT_SERVING)

    def _make_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=self._options())
        guarded: Any = GuardedServer(server, self._guard)  # a part of what these functions are declared to take
        pb_grpc.add_UserGatewayServiceServicer_to_server(self._servicer, guarded)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, guarded)
        if self._settings.reflection:
            reflection.enable((SERVICE_NAME, health.SERVICE_NAME), guarded)
        return server

    def _options(self) -> Sequence[tuple[str, int]]:
        age = self._settings.variables.user_gateway_connection_age_seconds
        return (
            # Workers share the port. Two gateways on one port would share its connections without a word.
            ("grpc.so_reuseport", int(self._settings.variables.user_gateway_workers > 1)),
            # Connections are renewed, so that clients resolve the name again and find new replicas.
            ("grpc.max_connection_age_ms", round(age * 1000)),
            ("grpc.max_connection_age_grace_ms", 30_000),  # longer than the longest call
            # What one caller may hold. The API has one connection a process and some calls on it at once; ids and
            # names of a call have a few KiB, its metadata a token and a trace. A client that has more calls waits
            # with them by itself.
            ("grpc.max_concurrent_streams", 1_000),  # 25 KiB each, whatever they ask; the default has no end
            # With it, such a client is refused (REFUSED_STREAM) where it comes close to the limit, in place of waiting:
            # 10 000 calls at once failed. The limit holds without it, as tests/user_gateway/test_bounds.py sees.
            ("grpc.http.overload_protection", 0),
            ("grpc.max_receive_message_length", 256 * 1024),
            ("grpc.max_metadata_size", 8 * 1024),
            ("grpc.absolute_max_metadata_size", 16 * 1024),
            # Connections in all, below the limit of open files, and those that say nothing: gRPC waits 120 s for a
            # hello. The age above ends the idle ones.
            ("grpc.max_allowed_incoming_connections", 512),
            ("grpc.server_handshake_timeout_ms", 10_000),
            # Half-open connections: a client that does not answer a ping has gone.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Clients ping every 60 s, also without calls (labeler_api/user_directory/directory.py): allow twice that.
            ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Calls that wait for the event loop; beyond these, gRPC drops them without a reason (default 1 000).
            ("grpc.server.max_pending_requests", 20_000),
            ("grpc.server.max_pending_requests_hard_limit", 20_000),
        )

    def _bind(self, server: grpc.aio.Server) -> int:
        host, port = bound_host(self._settings.variables.user_gateway_host), self._settings.variables.user_gateway_port
        credentials = tls.credentials(self._settings.variables)
        address = written(host, port)
        try:
            if credentials is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, credentials)
        except RuntimeError:
            raise taken(host, port) from None


def _log_held(what: str, seconds: float) -> None:
    log.warning("held the event loop", call=what, seconds=round(seconds, 3))
