"""Starts the parts in order, watches them, and stops them in order.

A part that dies stops the whole stack with exit code 1 and the end of its log: half a system that looks alive
costs more time than one that says what happened.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator

from labeler_api.errors import AppError
from labeler_ops.errors import StackError
from labeler_ops.stack import databases, leftovers, log_files, services
from labeler_ops.stack.accounts import ACCOUNTS
from labeler_ops.stack.home import Home
from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import claim, keep_or_find
from labeler_ops.stack.postgres import PostgresServer, find_install
from labeler_ops.stack.processes import Process
from labeler_ops.stack.running import Running
from labeler_ops.stack.services import Addresses
from labeler_ops.stack.settings import StackSettings
from labeler_ops.stack.terminal import Terminal
from labeler_ops.storage.access import StorageAccess, StorageError

_WATCH_SECONDS = 0.2  # a part's death is noticed this late at worst
_API_STOP_SECONDS = 25.0  # its own grace for requests under way is 20 s
_GATEWAY_STOP_SECONDS = 15.0  # its own grace for calls under way is 10 s


class Supervisor:
    """One run of the stack in one home directory, which the caller has locked."""

    def __init__(self, settings: StackSettings, home: Home, terminal: Terminal) -> None:
        self._settings = settings
        self._home = home
        self._terminal = terminal
        self._secrets = home.secrets()
        self._postgres: PostgresServer | None = None
        self._store: SeaweedServer | None = None
        self._api: Process | None = None
        self._gateway: Process | None = None

    async def run(self) -> None:
        """Run until the task is cancelled. Raises StackError when a part cannot start, or dies."""
        self._remove_ready_file()
        await leftovers.remove(self._home)
        logs = asyncio.create_task(self._bound_logs())
        try:
            running = await self._while_alive(self._start())
            self._announce(running)
            await self._watch()
        finally:
            logs.cancel()
            self._remove_ready_file()
            await self._stop()

    def hurry(self) -> None:
        """End every part at once: for a second Ctrl-C. Nothing that was committed is lost."""
        for part in self._parts():
            part.send(signal.SIGQUIT if part.name == "postgres" else signal.SIGKILL)

    async def _start(self) -> Running:
        settings = self._settings
        addresses = Addresses(claim(settings.api_port, "API_PORT"), claim(settings.gateway_port, "USER_GATEWAY_PORT"))
        storage = self._launch_store()
        urls = await self._start_databases()
        await self._migrate(urls["labeler"])
        self._launch_services(addresses, urls, storage)
        await self._wait_until_ready(addresses, urls, storage)
        accounts = () if "users" in settings.given else ACCOUNTS
        pids = {part.name: part.pid for part in self._parts()}
        running = Running(addresses, urls, storage, accounts, pids)
        await self._load_demo(running)
        return running

    def _launch_store(self) -> StorageAccess:
        if self._settings.given_storage:
            return self._settings.given_storage
        ports = keep_or_find(self._home.recall("ports").get("storage", []), PORT_COUNT)
        self._store = SeaweedServer(
            self._home.storage_data,
            ports,
            self._secrets["s3_access_key"],
            self._secrets["s3_secret_key"],
            log=self._home.log("storage"),
        )
        self._store.launch()
        self._remember()
        return self._store.access

    async def _start_databases(self) -> dict[str, str]:
        if not self._settings.embeds_postgres:
            return dict(self._settings.given)
        major = self._home.postgres_major()
        install = find_install(self._settings.environ, major=major)
        if install.notice:
            self._terminal.notice(install.notice)
        with self._terminal.step(f"PostgreSQL {install.version} ({install.source}), three databases"):
            self._postgres = PostgresServer(
                install,
                self._home.postgres_data,
                keep_or_find(self._home.recall("ports").get("postgres", []), 1)[0],
                password=self._secrets["postgres_superuser"],
                durable=not self._settings.ephemeral,
                log=self._home.log("postgres"),
            )
            await self._postgres.initialise()
            self._postgres.launch()
            self._remember()
            await self._postgres.wait_ready()
            return await databases.prepare(self._postgres, self._secrets, self._settings.given)

    async def _migrate(self, url: str) -> None:
        given = "labeler" in self._settings.given
        if await databases.needs_upgrade(url, given=given):
            with self._terminal.step("migrations"):
                await databases.upgrade(url)

    def _launch_services(self, addresses: Addresses, urls: dict[str, str], storage: StorageAccess) -> None:
        env = services.environment(self._settings.environ, addresses, urls, storage, self._secrets)
        # libpq's programs reach the embedded server's superuser by this one: `psql "$ADMIN_DB_URL"`.
        admin = {"ADMIN_DB_URL": self._postgres.dsn("postgres")} if self._postgres else {}
        self._home.write_environment({**services.shared(env), **admin})
        self._gateway = services.launch_gateway(env, self._home.log("gateway"))
        self._api = services.launch_api(env, self._home.log("api"))
        self._remember()

    async def _wait_until_ready(self, addresses: Addresses, urls: dict[str, str], storage: StorageAccess) -> None:
        with self._terminal.step("object store"):
            if self._store:
                await self._store.wait_ready(origins=self._settings.origins)
                await self._tie(urls["labeler"], storage)
            else:
                await _require_given(storage)
        with self._terminal.step("user gateway and API"):
            await services.wait_ready(addresses)

    async def _tie(self, url: str, storage: StorageAccess) -> None:
        """Say that the home's buckets belong to the home's database, also in a home from before there was a tie."""
        if "labeler" in self._settings.given:
            return
        from labeler_ops.storage.bucket_tie import adopt  # takes half a second to load, while the store starts

        try:
            await adopt(url, storage)
        except AppError as error:
            raise StackError(f"the buckets could not be tied to the Labeler DB: {error.detail}") from error

    async def _load_demo(self, running: Running) -> None:
        wanted = self._settings.demo and bool(running.accounts) and "labeler" not in self._settings.given
        if wanted and not self._home.recall("demo"):
            from labeler_ops.stack.demo import loader  # its libraries are needed once in a home's life

            with self._terminal.step("demo data: photographs, classes, annotations"):
                self._home.remember("demo", await loader.load(running.addresses.api))

    def _announce(self, running: Running) -> None:
        if self._settings.ready_file:
            running.write(self._settings.ready_file)
        self._terminal.summary(running.places(), running.accounts, self._home.root, self._home.logs)

    async def _while_alive(self, work: Coroutine[None, None, Running]) -> Running:
        """Do the work; raise StackError as soon as a part dies under it."""
        task, watch = asyncio.ensure_future(work), asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                watch.result()
            return await task
        finally:
            for one in (task, watch):
                one.cancel()
            await asyncio.gather(task, watch, return_exceptions=True)

    async def _watch(self) -> None:
        """Raise StackError when a part has ended; nothing else ends this."""
        while True:
            for part in self._parts():
                if (code := part.exit_code()) is not None:
                    raise StackError(f"{part.name} ended (exit code {code}); the end of {part.log}:\n{part.tail()}")
            await asyncio.sleep(_WATCH_SECONDS)

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(log_files.CHECK_SECONDS)
            await asyncio.to_thread(log_files.rotate, [part.log for part in self._parts()])

    async def _stop(self) -> None:
        """Stop callers before the services that they call."""
        if self._api:
            await self._api.stop((signal.SIGTERM, _API_STOP_SECONDS))
        if self._gateway:
            await self._gateway.stop((signal.SIGTERM, _GATEWAY_STOP_SECONDS))
        servers = [server.stop() for server in (self._postgres, self._store) if server]
        await asyncio.gather(*servers)

    def _remove_ready_file(self) -> None:
        if self._settings.ready_file:
            self._settings.ready_file.unlink(missing_ok=True)

    def _parts(self) -> Iterator[Process]:
        processes = (
            self._postgres.process if self._postgres else None,
            self._store.process if self._store else None,
            self._gateway,
            self._api,
        )
        yield from filter(None, processes)

    def _remember(self) -> None:
        leftovers.record(self._home, self._parts())
        ports = self._home.recall("ports")
        if self._store:
            ports["storage"] = list(self._store.ports)
        if self._postgres:
            ports["postgres"] = [self._postgres.port]
        self._home.remember("ports", ports)


async def _require_given(storage: StorageAccess) -> None:
    from labeler_ops.storage.buckets import require_buckets

    try:
        await require_buckets(storage)
    except StorageError as error:
        raise StackError(f"S3_ENDPOINT: {error}") from error
