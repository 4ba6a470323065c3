"""The composition root: routes, middleware, and the services' lifetime. Only the entry point imports it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from labeler_api.annotations import routes as annotations
from labeler_api.auth import routes as auth
from labeler_api.caches import ByteCache, Caches
from labeler_api.classes import routes as classes
from labeler_api.context import Services
from labeler_api.datasets import routes as datasets
from labeler_api.db.pool import Database, PoolOptions
from labeler_api.directory import UserDirectory
from labeler_api.errors import AppError
from labeler_api.health import routes as health
from labeler_api.http import errors, openapi
from labeler_api.http.middleware import Cors, EarlyRefusals, RequestContext, UnexpectedErrors
from labeler_api.images import routes as images
from labeler_api.limits import Limits
from labeler_api.links import Links
from labeler_api.locks import routes as locks
from labeler_api.members import routes as members
from labeler_api.objects import ObjectStore
from labeler_api.projects import routes as projects
from labeler_api.settings import Settings
from labeler_api.users import routes as users
from labeler_api.versions import routes as versions

API_ROUTES = [
    *auth.routes,
    *users.routes,
    *members.routes,
    *projects.routes,
    *datasets.routes,
    *classes.routes,
    *images.routes,
    *locks.routes,
    *annotations.routes,
    *versions.routes,
]
ROOT_ROUTES = [*health.routes, *images.media_routes, *versions.media_routes]

# Chromium caps it at 7 200 s, Firefox at 86 400 s; every call of the frontend is pre-flighted.
_PREFLIGHT_SECONDS = 86_400
_EXPOSED = (
    "ETag",
    "Content-Length",
    "Content-Range",
    "Content-Disposition",
    "Retry-After",
    "X-Request-Id",
    "X-Next-Cursor",
)


def create_app(settings: Settings, services: Services | None = None) -> Starlette:
    """Build the application. Given `services` are used and stay open; without them the lifespan owns its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = services or await open_services(settings, stack)
            yield

    app = Starlette(
        routes=[*ROOT_ROUTES, *openapi.routes(describe()), Mount("/api/v1", routes=_mounted(API_ROUTES))],
        middleware=[
            Middleware(
                Cors,
                allow_origins=settings.origins,
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
                allow_headers=("*",),
                allow_credentials=True,
                expose_headers=_EXPOSED,
                max_age=_PREFLIGHT_SECONDS,
            ),
            Middleware(RequestContext),
            Middleware(UnexpectedErrors),
            Middleware(EarlyRefusals),
        ],
        exception_handlers={AppError: errors.handle_app_error, HTTPException: errors.handle_http_exception},
        lifespan=lifespan,
    )
    app.state.services = services
    return app


async def open_services(settings: Settings, stack: AsyncExitStack) -> Services:
    """Open what the process needs; `stack` closes it. A part that is away does not stop the start: health says so."""
    db = await Database.connect(
        settings.labeler_db_url,
        PoolOptions(
            min_size=settings.db_pool_size,
            max_size=settings.db_pool_size + settings.db_max_overflow,
            acquire_seconds=settings.db_pool_timeout,
            recycle_seconds=settings.db_pool_recycle,
            statement_cache=settings.db_statement_cache,
        ),
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
    )
    stack.push_async_callback(directory.close)
    objects = await ObjectStore.connect(settings, stack)
    return Services(
        settings=settings,
        db=db,
        directory=directory,
        objects=objects,
        links=Links(settings.public_url, settings.link_keys),
        limits=Limits(),
        caches=Caches(thumbnails=ByteCache(settings.thumbnail_cache_bytes)),
    )


def describe() -> openapi.Document:
    """The OpenAPI document, generated from the routes."""
    return openapi.document([("/api/v1", route) for route in API_ROUTES] + [("", route) for route in ROOT_ROUTES])


def _mounted(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """Longer greedy paths first: `…/{image_id:path}/confirm` must be tried before `…/{image_id:path}`."""
    return sorted(routes, key=lambda route: -getattr(route, "path", "").count("/"))


def _path(text: str) -> Path | None:
    return Path(text) if text else None
