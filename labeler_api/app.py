"""The composition root: routes, and the services' lifetime. Only the entry point imports it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from labeler_api.annotations import routes as annotations
from labeler_api.auth import routes as auth
from labeler_api.classes import routes as classes
from labeler_api.context import Services
from labeler_api.datasets import routes as datasets
from labeler_api.db import connection_budget
from labeler_api.db.platform import PlatformDatabase
from labeler_api.db.pool import Database, PoolOptions
from labeler_api.deletion import routes as deletion
from labeler_api.deletion.datasets import object_purge as purge_datasets
from labeler_api.deletion.datasets import row_deletion as deleted_rows
from labeler_api.deletion.images import image_purge as purge_images
from labeler_api.health import routes as health
from labeler_api.http import at_once, metrics_page
from labeler_api.http.answer_fields import AnswerFields
from labeler_api.http.at_once import AtOnce
from labeler_api.http.openapi import docs_page, tags_and_examples
from labeler_api.http.openapi import document as openapi
from labeler_api.http.pages import contact_sheet
from labeler_api.http.request_layer import Application
from labeler_api.http.routing import API_PREFIX, IndexedRouter, by_address
from labeler_api.http.server.connections import STATE, Bounds, Connections, room_for_connections
from labeler_api.images import removal
from labeler_api.images.listing import routes as images
from labeler_api.images.media import ready_thumbnails
from labeler_api.images.media import routes as media
from labeler_api.images.upload import routes as upload
from labeler_api.imports.stored import routes as imports
from labeler_api.imports.uploaded.service import UploadedAnnotations
from labeler_api.imports.writing import statistics as import_statistics
from labeler_api.invitations import routes as invitations
from labeler_api.jobs import worker as jobs
from labeler_api.limits.counters import LimitStorage
from labeler_api.limits.open_streams import OpenStreams
from labeler_api.limits.rate_limits import Limits
from labeler_api.locks.image_locks import routes as locks
from labeler_api.members import routes as members
from labeler_api.object_store.bucket_ownership import BucketOwnership
from labeler_api.object_store.objects import ObjectStore
from labeler_api.platform import routes as platform
from labeler_api.process.draining import Draining
from labeler_api.process.maintenance import Maintenance
from labeler_api.projects import routes as projects
from labeler_api.resilience.caches import ByteCache, Caches
from labeler_api.settings import Settings
from labeler_api.storage.browsing import routes as storage
from labeler_api.storage.orphans import sweep
from labeler_api.telemetry.instruments import Instruments
from labeler_api.telemetry.metrics import Metrics
from labeler_api.tokens.signed_links import Links
from labeler_api.user_directory.directory import UserDirectory
from labeler_api.user_directory.organizations import Organizations
from labeler_api.users import routes as users
from labeler_api.versions import routes as versions
from labeler_api.workers.decoders import Decoders, capacity
from labeler_api.workers.json_threads import JsonThreads
from service_kit import event_loop, tracing

log = structlog.get_logger(__name__)

API_ROUTES = [
    *auth.routes,
    *users.routes,
    *platform.routes,
    *members.routes,
    *projects.routes,
    *datasets.routes,
    *classes.routes,
    *images.routes,
    *locks.routes,
    *annotations.routes,
    *versions.routes,
    *imports.routes,
    *upload.routes_with(UploadedAnnotations),
    *invitations.routes,
    *storage.routes,
    *deletion.routes,
]
ROOT_ROUTES = [*health.routes, *media.media_routes, *versions.media_routes]

JOB_HANDLERS: dict[str, jobs.Handler] = {
    removal.KIND: removal.handle,
    deleted_rows.KIND: deleted_rows.handle,
    purge_datasets.KIND: purge_datasets.handle,
    purge_images.KIND: purge_images.handle,
    sweep.KIND: sweep.handle,
    import_statistics.KIND: import_statistics.handle,
}
PERIODIC_JOBS = [
    jobs.Periodic(sweep.KIND, sweep.FIRST_AFTER),
    jobs.Periodic(purge_images.KIND, purge_images.FIRST_AFTER),
]


def create_app(settings: Settings, services: Services | None = None) -> Starlette:
    """Build the application. Given `services` are used and stay open; without them the lifespan owns its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            app.state.services = running = services or await open_services(settings, stack)
            lag = running.instruments.metrics.event_loop_lag
            await stack.enter_async_context(event_loop.watched(lag.observe))
            if settings.db_statement_cache:  # else a pooler stands before the server, and has limits of its own
                await stack.enter_async_context(
                    connection_budget.compared(
                        running.db,
                        of_a_process=settings.db_pool_size + settings.db_max_overflow,
                        processes=settings.api_workers,
                    )
                )
            if settings.jobs == "on":  # else this process may not tie the buckets
                await stack.enter_async_context(running.bucket_ownership.begun())
            worker = jobs.Worker(running, settings.jobs_db_url, JOB_HANDLERS, PERIODIC_JOBS)
            stack.push_async_callback(worker.stop)

            async def pause(on: bool) -> None:
                if on:
                    await worker.stop()
                elif settings.jobs == "on":
                    worker.start()

            await pause(settings.jobs == "off" or settings.maintenance_mode)
            await stack.enter_async_context(running.maintenance.watched(settings.jobs_db_url, pause))
            connections = _connections(settings, running.instruments.metrics)
            connections.on_shutdown = running.draining.begin
            await stack.enter_async_context(connections.watched())
            stack.enter_context(running.draining.delayed(settings.api_drain_seconds))
            yield {STATE: connections, at_once.STATE: _at_once(settings, running)}

    app = Application(settings, IndexedRouter([*_routes(), *contact_sheet.routes(settings)], lifespan))
    app.state.services = services
    return app


def _at_once(settings: Settings, services: Services) -> AtOnce:
    """What the server asks before it makes a task for a request."""
    finders = {ready_thumbnails.BEGINNING: ready_thumbnails.finder(services.caches)}
    return AtOnce(AnswerFields(settings), services.instruments, finders)


def _connections(settings: Settings, metrics: Metrics) -> Connections:
    return Connections(
        Bounds(header_seconds=settings.api_header_seconds, window_seconds=settings.api_slow_seconds),
        total=room_for_connections(settings),
        per_client=settings.api_max_connections_per_client,
        trusted=settings.trusted_proxies,
        metrics=metrics,
    )


async def open_services(settings: Settings, stack: AsyncExitStack) -> Services:
    """Open what the process needs; `stack` closes it. A part that is away does not stop the start: health says so."""
    instruments = await open_instruments(stack)
    db = await Database.connect(
        settings.labeler_db_url,
        PoolOptions(
            min_size=settings.db_pool_size,
            max_size=settings.db_pool_size + settings.db_max_overflow,
            acquire_seconds=settings.db_pool_timeout,
            recycle_seconds=settings.db_pool_recycle,
            statement_cache=settings.db_statement_cache,
        ),
        instruments,
    )
    stack.push_async_callback(db.close)
    directory = UserDirectory(
        settings.user_gateway_address,
        settings.user_gateway_token,
        ca_file=_path(settings.user_gateway_tls_ca),
        cert_file=_path(settings.user_gateway_tls_cert),
        key_file=_path(settings.user_gateway_tls_key),
        cache_seconds=settings.user_cache_seconds,
        grace_seconds=settings.user_cache_grace_seconds,
        instruments=instruments,
    )
    stack.push_async_callback(directory.close)
    platform_db = await PlatformDatabase.connect(
        settings.platform_db_url, allow_writable=settings.platform_db_allow_writable, instruments=instruments
    )
    stack.push_async_callback(platform_db.close)
    organizations = Organizations(platform_db)
    stack.push_async_callback(organizations.close)
    limits = open_limits(settings, instruments.metrics)
    stack.push_async_callback(limits.close)
    await limits.connect()
    objects = await ObjectStore.connect(settings, stack, instruments)
    objects.guard = bucket_ownership = BucketOwnership(db, objects, settings.buckets, instruments.metrics)
    json_threads = JsonThreads()
    stack.callback(json_threads.close)
    caches = Caches(thumbnails=ByteCache(settings.thumbnail_cache_bytes, instruments.metrics.thumbnail_looked_up))
    instruments.metrics.watch(lambda: _show(instruments.metrics, objects, caches))
    return Services(
        settings=settings,
        db=db,
        directory=directory,
        objects=objects,
        bucket_ownership=bucket_ownership,
        links=Links(settings.public_url, settings.link_keys),
        limits=limits,
        caches=caches,
        json_threads=json_threads,
        platform=platform_db,
        organizations=organizations,
        instruments=instruments,
        streams=OpenStreams.of(settings, instruments.metrics),
        decoders=Decoders(capacity(settings.decoding_memory_bytes, settings.api_workers)),
        maintenance=Maintenance(forced=settings.maintenance_mode),
        draining=Draining(settings.api_shutdown_seconds),
    )


async def open_instruments(stack: AsyncExitStack) -> Instruments:
    """Make what watches the service: its metrics, and traces where OTEL_* asks for them."""
    instruments = Instruments(Metrics(), tracing.from_environment(os.environ, "labeler_api"))
    # What is left in memory is sent at the end, over the network: not on the event loop.
    stack.push_async_callback(asyncio.to_thread, instruments.tracing.close)
    await stack.enter_async_context(instruments.metrics.sampled())
    return instruments


def open_limits(settings: Settings, metrics: Metrics) -> Limits:
    """Count tries in RATE_LIMIT_STORAGE, or in this process; the log says how many times that allows what is meant."""
    if not settings.rate_limit_storage and settings.api_workers > 1:
        log.warning(
            "rate limits are counted by each worker for itself: N workers allow N times as much; "
            "RATE_LIMIT_STORAGE shares them",
            workers=settings.api_workers,
        )
    return Limits(LimitStorage(settings.rate_limit_storage, metrics))


def _show(metrics: Metrics, objects: ObjectStore, caches: Caches) -> None:
    metrics.streams_open.set(objects.open_streams)
    metrics.thumbnail_bytes.set(caches.thumbnails.size)


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """What every application of a process has: tests make thousands of them."""
    return (
        *by_address(API_ROUTES, API_PREFIX),
        *by_address(ROOT_ROUTES),
        *metrics_page.routes,
        *docs_page.routes(describe()),
    )


@cache
def describe() -> openapi.Document:
    """The OpenAPI document, generated from the routes: once, since they do not change while the process runs."""
    mounted = [(API_PREFIX, route) for route in API_ROUTES] + [("", route) for route in ROOT_ROUTES]
    return openapi.document(mounted, tags_and_examples.reference())


def _path(text: str) -> Path | None:
    return Path(text) if text else None
