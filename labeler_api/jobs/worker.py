"""Durable jobs on PostgreSQL: decided in a transaction, done after it, finished whatever happens between.

The queue is PgQueuer's (docs/decisions/0009-job-queue.md); only `labeler_api/jobs/` imports it. A job is enqueued in
the transaction that makes it necessary, so that there is never the one without the other. Every process of the API
works on the queue, each on a connection of its own beside the pool, for LISTEN.

What a handler must be: idempotent, since a job whose process dies is taken up by another one from its start; and ready
to be cancelled at any await, since that is how a process stops. A handler that raises is tried again, after 5 seconds
at first and every hour later on, for as long as it takes. Nothing here knows a feature: `app.py` brings the handlers.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver

from labeler_api.context import Services
from labeler_api.db.connection import ISOLATION, PATIENCE
from labeler_api.db.failures import FAILURES
from labeler_api.db.pool import WriteTransaction
from labeler_api.errors import Unavailable
from labeler_api.jobs.queue import SETTINGS, InTransaction, queries
from labeler_api.jobs.upkeep import EVERY_SECONDS, look_after
from service_kit.postgres import watch_silence

Handler = Callable[[Services, bytes], Awaitable[timedelta | None]]
"""Does one job, given its payload. What it returns is when to do the job again; None when it is done for good."""

_FIRST_RETRY_SECONDS = 5.0  # a store that restarts is back by then
_LAST_RETRY_SECONDS = 3600.0  # an outage of days is noticed by people long before; an hour is early enough after it
_DOUBLINGS = 10  # 5 s · 2^10 is over the hour; without a bound the power would overflow after some thousand tries
_AT_ONCE = 2  # jobs of one process: they share its event loop and its store connections with the requests
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 30.0  # a server that fell silent is noticed by it
_RECONNECT_SECONDS = (0.5, 5.0)  # the first wait after a lost connection, and the longest
_PULSE_SECONDS = 5.0  # between two looks at the connection: a restarted server is back by then
_BEATS_BETWEEN_UPKEEP = round(EVERY_SECONDS / _PULSE_SECONDS)
_STOP_SECONDS = 10.0  # cancelled handlers end at their next await

log = structlog.get_logger("labeler_api.jobs.worker")


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job that is always there: its kind, and how long after the system's first start it is due."""

    kind: str
    first_after: timedelta


async def enqueue(
    tx: WriteTransaction, kind: str, payload: bytes, *, after: Sequence[timedelta] = (timedelta(0),)
) -> None:
    """Add a job to a transaction: once for each delay. One statement; workers are told when the transaction commits."""
    number = len(after)
    await queries(InTransaction(tx)).enqueue([kind] * number, [payload] * number, [0] * number, list(after))


@asynccontextmanager
async def working(
    services: Services, dsn: str, handlers: Mapping[str, Handler], periodic: Sequence[Periodic] = ()
) -> AsyncIterator["Worker"]:
    """Work on the queue of a database for as long as the block lasts; `dsn` must not lead to a transaction pooler."""
    worker = Worker(services, dsn, handlers, periodic)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


class Worker:
    """One process' share of the work. May be stopped and started again, for maintenance."""

    def __init__(
        self, services: Services, dsn: str, handlers: Mapping[str, Handler], periodic: Sequence[Periodic]
    ) -> None:
        self._services, self._dsn = services, dsn
        self._handlers, self._periodic = handlers, periodic
        self._lease = timedelta(seconds=services.settings.jobs_lease_seconds)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._running: set[asyncio.Task[timedelta | None]] = set()
        self._stopping = asyncio.Event()
        self._manager: QueueManager | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; nothing is awaited, so an absent database does not stop the start."""
        self._stopping.clear()
        self._loop = asyncio.create_task(self._run(), name="job worker")

    async def stop(self) -> None:
        """Give what is under way back to the queue, for another process to take up, and end."""
        self._stopping.set()
        self._interrupt()
        loop, self._loop = self._loop, None
        if loop is None:
            return
        await asyncio.wait({loop}, timeout=_STOP_SECONDS)
        if not loop.done():
            log.warning("jobs did not stop in time; others take them over when their lease has run out")
            if self._connection is not None:
                self._connection.terminate()  # first, or the library would write the cancelling down as the end
            loop.cancel()

    def _interrupt(self, *_: object) -> None:
        if self._manager is not None:
            self._manager.shutdown.set()
        for task in self._running:
            task.cancel()

    async def _run(self) -> None:
        first, longest = _RECONNECT_SECONDS
        wait = first
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._work()
            except Exception as error:  # a loop that lives as long as the process survives every error
                log.warning("the job queue is not available", reason=" ".join(repr(error).split())[:300])
            lasted = asyncio.get_running_loop().time() - began
            wait = first if lasted > longest else min(wait * 2, longest)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _work(self) -> None:
        """Work on one connection, until it is lost or `stop` is called."""
        self._connection = connection = await asyncpg.connect(
            self._dsn,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings={"application_name": "labeler_api jobs", "TimeZone": "UTC", **ISOLATION, **PATIENCE},
        )
        watch_silence(connection)
        try:
            driver = AsyncpgDriver(connection)
            library = queries(driver)
            manager = self._managed(library)
            connection.add_termination_listener(self._interrupt)
            if not self._stopping.is_set():
                await self._prepare(library)
                work = manager.run(
                    dequeue_timeout=self._lease,
                    batch_size=1,
                    shutdown_on_listener_failure=True,
                    heartbeat_timeout=self._lease,
                    log_aggregation_interval=timedelta(0),  # statistics that nobody reads
                )
                await self._while_alive(driver, asyncio.create_task(work))
        finally:
            self._manager = self._connection = None
            connection.terminate()

    async def _while_alive(self, driver: Driver, work: asyncio.Task[None]) -> None:
        """Wait for the work's end, and end it where its connection no longer answers.

        A server that stops in the middle of an answer can leave the driver in a state in which every statement fails,
        and none says that the connection is lost; the library would go on failing for ever.
        """
        pulse = asyncio.create_task(self._pulse(driver))
        try:
            await asyncio.wait({work, pulse}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and self._connection is not None:
                self._connection.terminate()
                self._interrupt()
                await asyncio.wait({work}, timeout=_STOP_SECONDS)
                work.cancel()
            await asyncio.wait({work})
        finally:
            pulse.cancel()
            work.cancel()  # of a worker that is being stopped; its connection has been ended before
            await asyncio.wait({pulse})
        if not work.cancelled():
            work.result()

    async def _pulse(self, driver: Driver) -> None:
        """Look after the queue; return when the connection does not answer any more."""
        with suppress(*FAILURES):
            for beat in itertools.count():
                async with asyncio.timeout(_STATEMENT_SECONDS):
                    if beat % _BEATS_BETWEEN_UPKEEP == 0:
                        await look_after(driver, self._handlers.keys(), self._services.instruments.metrics)
                    else:
                        await driver.fetch("SELECT 1")
                await asyncio.sleep(_PULSE_SECONDS)

    def _managed(self, queries: Queries) -> QueueManager:
        self._manager = manager = QueueManager(queries, channel=Channel(SETTINGS.channel))
        for kind, handler in self._handlers.items():
            parameters = EntrypointExecutorParameters(concurrency_limit=0, func=_never, on_failure="hold")
            manager.register_executor(kind, _Executor(parameters, partial(self._handle, handler)))
        return manager

    async def _prepare(self, queries: Queries) -> None:
        """Put periodic jobs in where they are missing, and jobs back that the library has set aside."""
        for job in self._periodic:
            await queries.enqueue(
                job.kind, None, execute_after=job.first_after, dedupe_key=job.kind, on_conflict="skip"
            )
        # A retry that could not be written down leaves its job aside, as failed, and nobody would look at it again.
        if aside := [job.id for job in await queries.list_failed_jobs()]:
            await queries.requeue_jobs(aside)

    async def _handle(self, handler: Handler, job: Job) -> None:
        task = asyncio.create_task(self._in_turn(handler, job))
        self._running.add(task)
        try:
            again = await task
        except asyncio.CancelledError:
            task.cancel()
            # Not passed on: the library takes a cancelled job for one that nobody wants any more, and deletes it.
            raise RetryRequested(timedelta(0), "interrupted") from None
        except Exception as error:
            delay = _backoff(job.attempts)
            _report(error, job, delay)
            raise RetryRequested(delay, repr(error)[:500]) from error
        finally:
            self._running.discard(task)
        if again is not None:
            raise RetryRequested(again, "periodic")

    async def _in_turn(self, handler: Handler, job: Job) -> timedelta | None:
        async with self._slots:
            bound = structlog.contextvars.bound_contextvars(job=job.entrypoint, job_id=job.id)
            with bound, self._services.instruments.job(job.entrypoint):
                return await handler(self._services, job.payload or b"")


@dataclass
class _Executor(AbstractEntrypointExecutor):
    """Gives a job to the worker."""

    handle: Callable[[Job], Awaitable[None]]

    async def execute(self, job: Job, context: Context) -> None:  # noqa: ARG002 - the library's signature
        await self.handle(job)


def _report(error: Exception, job: Job, delay: timedelta) -> None:
    tries = {"attempts": job.attempts + 1, "retry_seconds": delay.total_seconds()}
    facts = {"job": job.entrypoint, "job_id": job.id, **tries}
    if isinstance(error, Unavailable):  # known for what it is; of everything else the log keeps the traceback
        log.warning("a job has to wait and will be tried again", reason=error.detail, **facts)
    else:
        log.error("a job failed and will be tried again", exc_info=error, **facts)


def _backoff(attempts: int) -> timedelta:
    return timedelta(seconds=min(_FIRST_RETRY_SECONDS * 2 ** min(attempts, _DOUBLINGS), _LAST_RETRY_SECONDS))


async def _never(_job: Job) -> None:
    """Stand where the library wants a function; the executor calls the handler."""
